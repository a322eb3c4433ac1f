"""What a user measures on a machine of their own: kernels against peers, codecs against tasks."""

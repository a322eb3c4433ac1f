"""Update codecs: a delta in, bytes out, and back."""

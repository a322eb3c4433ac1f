"""The service behind the broker that runs rounds."""

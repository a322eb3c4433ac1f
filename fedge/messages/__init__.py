"""Messages to bytes and back, and the topics they travel on."""

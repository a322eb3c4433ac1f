"""What devices send, from bytes to accepted updates and answers."""

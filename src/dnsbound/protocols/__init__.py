"""Protocols that carry TLS, or what it proved, where it could not go by itself. No input or output."""

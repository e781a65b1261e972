"""Changing an identity's key, or the form of its records, so that it is refused at no moment (RFC 7671 section 8)."""

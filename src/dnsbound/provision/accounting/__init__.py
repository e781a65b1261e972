"""Who was let into networks, until when, and what access servers report of it: a database of its own."""

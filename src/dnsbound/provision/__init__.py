"""Keeping identities and zones: the inventory, and what an authority reads from it."""

"""Making and keeping identities: the inventory and what publishes from it."""

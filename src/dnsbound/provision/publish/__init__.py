"""Publishing what the inventory holds in DNS servers that are run by somebody: the floor between the two."""

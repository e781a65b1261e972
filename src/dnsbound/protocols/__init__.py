"""Protocols of other people's networks that a client's DNS name is brought into: messages and machines, without IO."""

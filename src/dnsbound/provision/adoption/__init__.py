"""Adopting clients that exist already: lists of keys and certificates in, identities of the inventory out.

Reading (`sources`, `formats` and the readers), naming (`naming`), the plan (`staging`, `plan`), and carrying it out so
that it can be interrupted, repeated and taken back (`adopting`, `rollback`). Nothing here asks a device for anything:
its key and its certificate stay as they are.
"""

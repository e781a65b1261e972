"""Configuration of servers that are there already, one module for each, so that they admit clients by DNS name.

`listing` knows them all; `snippet` is what each of them gives; the command is `dnsbound config`.
"""

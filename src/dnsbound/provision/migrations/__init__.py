"""Alembic environment of the inventory. `versions/` is applied by `dnsbound.provision.database`, never by hand."""

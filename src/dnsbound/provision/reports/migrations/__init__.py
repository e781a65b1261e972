"""Alembic environment of a store of reports. `versions/` is applied by `dnsbound.provision.database`."""

"""Alembic environment of the accounting database. `versions/` is applied by `dnsbound.provision.database`."""

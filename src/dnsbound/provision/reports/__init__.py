"""Reports that are sent and received: what has to outlast a restart, on SQLite and PostgreSQL."""

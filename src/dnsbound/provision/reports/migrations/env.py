"""How Alembic runs here: on the connection it is given, inside the transaction that connection is in.

There is no offline mode and no configuration file, as for the inventory.
"""

from alembic import context

from dnsbound.provision.reports.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()

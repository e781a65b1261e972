"""How Alembic runs here: on the connection it is given, inside the transaction that connection is in.

There is no offline mode and no configuration file: `dnsbound.provision.database` holds the write lock while a schema
changes, so that two processes opening one inventory cannot both migrate it.
"""

from alembic import context

from dnsbound.provision.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()

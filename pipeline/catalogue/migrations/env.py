"""What Alembic runs: the steps, on a connection and within a transaction that `pipeline.catalogue.migrating` holds."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()

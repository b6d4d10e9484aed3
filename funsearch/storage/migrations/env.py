"""Runs the migrations for Alembic, on the connection and in the transaction that `funsearch.storage.schema` opened."""

from alembic import context

from funsearch.storage.migrations import VERSION_TABLE
from funsearch.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, version_table=VERSION_TABLE
)
context.run_migrations()

"""Alembic's entry: runs the migrations on the connection, and in the transaction, that `records.schema` hands over."""

from alembic import context

from ablata.records.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()

"""Run by Alembic. migrate() hands over its connection and transaction."""

from alembic import context

from storage.file_tables import FILES

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=FILES.metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()

"""Run by Alembic. migrate() hands over its connection and transaction."""

from alembic import context

import storage.batch_tables
import storage.file_tables
import storage.library_tables  # noqa: F401  their tables are in METADATA too
from storage.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()

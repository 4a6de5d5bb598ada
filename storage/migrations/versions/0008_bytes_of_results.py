"""Bytes that count for a tenant: of results, by the chunk that wrote them; of vectors that were sent."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_SENT = {
    "sqlite": """SELECT coalesce(sum(json_extract(value, '$.byte_size')), 0) FROM json_each(vectors.files)
        WHERE instr(json_extract(value, '$.key'), '/jobs/') = 0""",
    "postgresql": """SELECT coalesce(sum(CAST(value ->> 'byte_size' AS bigint)), 0)
        FROM json_each(vectors.files) WHERE position('/jobs/' IN value ->> 'key') = 0""",
}


def _bytes(name: str) -> sa.Column:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default=sa.text("0"))


def upgrade() -> None:
    """What older chunks wrote is not known, and does not count."""
    op.add_column("chunks", _bytes("results_bytes"))
    some = sa.text("results_bytes > 0")
    op.create_index(
        "ix_chunks_results_bytes",
        "chunks",
        ["batch_id", "results_bytes"],
        sqlite_where=some,
        postgresql_where=some,
    )
    op.add_column("vectors", _bytes("files_bytes"))
    sent = _SENT[op.get_bind().dialect.name]
    op.execute(f"UPDATE vectors SET files_bytes = ({sent})")  # noqa: S608 - of this file
    op.create_index("ix_vectors_tenant_id_files_bytes", "vectors", ["tenant_id", "files_bytes"])


def downgrade() -> None:
    op.drop_index("ix_vectors_tenant_id_files_bytes", "vectors")
    op.drop_column("vectors", "files_bytes")
    op.drop_index("ix_chunks_results_bytes", "chunks")
    op.drop_column("chunks", "results_bytes")

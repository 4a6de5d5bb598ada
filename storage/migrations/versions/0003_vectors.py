"""Editing vectors and saved inversions, and which objects they need."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_PLAIN = sa.JSON(none_as_null=True)


def _create_vectors() -> None:
    of_vector = sa.ForeignKey("vectors.id", ondelete="CASCADE")
    op.create_table(
        "vectors",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("model_digest", sa.String(64), nullable=False),
        sa.Column("generator_sha256", sa.String(64), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("editing_type", sa.Text, nullable=False),
        sa.Column("tags", _PLAIN, nullable=False),
        sa.Column("q_edit", _PLAIN, nullable=False),
        sa.Column("files", _PLAIN, nullable=False),
        sa.Column("facts", _PLAIN, nullable=False),
        sa.Column("report", _PLAIN, nullable=False),
        sa.Column("search", sa.Text, nullable=False),
        sa.Column("job_id", sa.String(32)),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.CheckConstraint("name <> ''", name="named"),
    )
    op.create_index("ix_vectors_tenant_id_created_at_id", "vectors", ["tenant_id", "created_at", "id"])
    op.create_table(
        "vector_objects",
        sa.Column("vector_id", sa.String(32), of_vector, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
    )
    op.create_index("ix_vector_objects_key", "vector_objects", ["key"])


def _create_inversions() -> None:
    op.create_table(
        "inversions",
        sa.Column("tenant_id", sa.String(64), primary_key=True),
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("files", _PLAIN, nullable=False),
        sa.Column("facts", _PLAIN, nullable=False),
        sa.Column("job_id", sa.String(32)),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("used_at", sa.Double, nullable=False),
        sa.CheckConstraint("length(digest) = 64", name="digest_whole"),
    )
    op.create_index("ix_inversions_used_at", "inversions", ["used_at"])
    op.create_table(
        "inversion_objects",
        sa.Column("tenant_id", sa.String(64), primary_key=True),
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "digest"], ["inversions.tenant_id", "inversions.digest"], ondelete="CASCADE"
        ),
    )
    op.create_index("ix_inversion_objects_key", "inversion_objects", ["key"])


def upgrade() -> None:
    _create_vectors()
    _create_inversions()


def downgrade() -> None:
    for table in ("inversion_objects", "inversions", "vector_objects", "vectors"):
        op.drop_table(table)

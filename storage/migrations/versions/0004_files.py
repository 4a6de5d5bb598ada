"""Uploaded files that are neither pictures nor masks."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "files",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("byte_size", sa.BigInteger, nullable=False),
        sa.Column("media_type", sa.String(128), nullable=False),
        sa.Column("filename", sa.Text),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.CheckConstraint("length(sha256) = 64", name="digest_whole"),
        sa.CheckConstraint("byte_size >= 0", name="sizes"),
        sa.UniqueConstraint("tenant_id", "sha256"),
    )
    op.create_index("ix_files_tenant_id_created_at_id", "files", ["tenant_id", "created_at", "id"])
    op.create_index("ix_files_key", "files", ["key"])


def downgrade() -> None:
    op.drop_table("files")

"""API keys, limits of tenants, and what these are measured by."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_SIZES = {
    "sqlite": "sum(json_extract(value, '$.byte_size'))",
    "postgresql": "sum(CAST(value ->> 'byte_size' AS bigint))",
}


def _create_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("prefix", sa.String(12), nullable=False, unique=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("scope", sa.String(16), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double),
        sa.Column("revoked_at", sa.Double),
        sa.Column("last_used_at", sa.Double),
        sa.CheckConstraint("scope IN ('read', 'submit', 'admin')", name="scope_known"),
        sa.CheckConstraint("length(sha256) = 64", name="digest_whole"),
    )
    op.create_index("ix_api_keys_tenant_id_created_at_id", "api_keys", ["tenant_id", "created_at", "id"])


def _create_limits() -> None:
    op.create_table(
        "tenant_limits",
        sa.Column("tenant_id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("value", sa.Double, nullable=False),
        sa.CheckConstraint("value >= 0", name="value"),
    )


def _measure_storage() -> None:
    """Sizes by tenant are summed from these indexes alone."""
    op.add_column(
        "jobs", sa.Column("outputs_bytes", sa.BigInteger, nullable=False, server_default=sa.text("0"))
    )
    sizes = _SIZES[op.get_bind().dialect.name]
    total = f"SELECT coalesce({sizes}, 0) FROM json_each(jobs.outputs)"  # noqa: S608 - of this file
    op.execute(f"UPDATE jobs SET outputs_bytes = ({total}) WHERE outputs IS NOT NULL")  # noqa: S608
    some = sa.text("outputs_bytes > 0")
    op.create_index(
        "ix_jobs_outputs_bytes",
        "jobs",
        ["tenant_id", "outputs_bytes"],
        sqlite_where=some,
        postgresql_where=some,
    )
    for table in ("images", "files"):
        op.create_index(f"ix_{table}_tenant_id_byte_size", table, ["tenant_id", "byte_size"])


def upgrade() -> None:
    _create_keys()
    _create_limits()
    _measure_storage()


def downgrade() -> None:
    for table in ("images", "files"):
        op.drop_index(f"ix_{table}_tenant_id_byte_size", table)
    op.drop_index("ix_jobs_outputs_bytes", "jobs")
    op.drop_column("jobs", "outputs_bytes")
    op.drop_table("tenant_limits")
    op.drop_table("api_keys")

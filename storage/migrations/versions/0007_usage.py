"""What jobs came to: GPU seconds on their rows, and sums by tenant, day and kind; the trace of a job."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _zero(name: str, of: type[sa.types.TypeEngine]) -> sa.Column:
    return sa.Column(name, of, nullable=False, server_default=sa.text("0"))


def upgrade() -> None:
    op.add_column("jobs", sa.Column("claimed_at", sa.Double))
    op.add_column("jobs", _zero("gpu_s", sa.Double))
    op.add_column("jobs", sa.Column("trace", sa.String(64)))
    op.create_table(
        "usage",
        sa.Column("tenant_id", sa.String(64), primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String(32), primary_key=True),
        _zero("jobs", sa.Integer),
        _zero("attempts", sa.Integer),
        _zero("gpu_s", sa.Double),
    )
    op.create_index("ix_usage_day", "usage", ["day"])


def downgrade() -> None:
    op.drop_table("usage")
    for column in ("trace", "gpu_s", "claimed_at"):
        op.drop_column("jobs", column)

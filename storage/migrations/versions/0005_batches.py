"""Batches, their chunks, and which jobs are a batch's."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_PLAIN = sa.JSON(none_as_null=True)
_ENDED = "('succeeded', 'completed_with_errors', 'failed', 'canceled')"


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default=sa.text("0"))


def _wish(name: str) -> sa.Column[bool]:
    return sa.Column(
        name, sa.Boolean(create_constraint=False), nullable=False, server_default=sa.text("false")
    )


def _create_batches() -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("spec", _PLAIN, nullable=False),
        sa.Column("priority", sa.SmallInteger, nullable=False),
        sa.Column("status", sa.String(24), nullable=False),
        _wish("paused"),
        _wish("cancel_requested"),
        sa.Column("ready", sa.Integer, nullable=False),
        sa.Column("keep_s", sa.Double),
        sa.Column("webhook", _PLAIN),
        sa.Column("retry_of", sa.String(32)),
        *map(_count, ("items", "invalid", "chunks")),
        sa.Column("files", _PLAIN, nullable=False, server_default=sa.text("'{}'")),
        sa.Column("result", _PLAIN, nullable=False, server_default=sa.text("'{}'")),
        sa.Column("error", _PLAIN),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("validated_at", sa.Double),
        sa.Column("ended_at", sa.Double),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("outputs_expired_at", sa.Double),
        sa.CheckConstraint(
            f"status IN ('validating', 'running', 'finishing') OR status IN {_ENDED}", name="status_known"
        ),
        sa.CheckConstraint(f"(status IN {_ENDED}) = (ended_at IS NOT NULL)", name="ended_has_end"),
        sa.CheckConstraint("priority BETWEEN 0 AND 2", name="priority_known"),
        sa.CheckConstraint("items >= 0 AND invalid >= 0 AND chunks >= 0 AND ready > 0", name="counts"),
    )
    op.create_index("ix_batches_tenant_id_created_at_id", "batches", ["tenant_id", "created_at", "id"])


def _create_chunks() -> None:
    of_batch = sa.ForeignKey("batches.id", ondelete="CASCADE")
    op.create_table(
        "chunks",
        sa.Column("batch_id", sa.String(32), of_batch, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("start_byte", sa.BigInteger, nullable=False),
        sa.Column("byte_size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("items", sa.Integer, nullable=False),
        sa.Column("job_id", sa.String(32)),
        sa.Column("ended_at", sa.Double),
        *map(_count, ("succeeded", "failed", "canceled", "reused")),
        sa.Column("device_s", sa.Double, nullable=False, server_default=sa.text("0")),
        sa.Column("seconds", sa.Double, nullable=False, server_default=sa.text("0")),
        sa.Column("errors", _PLAIN),
        sa.CheckConstraint("items > 0 AND start_byte >= 0 AND byte_size > 0", name="sizes"),
        sa.CheckConstraint(
            "ended_at IS NULL OR succeeded + failed + canceled = items", name="ended_counts_all"
        ),
    )
    open_ones = sa.text("ended_at IS NULL")
    op.create_index(
        "ix_chunks_open", "chunks", ["batch_id", "number"], sqlite_where=open_ones, postgresql_where=open_ones
    )


def upgrade() -> None:
    _create_batches()
    _create_chunks()
    op.add_column("jobs", sa.Column("batch_id", sa.String(32)))
    of_one = sa.text("batch_id IS NOT NULL")
    op.create_index(
        "ix_jobs_batch_id", "jobs", ["batch_id", "status"], sqlite_where=of_one, postgresql_where=of_one
    )


def downgrade() -> None:
    op.execute("DELETE FROM jobs WHERE batch_id IS NOT NULL")  # of kinds that older versions do not know
    op.drop_index("ix_jobs_batch_id", "jobs")
    op.drop_column("jobs", "batch_id")
    op.drop_table("chunks")
    op.drop_table("batches")

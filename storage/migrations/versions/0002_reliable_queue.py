"""Priorities, deadlines, stop, counts apart, idempotency keys, turns, pauses, drains, webhooks, retention.

Rows and events are kept as they are: columns are added one by one. Rebuilding the table, as Alembic's batches
do on SQLite, would drop it, and the events with it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_PLAIN = sa.JSON(none_as_null=True)
_ENDED = "('succeeded', 'failed', 'canceled')"


def _count(name: str) -> sa.Column[int]:
    check = sa.CheckConstraint(f"{name} >= 0", name=name)
    return sa.Column(name, sa.Integer, check, nullable=False, server_default=sa.text("0"))


def _widen_jobs() -> None:
    rank = sa.CheckConstraint("priority BETWEEN 0 AND 2", name="priority_known")
    only_ended = sa.CheckConstraint(
        f"outputs_expired_at IS NULL OR status IN {_ENDED}", name="only_ended_expire"
    )
    false = sa.text("false")
    for column in (
        sa.Column("priority", sa.SmallInteger, rank, nullable=False, server_default=sa.text("1")),
        _count("outages"),
        _count("out_of_memory"),
        _count("drains"),
        sa.Column("losses", _PLAIN, nullable=False, server_default=sa.text("'[]'")),
        sa.Column(
            "stop_requested", sa.Boolean(create_constraint=False), nullable=False, server_default=false
        ),
        sa.Column("start_by", sa.Double),
        sa.Column("finish_by", sa.Double),
        sa.Column("keep_s", sa.Double),
        sa.Column("webhook", _PLAIN),
        sa.Column("retry_of", sa.String(32)),
        sa.Column("worker_pid", sa.Integer),
        sa.Column("outputs_expired_at", sa.Double, only_ended),
    ):
        op.add_column("jobs", column)


def _index_jobs() -> None:
    op.drop_index("ix_jobs_queued", "jobs")
    places = ["queue", "tenant_id", "priority", "created_at", "id"]
    places += ["not_before", "start_by", "finish_by", "started_at"]
    _partial("ix_jobs_queued", "jobs", places, "status = 'queued'")
    _partial("ix_jobs_ended", "jobs", ["ended_at"], f"status IN {_ENDED}")
    _partial("ix_jobs_start_by", "jobs", ["start_by"], "status = 'queued' AND start_by IS NOT NULL")
    _partial("ix_jobs_finish_by", "jobs", ["finish_by"], "ended_at IS NULL AND finish_by IS NOT NULL")


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _create_idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("tenant_id", sa.String(64), primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("job_id", sa.String(32), sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
    op.create_index("ix_idempotency_keys_job_id", "idempotency_keys", ["job_id"])


def _create_turns_pauses_drains() -> None:
    op.create_table(
        "turns",
        sa.Column("queue", sa.String(64), primary_key=True),
        sa.Column("tenant_id", sa.String(64), primary_key=True),
        sa.Column("served_at", sa.Double, nullable=False),
    )
    op.create_table("pauses", sa.Column("queue", sa.String(64), primary_key=True))
    op.create_table(
        "drains",
        sa.Column("worker", sa.Text, primary_key=True),
        sa.Column("created_at", sa.Double, nullable=False),
    )


def _create_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(48), primary_key=True),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("job_id", sa.String(32), sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("event_number", sa.Integer, nullable=False),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("tries", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("next_at", sa.Double, nullable=False),
        sa.Column("last_error", sa.Text),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.CheckConstraint("status IN ('pending', 'delivered', 'failed')", name="status_known"),
        sa.CheckConstraint("(status = 'pending') = (ended_at IS NULL)", name="ended_has_end"),
        sa.UniqueConstraint("job_id", "event_number"),
    )
    _partial("ix_deliveries_due", "deliveries", ["next_at"], "status = 'pending'")


def _create_marks() -> None:
    op.create_table(
        "marks",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("marked_at", sa.Double, nullable=False),
        sa.Column(
            "condemned",
            sa.Boolean(create_constraint=False),
            nullable=False,
            server_default=sa.text("false"),
        ),
    )
    op.create_index("ix_marks_marked_at", "marks", ["marked_at"])


def upgrade() -> None:
    _widen_jobs()
    _index_jobs()
    _create_idempotency_keys()
    _create_turns_pauses_drains()
    _create_deliveries()
    _create_marks()


def downgrade() -> None:
    for table in ("marks", "deliveries", "drains", "pauses", "turns", "idempotency_keys"):
        op.drop_table(table)
    for index in ("ix_jobs_queued", "ix_jobs_ended", "ix_jobs_start_by", "ix_jobs_finish_by"):
        op.drop_index(index, "jobs")
    added = ("priority", "outages", "out_of_memory", "drains", "losses", "stop_requested", "start_by")
    for column in (*added, "finish_by", "keep_s", "webhook", "retry_of", "worker_pid", "outputs_expired_at"):
        op.drop_column("jobs", column)
    _partial("ix_jobs_queued", "jobs", ["queue", "created_at", "id"], "status = 'queued'")

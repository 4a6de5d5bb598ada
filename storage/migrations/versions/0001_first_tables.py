"""The first tables: jobs and their events, images, models, locks."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_PLAIN = sa.JSON(none_as_null=True)
_ENDED = "('succeeded', 'failed', 'canceled')"


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("queue", sa.String(64), nullable=False),
        sa.Column("spec", _PLAIN, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("failures", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("lost", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column(
            "cancel_requested",
            sa.Boolean(create_constraint=False),
            nullable=False,
            server_default=sa.text("false"),
        ),
        sa.Column("not_before", sa.Double, nullable=False),
        sa.Column("worker", sa.Text),
        sa.Column("token", sa.String(64)),
        sa.Column("lease_until", sa.Double),
        sa.Column(
            "ended_token", sa.String(64)
        ),  # of the claim that ended the job: so it can find its own success
        sa.Column("checkpoint", _PLAIN),
        sa.Column("outputs", _PLAIN),
        sa.Column("result", _PLAIN),
        sa.Column("error", _PLAIN),
        sa.Column("event_count", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("started_at", sa.Double),
        sa.Column("ended_at", sa.Double),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.CheckConstraint(
            "status IN ('queued', 'running', 'succeeded', 'failed', 'canceled')", name="status_known"
        ),
        sa.CheckConstraint(
            "attempt >= 0 AND failures >= 0 AND lost >= 0 AND event_count >= 0", name="counts"
        ),
        sa.CheckConstraint("(status = 'running') = (token IS NOT NULL)", name="running_has_token"),
        sa.CheckConstraint("(status = 'running') = (lease_until IS NOT NULL)", name="running_has_lease"),
        sa.CheckConstraint("status <> 'running' OR worker IS NOT NULL", name="running_has_worker"),
        sa.CheckConstraint("(attempt > 0) = (started_at IS NOT NULL)", name="attempted_has_start"),
        sa.CheckConstraint("status <> 'running' OR attempt > 0", name="running_has_attempt"),
        sa.CheckConstraint(f"(status IN {_ENDED}) = (ended_at IS NOT NULL)", name="ended_has_end"),
        sa.CheckConstraint("(status = 'succeeded') = (outputs IS NOT NULL)", name="succeeded_has_outputs"),
        sa.CheckConstraint("(status = 'succeeded') = (result IS NOT NULL)", name="succeeded_has_result"),
        sa.CheckConstraint("(status = 'failed') = (error IS NOT NULL)", name="failed_has_error"),
        sa.CheckConstraint("status <> 'queued' OR NOT cancel_requested", name="queued_is_not_to_cancel"),
    )
    op.create_index("ix_jobs_tenant_id_created_at_id", "jobs", ["tenant_id", "created_at", "id"])
    op.create_index(
        "ix_jobs_queued",
        "jobs",
        ["queue", "created_at", "id"],
        sqlite_where=sa.text("status = 'queued'"),
        postgresql_where=sa.text("status = 'queued'"),
    )
    op.create_index(
        "ix_jobs_running",
        "jobs",
        ["lease_until"],
        sqlite_where=sa.text("status = 'running'"),
        postgresql_where=sa.text("status = 'running'"),
    )


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column("job_id", sa.String(32), sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("data", _PLAIN, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.CheckConstraint("number >= 1", name="numbered_from_1"),
    )


def _create_images() -> None:
    op.create_table(
        "images",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("byte_size", sa.BigInteger, nullable=False),
        sa.Column("media_type", sa.String(128), nullable=False),
        sa.Column("width_px", sa.Integer, nullable=False),
        sa.Column("height_px", sa.Integer, nullable=False),
        sa.Column("filename", sa.Text),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.CheckConstraint("role IN ('picture', 'mask')", name="role_known"),
        sa.CheckConstraint("width_px > 0 AND height_px > 0 AND byte_size >= 0", name="sizes"),
    )
    op.create_index("ix_images_tenant_id_created_at_id", "images", ["tenant_id", "created_at", "id"])
    op.create_index("ix_images_key", "images", ["key"])


def _create_models() -> None:
    op.create_table(
        "models",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("resolution_px", sa.Integer, nullable=False),
        sa.Column("parts", _PLAIN, nullable=False),
        sa.Column("groups", _PLAIN, nullable=False),
        sa.Column("files", _PLAIN, nullable=False),
        sa.Column("card", _PLAIN, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.CheckConstraint("resolution_px > 0", name="resolution"),
        sa.UniqueConstraint("tenant_id", "name"),
    )


def _create_locks() -> None:
    op.create_table(
        "locks",
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("token", sa.String(64), nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
    )


def upgrade() -> None:
    _create_jobs()
    _create_events()
    _create_images()
    _create_models()
    _create_locks()

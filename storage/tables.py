"""SQLAlchemy tables, with the invariants as database constraints. Changed by a migration only. Those of
editing vectors and inversions are in storage/library_tables.py.

Times are seconds since the epoch on the database's clock. JSON columns hold what storage/plain.py makes.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from storage.records import Count

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# None is SQL's NULL, never JSON's null: the CHECKs below count on it.
PLAIN = JSON(none_as_null=True)
ENDED = "('succeeded', 'failed', 'canceled')"

# In which order rows are claimed, and what says whether they may be: counting them reads this index alone.
PLACES = (
    *("queue", "tenant_id", "priority", "created_at", "id"),
    *("not_before", "start_by", "finish_by", "started_at"),
)


def partial_index(name: str, *columns: str, where: str) -> Index:
    """An index of those rows only that are looked for."""
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


JOBS = Table(
    "jobs",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("tenant_id", String(64), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("queue", String(64), nullable=False),
    Column("spec", PLAIN, nullable=False),
    Column("status", String(16), nullable=False),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Column("lost", Integer, nullable=False, server_default=text("0")),
    Column(
        "cancel_requested", Boolean(create_constraint=False), nullable=False, server_default=text("false")
    ),
    Column("not_before", Double, nullable=False),
    Column("worker", Text),
    Column("token", String(64)),
    Column("lease_until", Double),
    Column("ended_token", String(64)),  # of the claim that ended the job: so it can find its own success
    Column("checkpoint", PLAIN),
    Column("outputs", PLAIN),
    Column("result", PLAIN),
    Column("error", PLAIN),
    Column("event_count", Integer, nullable=False, server_default=text("0")),
    Column("created_at", Double, nullable=False),
    Column("started_at", Double),
    Column("ended_at", Double),
    Column("updated_at", Double, nullable=False),
    # Since migration 0002, each with its own CHECK: SQLite adds columns one by one, and no CHECK of a table.
    Column(
        "priority",  # its rank
        SmallInteger,
        CheckConstraint("priority BETWEEN 0 AND 2", name="priority_known"),
        nullable=False,
        server_default=text("1"),
    ),
    *(
        Column(
            count,
            Integer,
            CheckConstraint(f"{count} >= 0", name=count),
            nullable=False,
            server_default=text("0"),
        )
        for count in (Count.OUTAGES, Count.OUT_OF_MEMORY, Count.DRAINS)
    ),
    Column("losses", PLAIN, nullable=False, server_default=text("'[]'")),
    Column("stop_requested", Boolean(create_constraint=False), nullable=False, server_default=text("false")),
    Column("start_by", Double),
    Column("finish_by", Double),
    Column("keep_s", Double),
    Column("webhook", PLAIN),
    Column("retry_of", String(32)),  # no foreign key: the job retried may be purged before this one
    Column("worker_pid", Integer),
    Column(
        "outputs_expired_at",
        Double,
        CheckConstraint(f"outputs_expired_at IS NULL OR status IN {ENDED}", name="only_ended_expire"),
    ),
    Column("batch_id", String(32)),  # since 0005; no foreign key, which SQLite adds to no table that is there
    Column("outputs_bytes", BigInteger, nullable=False, server_default=text("0")),  # since 0006
    Column("claimed_at", Double),  # since 0007, as the next two; NULL too where an older worker has claimed
    Column("gpu_s", Double, nullable=False, server_default=text("0")),
    Column("trace", String(64)),
    CheckConstraint(
        "status IN ('queued', 'running', 'succeeded', 'failed', 'canceled')", name="status_known"
    ),
    CheckConstraint("attempt >= 0 AND failures >= 0 AND lost >= 0 AND event_count >= 0", name="counts"),
    CheckConstraint("(status = 'running') = (token IS NOT NULL)", name="running_has_token"),
    CheckConstraint("(status = 'running') = (lease_until IS NOT NULL)", name="running_has_lease"),
    CheckConstraint("status <> 'running' OR worker IS NOT NULL", name="running_has_worker"),
    CheckConstraint("(attempt > 0) = (started_at IS NOT NULL)", name="attempted_has_start"),
    CheckConstraint("status <> 'running' OR attempt > 0", name="running_has_attempt"),
    CheckConstraint(f"(status IN {ENDED}) = (ended_at IS NOT NULL)", name="ended_has_end"),
    CheckConstraint("(status = 'succeeded') = (outputs IS NOT NULL)", name="succeeded_has_outputs"),
    CheckConstraint("(status = 'succeeded') = (result IS NOT NULL)", name="succeeded_has_result"),
    CheckConstraint("(status = 'failed') = (error IS NOT NULL)", name="failed_has_error"),
    CheckConstraint("status <> 'queued' OR NOT cancel_requested", name="queued_is_not_to_cancel"),
    Index("ix_jobs_tenant_id_created_at_id", "tenant_id", "created_at", "id"),
    partial_index("ix_jobs_queued", *PLACES, where="status = 'queued'"),
    partial_index("ix_jobs_running", "lease_until", where="status = 'running'"),
    partial_index("ix_jobs_ended", "ended_at", where=f"status IN {ENDED}"),
    partial_index("ix_jobs_start_by", "start_by", where="status = 'queued' AND start_by IS NOT NULL"),
    partial_index("ix_jobs_finish_by", "finish_by", where="ended_at IS NULL AND finish_by IS NOT NULL"),
    partial_index("ix_jobs_batch_id", "batch_id", "status", where="batch_id IS NOT NULL"),
    partial_index("ix_jobs_outputs_bytes", "tenant_id", "outputs_bytes", where="outputs_bytes > 0"),
)

EVENTS = Table(
    "events",
    METADATA,
    Column("job_id", String(32), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("type", String(32), nullable=False),
    Column("data", PLAIN, nullable=False),
    Column("created_at", Double, nullable=False),
    CheckConstraint("number >= 1", name="numbered_from_1"),
)

IDEMPOTENCY_KEYS = Table(
    "idempotency_keys",
    METADATA,
    Column("tenant_id", String(64), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("job_id", String(32), ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", Double, nullable=False),
    Index("ix_idempotency_keys_created_at", "created_at"),
    Index("ix_idempotency_keys_job_id", "job_id"),
)

# When each tenant's work was last claimed: whoever was served least recently is next.
TURNS = Table(
    "turns",
    METADATA,
    Column("queue", String(64), primary_key=True),
    Column("tenant_id", String(64), primary_key=True),
    Column("served_at", Double, nullable=False),
)

# Sums that outlive the rows of jobs: what ended on a day (UTC), written with each end of an attempt.
USAGE = Table(
    "usage",
    METADATA,
    Column("tenant_id", String(64), primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("kind", String(32), primary_key=True),
    *(Column(count, Integer, nullable=False, server_default=text("0")) for count in ("jobs", "attempts")),
    Column("gpu_s", Double, nullable=False, server_default=text("0")),
    Index("ix_usage_day", "day"),
)

PAUSES = Table("pauses", METADATA, Column("queue", String(64), primary_key=True))
DRAINS = Table(
    "drains",
    METADATA,
    Column("worker", Text, primary_key=True),
    Column("created_at", Double, nullable=False),
)

DELIVERIES = Table(
    "deliveries",
    METADATA,
    Column("id", String(48), primary_key=True),
    Column("tenant_id", String(64), nullable=False),
    Column("job_id", String(32), ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("event_number", Integer, nullable=False),
    Column("type", String(32), nullable=False),
    Column("url", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("next_at", Double, nullable=False),
    Column("last_error", Text),
    Column("created_at", Double, nullable=False),
    Column("ended_at", Double),
    CheckConstraint("status IN ('pending', 'delivered', 'failed')", name="status_known"),
    CheckConstraint("(status = 'pending') = (ended_at IS NULL)", name="ended_has_end"),
    UniqueConstraint("job_id", "event_number"),
    partial_index("ix_deliveries_due", "next_at", where="status = 'pending'"),
)

# Objects that no record named when they were looked at; `condemned` ones are being removed.
MARKS = Table(
    "marks",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("marked_at", Double, nullable=False),
    Column("condemned", Boolean(create_constraint=False), nullable=False, server_default=text("false")),
    Index("ix_marks_marked_at", "marked_at"),
)

IMAGES = Table(
    "images",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("tenant_id", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    Column("key", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("byte_size", BigInteger, nullable=False),
    Column("media_type", String(128), nullable=False),
    Column("width_px", Integer, nullable=False),
    Column("height_px", Integer, nullable=False),
    Column("filename", Text),
    Column("created_at", Double, nullable=False),
    CheckConstraint("role IN ('picture', 'mask')", name="role_known"),
    CheckConstraint("width_px > 0 AND height_px > 0 AND byte_size >= 0", name="sizes"),
    Index("ix_images_tenant_id_created_at_id", "tenant_id", "created_at", "id"),
    Index("ix_images_key", "key"),
    Index("ix_images_tenant_id_byte_size", "tenant_id", "byte_size"),
)

MODELS = Table(
    "models",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("tenant_id", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("resolution_px", Integer, nullable=False),
    Column("parts", PLAIN, nullable=False),
    Column("groups", PLAIN, nullable=False),
    Column("files", PLAIN, nullable=False),
    Column("card", PLAIN, nullable=False),
    Column("created_at", Double, nullable=False),
    CheckConstraint("resolution_px > 0", name="resolution"),
    UniqueConstraint("tenant_id", "name"),
)

LOCKS = Table(
    "locks",
    METADATA,
    Column("name", String(128), primary_key=True),
    Column("token", String(64), nullable=False),
    Column("expires_at", Double, nullable=False),
)

"""Tables of batches and their chunks, in the METADATA of storage/tables.py. Changed by a migration only."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
    text,
)

from storage.tables import METADATA, PLAIN, partial_index

BATCH_ENDED = "('succeeded', 'completed_with_errors', 'failed', 'canceled')"
BATCHES = Table(
    "batches",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("tenant_id", String(64), nullable=False),
    Column("spec", PLAIN, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("status", String(24), nullable=False),
    *(
        Column(wish, Boolean(create_constraint=False), nullable=False, server_default=text("false"))
        for wish in ("paused", "cancel_requested")
    ),
    Column("ready", Integer, nullable=False),
    Column("keep_s", Double),
    Column("webhook", PLAIN),
    Column("retry_of", String(32)),  # as a job's
    *(
        Column(count, Integer, nullable=False, server_default=text("0"))
        for count in ("items", "invalid", "chunks")
    ),
    *(Column(name, PLAIN, nullable=False, server_default=text("'{}'")) for name in ("files", "result")),
    Column("error", PLAIN),
    Column("created_at", Double, nullable=False),
    *(Column(name, Double) for name in ("validated_at", "ended_at")),
    Column("updated_at", Double, nullable=False),
    Column("outputs_expired_at", Double),
    CheckConstraint(
        f"status IN ('validating', 'running', 'finishing') OR status IN {BATCH_ENDED}", name="status_known"
    ),
    CheckConstraint(f"(status IN {BATCH_ENDED}) = (ended_at IS NOT NULL)", name="ended_has_end"),
    CheckConstraint("priority BETWEEN 0 AND 2", name="priority_known"),
    CheckConstraint("items >= 0 AND invalid >= 0 AND chunks >= 0 AND ready > 0", name="counts"),
    Index("ix_batches_tenant_id_created_at_id", "tenant_id", "created_at", "id"),
)

# A row for many items: job_id is NULL until its turn comes.
CHUNKS = Table(
    "chunks",
    METADATA,
    Column("batch_id", String(32), ForeignKey("batches.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    *(Column(name, BigInteger, nullable=False) for name in ("start_byte", "byte_size")),
    Column("sha256", String(64), nullable=False),
    Column("items", Integer, nullable=False),
    Column("job_id", String(32)),
    Column("ended_at", Double),
    *(
        Column(count, Integer, nullable=False, server_default=text("0"))
        for count in ("succeeded", "failed", "canceled", "reused")
    ),
    *(Column(name, Double, nullable=False, server_default=text("0")) for name in ("device_s", "seconds")),
    Column("errors", PLAIN),
    Column("results_bytes", BigInteger, nullable=False, server_default=text("0")),  # since 0008
    CheckConstraint("items > 0 AND start_byte >= 0 AND byte_size > 0", name="sizes"),
    CheckConstraint("ended_at IS NULL OR succeeded + failed + canceled = items", name="ended_counts_all"),
    partial_index("ix_chunks_open", "batch_id", "number", where="ended_at IS NULL"),
    partial_index("ix_chunks_results_bytes", "batch_id", "results_bytes", where="results_bytes > 0"),
)

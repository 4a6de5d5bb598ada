"""The tables of who may do what, and how much of it. Changed by a migration only, as storage/tables.py."""

from sqlalchemy import CheckConstraint, Column, Double, Index, String, Table, Text

from storage.tables import METADATA

API_KEYS = Table(
    "api_keys",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("tenant_id", String(64), nullable=False),
    Column("name", Text, nullable=False),
    Column("prefix", String(12), nullable=False, unique=True),
    Column("sha256", String(64), nullable=False),
    Column("scope", String(16), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("last_used_at", Double),
    CheckConstraint("scope IN ('read', 'submit', 'admin')", name="scope_known"),
    CheckConstraint("length(sha256) = 64", name="digest_whole"),
    Index("ix_api_keys_tenant_id_created_at_id", "tenant_id", "created_at", "id"),
)

# Where a tenant's limit is another than the settings': 0 is none.
TENANT_LIMITS = Table(
    "tenant_limits",
    METADATA,
    Column("tenant_id", String(64), primary_key=True),
    Column("name", String(32), primary_key=True),
    Column("value", Double, nullable=False),
    CheckConstraint("value >= 0", name="value"),
)

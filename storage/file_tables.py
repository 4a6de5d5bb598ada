"""The table of uploaded files. Changed by a migration only, as those in storage/tables.py."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    Index,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from storage.tables import METADATA

FILES = Table(
    "files",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("tenant_id", String(64), nullable=False),
    Column("key", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("byte_size", BigInteger, nullable=False),
    Column("media_type", String(128), nullable=False),
    Column("filename", Text),
    Column("created_at", Double, nullable=False),
    CheckConstraint("length(sha256) = 64", name="digest_whole"),
    CheckConstraint("byte_size >= 0", name="sizes"),
    UniqueConstraint("tenant_id", "sha256"),
    Index("ix_files_tenant_id_created_at_id", "tenant_id", "created_at", "id"),
    Index("ix_files_key", "key"),
    Index("ix_files_tenant_id_byte_size", "tenant_id", "byte_size"),
)

"""Tables of editing vectors and saved inversions, and of the objects that they need; otherwise as
storage/tables.py says.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    Table,
    Text,
    text,
)

from storage.tables import METADATA, PLAIN

VECTORS = Table(
    "vectors",
    METADATA,
    Column("id", String(32), primary_key=True),
    *(
        Column(name, String(64), nullable=False)
        for name in ("tenant_id", "model", "model_digest", "generator_sha256")
    ),
    Column("name", Text, nullable=False),
    Column("editing_type", Text, nullable=False),
    *(Column(name, PLAIN, nullable=False) for name in ("tags", "q_edit", "files", "facts", "report")),
    Column("search", Text, nullable=False),  # what a list is searched by: name, editing type and tags
    Column("job_id", String(32)),  # no foreign key: a vector stays when its job is purged
    Column("created_at", Double, nullable=False),
    Column("files_bytes", BigInteger, nullable=False, server_default=text("0")),  # since 0008
    CheckConstraint("name <> ''", name="named"),
    Index("ix_vectors_tenant_id_created_at_id", "tenant_id", "created_at", "id"),
    Index("ix_vectors_tenant_id_files_bytes", "tenant_id", "files_bytes"),
)

INVERSIONS = Table(
    "inversions",
    METADATA,
    Column("tenant_id", String(64), primary_key=True),
    Column("digest", String(64), primary_key=True),
    Column("files", PLAIN, nullable=False),
    Column("facts", PLAIN, nullable=False),
    Column("job_id", String(32)),  # as a vector's
    Column("created_at", Double, nullable=False),
    Column("used_at", Double, nullable=False),
    Column("picture_sha256", String(64)),  # since 0009
    CheckConstraint("length(digest) = 64", name="digest_whole"),
    Index("ix_inversions_used_at", "used_at"),
    Index("ix_inversions_tenant_id_picture_sha256", "tenant_id", "picture_sha256"),
)

# Which objects the two need, by key: the garbage collector asks by it.
VECTOR_OBJECTS = Table(
    "vector_objects",
    METADATA,
    Column("vector_id", String(32), ForeignKey("vectors.id", ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    Index("ix_vector_objects_key", "key"),
)
INVERSION_OBJECTS = Table(
    "inversion_objects",
    METADATA,
    *(Column(name, String(64), primary_key=True) for name in ("tenant_id", "digest")),
    Column("key", Text, primary_key=True),
    ForeignKeyConstraint(
        ("tenant_id", "digest"), (INVERSIONS.c.tenant_id, INVERSIONS.c.digest), ondelete="CASCADE"
    ),
    Index("ix_inversion_objects_key", "key"),
)

"""Which upload a saved inversion was made from, so that it goes with that."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_MEMBER = {"sqlite": "json_extract(jobs.spec, '$.image')", "postgresql": "jobs.spec ->> 'image'"}


def upgrade() -> None:
    """Of those there are, it is known where the job is still there, and has one picture."""
    op.add_column("inversions", sa.Column("picture_sha256", sa.String(64)))
    member = _MEMBER[op.get_bind().dialect.name]
    picture = f"""SELECT images.sha256 FROM jobs JOIN images ON images.id = {member}
        AND images.tenant_id = jobs.tenant_id
        WHERE jobs.id = inversions.job_id AND jobs.tenant_id = inversions.tenant_id"""  # noqa: S608 - of this file
    op.execute(f"UPDATE inversions SET picture_sha256 = ({picture})")  # noqa: S608 - of this file
    op.create_index("ix_inversions_tenant_id_picture_sha256", "inversions", ["tenant_id", "picture_sha256"])


def downgrade() -> None:
    op.drop_index("ix_inversions_tenant_id_picture_sha256", "inversions")
    op.drop_column("inversions", "picture_sha256")

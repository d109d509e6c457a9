"""Parts of a rebuild that are equally heavy: each has the streams of some hash buckets, chosen by what is in them.

A rebuild that is under way goes on as it was divided: one bucket for each part.
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

BUCKETS = """
ALTER TABLE projection_parts ADD COLUMN bucket_count integer, ADD COLUMN buckets integer[];

UPDATE projection_parts AS part SET
    buckets = ARRAY[part.part],
    bucket_count = (
        SELECT count(*) FROM projection_parts AS each WHERE each.name = part.name AND each.version = part.version
    );

ALTER TABLE projection_parts ALTER COLUMN bucket_count SET NOT NULL, ALTER COLUMN buckets SET NOT NULL;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(BUCKETS)

"""Events of a type by position and stream, so that a part of a rebuild is told from the others by the index alone.

A part has the streams of a range of ids. What was being built in parts by hash is begun anew with the next rebuild.
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

RANGES = """
DROP INDEX events_by_type;
-- Most events of an order say no more than when they happened: these need not be fetched either.
CREATE INDEX events_by_type ON events (type, schema_version, position, stream_id) INCLUDE (occurred_at);

UPDATE projection_catalogue AS entry SET status = 'retired', updated_at = clock_timestamp()
WHERE status = 'building'
    AND EXISTS (SELECT FROM projection_parts AS part WHERE part.name = entry.name AND part.version = entry.version);
DELETE FROM projection_parts;

ALTER TABLE projection_parts
    DROP COLUMN bucket_count, DROP COLUMN buckets,
    ADD COLUMN first_stream uuid NOT NULL, ADD COLUMN last_stream uuid NOT NULL;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(RANGES)

"""The index by type also says which stream an event is of and when it happened.

Most events of an order say no more than that: a rebuild that asks what became of it need not fetch them.
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

INDEX = """
DROP INDEX events_by_type;
CREATE INDEX events_by_type ON events (type, schema_version, position) INCLUDE (stream_id, occurred_at);
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(INDEX)

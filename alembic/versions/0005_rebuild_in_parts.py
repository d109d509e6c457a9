"""Checkpoints of a rebuild that is done in parts, and a log whose wide events are read without unpacking.

An event of more than two kilobytes was compressed, and unpacked again for each of its fields that a projection reads.
Rows that are there already stay as they are; both read alike.
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

PARTS = """
ALTER TABLE events SET (toast_tuple_target = 8160);

CREATE TABLE projection_parts (
    name      text COLLATE "C" NOT NULL,
    version   integer NOT NULL,
    part      integer NOT NULL,
    position  bigint NOT NULL,
    PRIMARY KEY (name, version, part),
    FOREIGN KEY (name, version) REFERENCES projection_catalogue ON DELETE CASCADE
) WITH (fillfactor = 50);
"""


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("SELECT current_schema()").scalar_one()
    op.get_bind().exec_driver_sql(PARTS)
    app = '"' + f"{schema}_app".replace('"', '""') + '"'
    op.get_bind().exec_driver_sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON projection_parts TO {app}")

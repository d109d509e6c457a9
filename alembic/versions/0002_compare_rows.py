"""The rows that differ between two compared versions, kept one by one, so that they can be paged and exported."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ROWS = """
CREATE TABLE projection_compare_rows (
    -- Its rows are kept before the comparison is, in one transaction.
    compare_id uuid NOT NULL REFERENCES projection_compares (id) DEFERRABLE INITIALLY DEFERRED,
    number     bigint NOT NULL,
    table_name text COLLATE "C" NOT NULL,
    key        jsonb NOT NULL,
    old        jsonb,
    new        jsonb,
    PRIMARY KEY (compare_id, number)
);
"""


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("SELECT current_schema()").scalar_one()
    app = '"' + f"{schema}_app".replace('"', '""') + '"'
    op.get_bind().exec_driver_sql(ROWS)
    op.get_bind().exec_driver_sql(f"GRANT SELECT, INSERT ON projection_compare_rows TO {app}")

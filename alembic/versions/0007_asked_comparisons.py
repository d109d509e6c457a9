"""Comparisons that were asked for and are not there yet, so that one whose server was killed is taken up again."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ASKED = """
CREATE TABLE asked_comparisons (
    id        uuid PRIMARY KEY,
    question  jsonb NOT NULL,
    asked_by  text COLLATE "C" NOT NULL,
    asked_at  timestamptz NOT NULL,
    refusal   text
);

-- Apart, so that it can be counted while whoever works on the comparison holds its row.
CREATE TABLE asked_comparison_attempts (
    id        uuid PRIMARY KEY REFERENCES asked_comparisons ON DELETE CASCADE,
    attempts  integer NOT NULL
);
"""


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("SELECT current_schema()").scalar_one()
    op.get_bind().exec_driver_sql(ASKED)
    app = '"' + f"{schema}_app".replace('"', '""') + '"'
    op.get_bind().exec_driver_sql(
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON asked_comparisons, asked_comparison_attempts TO {app}"
    )

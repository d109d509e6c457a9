"""Idempotency keys of mutations that are no commands of the domain, with what each was answered with."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

KEYS = """
CREATE TABLE operation_keys (
    actor        text COLLATE "C" NOT NULL,
    key          text COLLATE "C" NOT NULL,
    request_hash bytea NOT NULL,
    answer       jsonb,
    recorded_at  timestamptz NOT NULL,
    PRIMARY KEY (actor, key)
);
CREATE INDEX operation_keys_recorded_at ON operation_keys (recorded_at);
"""


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("SELECT current_schema()").scalar_one()
    op.get_bind().exec_driver_sql(KEYS)
    app = '"' + f"{schema}_app".replace('"', '""') + '"'
    op.get_bind().exec_driver_sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON operation_keys TO {app}")

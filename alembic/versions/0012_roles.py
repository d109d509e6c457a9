"""Whose role an event was recorded in, and holders of several roles, each for its stores and its time."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

ROLES = """
-- Of events that were recorded before, the role is not known; their hashes go without it.
ALTER TABLE events ADD COLUMN role text COLLATE "C";

-- What the holder of a token may act as besides the token's own role.
CREATE TABLE api_token_roles (
    token_id    uuid NOT NULL REFERENCES api_tokens ON DELETE CASCADE,
    role        text COLLATE "C" NOT NULL,
    store_ids   uuid[],
    valid_from  timestamptz,
    valid_until timestamptz CHECK (valid_until > valid_from),
    given_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (token_id, role)
);
"""


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("SELECT current_schema()").scalar_one()
    op.get_bind().exec_driver_sql(ROLES)
    app = '"' + f"{schema}_app".replace('"', '""') + '"'
    op.get_bind().exec_driver_sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON api_token_roles TO {app}")

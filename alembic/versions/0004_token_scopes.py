"""What an API token is for: the commands and questions that it was given for, of all that its role may."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.get_bind().exec_driver_sql("ALTER TABLE api_tokens ADD COLUMN scopes text[] CHECK (cardinality(scopes) > 0)")

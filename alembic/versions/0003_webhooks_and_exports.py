"""Webhooks and exports: who is told what, how far each is, what could not be delivered; which files were asked for.

None of it is history: it says what this operator's servers are to do, and is changed and deleted like any setting.
Whoever works on a webhook or an export holds the row that nobody else changes meanwhile (`webhook_cursors`,
`export_jobs`); what others say to it stands in the other row.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

WEBHOOKS = """
CREATE TABLE webhooks (
    id            uuid PRIMARY KEY,
    url           text NOT NULL,
    description   text NOT NULL,
    types         text[],
    store_ids     uuid[],
    with_imports  boolean NOT NULL,
    state         text COLLATE "C" NOT NULL CHECK (state IN ('active', 'paused', 'disabled', 'deleted')),
    reason        text,
    changed_at    timestamptz NOT NULL,
    registered_by text NOT NULL,
    registered_at timestamptz NOT NULL,
    request_hash  bytea NOT NULL
);

CREATE TABLE webhook_secrets (
    webhook_id   uuid NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    number       integer NOT NULL,
    sealed       bytea NOT NULL,
    made_at      timestamptz NOT NULL,
    expires_at   timestamptz,
    rotation_key text COLLATE "C" NOT NULL,
    PRIMARY KEY (webhook_id, number),
    UNIQUE (webhook_id, rotation_key)
);

CREATE TABLE webhook_cursors (
    webhook_id   uuid PRIMARY KEY REFERENCES webhooks ON DELETE CASCADE,
    position     bigint NOT NULL,
    attempts     integer NOT NULL DEFAULT 0,
    dead_in_row  integer NOT NULL DEFAULT 0,
    due_at       timestamptz NOT NULL,
    tried_at     timestamptz,
    delivered_at timestamptz,
    last_error   text
) WITH (fillfactor = 50);

CREATE TABLE webhook_dead_letters (
    webhook_id uuid NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    position   bigint NOT NULL,
    attempts   integer NOT NULL,
    error      text NOT NULL,
    dead_at    timestamptz NOT NULL,
    again_at   timestamptz,
    PRIMARY KEY (webhook_id, position)
);
CREATE INDEX webhook_dead_letters_again ON webhook_dead_letters (again_at) WHERE again_at IS NOT NULL;
"""

EXPORTS = """
CREATE TABLE export_jobs (
    id            uuid PRIMARY KEY,
    dataset       text COLLATE "C" NOT NULL,
    format        text COLLATE "C" NOT NULL,
    store_ids     uuid[],
    asked_from    timestamptz,
    asked_before  timestamptz,
    requested_by  text COLLATE "C" NOT NULL,
    role          text COLLATE "C" NOT NULL,
    requested_at  timestamptz NOT NULL,
    request_hash  bytea NOT NULL,
    state         text COLLATE "C" NOT NULL CHECK (state IN ('waiting', 'done', 'failed', 'cancelled')),
    reason        text,
    ended_at      timestamptz,
    manifest      jsonb
);
CREATE INDEX export_jobs_waiting ON export_jobs (requested_at) WHERE state = 'waiting';
CREATE INDEX export_jobs_requested ON export_jobs (requested_by, requested_at DESC, id DESC);

CREATE TABLE export_progress (
    job_id       uuid PRIMARY KEY REFERENCES export_jobs ON DELETE CASCADE,
    attempts     integer NOT NULL DEFAULT 0,
    started_at   timestamptz,
    rows_done    bigint NOT NULL DEFAULT 0,
    percent      smallint,
    cancel_asked boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);
"""

GRANTS = """
GRANT SELECT, INSERT, UPDATE, DELETE ON
    webhooks, webhook_secrets, webhook_cursors, webhook_dead_letters, export_jobs, export_progress
    TO {app};
"""


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("SELECT current_schema()").scalar_one()
    app = '"' + f"{schema}_app".replace('"', '""') + '"'
    for script in (WEBHOOKS, EXPORTS, GRANTS.format(app=app)):
        op.get_bind().exec_driver_sql(script)

"""The log, what guards it, and the catalogue.

Everything lives in the tenant's schema (the search path of the migrating connection); read-model tables belong to
their projection and are never migrated. The application's role is `<schema>_app`: it may read and append to
`events`, nothing else there, and a trigger refuses every change for everybody, the owner included.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

LOG = """
CREATE TABLE events (
    position           bigint PRIMARY KEY CHECK (position > 0),
    stream_id          uuid NOT NULL,
    version            integer NOT NULL CHECK (version > 0),
    stream_type        text COLLATE "C" NOT NULL,
    type               text COLLATE "C" NOT NULL,
    schema_version     smallint NOT NULL,
    store_id           uuid NOT NULL,
    occurred_at        timestamptz NOT NULL,
    recorded_at        timestamptz NOT NULL,
    time_zone          text COLLATE "C" NOT NULL,
    actor              text COLLATE "C" NOT NULL,
    origin             text COLLATE "C" NOT NULL CHECK (origin IN ('live', 'import')),
    idempotency_key    text COLLATE "C" NOT NULL,
    correlation_id     text COLLATE "C",
    causation_position bigint,
    data               jsonb NOT NULL,
    hash               bytea NOT NULL CHECK (octet_length(hash) = 32),
    UNIQUE (stream_id, version)
) WITH (autovacuum_vacuum_insert_threshold = 200000, autovacuum_analyze_threshold = 50000);

CREATE INDEX events_recorded_at ON events USING brin (recorded_at) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX events_occurred_at ON events USING brin (occurred_at) WITH (pages_per_range = 32, autosummarize = on);
-- Finds the events of rare types, and which types there are, without reading the log.
CREATE INDEX events_by_type ON events (type, schema_version, position);
-- Erasures are looked up at every start.
CREATE INDEX events_erasures ON events (stream_id) WHERE type = 'CustomerErased';

CREATE FUNCTION refuse_change_of_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log only grows: % on events is refused', TG_OP USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER events_only_grow BEFORE UPDATE OR DELETE ON events
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_history();
CREATE TRIGGER events_are_never_cut BEFORE TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_history();
ALTER TABLE events ENABLE ALWAYS TRIGGER events_only_grow;
ALTER TABLE events ENABLE ALWAYS TRIGGER events_are_never_cut;

-- One row that is locked, never updated: whoever holds it is this tenant's one writer.
CREATE TABLE log_lock (held boolean PRIMARY KEY DEFAULT true CHECK (held));
INSERT INTO log_lock DEFAULT VALUES;

CREATE VIEW audit_events AS
SELECT position, store_id, stream_id, version, type, recorded_at, data,
       (SELECT before.hash FROM events AS before WHERE before.position = event.position - 1) AS previous_hash, hash
FROM events AS event;
"""

WRITING = """
CREATE TABLE commands (
    actor        text COLLATE "C" NOT NULL,
    scope        text COLLATE "C" NOT NULL,
    key          text COLLATE "C" NOT NULL,
    request_hash bytea NOT NULL,
    outcome      text COLLATE "C" NOT NULL CHECK (outcome IN ('accepted', 'refused')),
    aggregate_id uuid,
    position     bigint,
    refusal      jsonb,
    recorded_at  timestamptz NOT NULL,
    PRIMARY KEY (actor, scope, key)
);
CREATE INDEX commands_recorded_at ON commands USING brin (recorded_at);

CREATE TABLE claims (
    kind      text COLLATE "C" NOT NULL,
    scope     text COLLATE "C" NOT NULL,
    value     text COLLATE "C" NOT NULL,
    stream_id uuid NOT NULL,
    PRIMARY KEY (kind, scope, value)
);
CREATE INDEX claims_stream ON claims (stream_id);

CREATE TABLE snapshots (
    stream_id   uuid NOT NULL,
    version     integer NOT NULL,
    stream_type text COLLATE "C" NOT NULL,
    fold_digest text COLLATE "C" NOT NULL,
    state       json NOT NULL,  -- not jsonb, which would forget the order of keys
    started_at  timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    taken_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream_id, version)
);
"""

FOLLOWING = """
CREATE TABLE policy_checkpoints (
    name     text COLLATE "C" PRIMARY KEY,
    position bigint NOT NULL
);
CREATE TABLE due_times (
    policy    text COLLATE "C" NOT NULL,
    stream_id uuid NOT NULL,
    due_at    timestamptz NOT NULL,
    position  bigint NOT NULL,
    attempts  integer NOT NULL DEFAULT 0,
    refusal   text,
    PRIMARY KEY (policy, stream_id, due_at)
);
CREATE INDEX due_times_due_at ON due_times (due_at);

CREATE TABLE projection_catalogue (
    name             text COLLATE "C" NOT NULL,
    version          integer NOT NULL,
    digest           text COLLATE "C" NOT NULL,
    sql              jsonb NOT NULL,
    rules            jsonb NOT NULL,
    status           text COLLATE "C" NOT NULL
                     CHECK (status IN ('building', 'ready', 'serving', 'frozen', 'retired')),
    position         bigint NOT NULL DEFAULT 0,
    failed_position  bigint,
    failed_statement text,
    error            text,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    promoted_at      timestamptz,
    promoted_by      text,
    PRIMARY KEY (name, version)
) WITH (fillfactor = 50);
-- Two versions of one projection never serve at once.
CREATE UNIQUE INDEX projection_serving ON projection_catalogue (name) WHERE status = 'serving';

CREATE TABLE projection_compares (
    id             uuid PRIMARY KEY,
    name           text COLLATE "C" NOT NULL,
    old_version    integer NOT NULL,
    new_version    integer NOT NULL,
    compared_at    timestamptz NOT NULL DEFAULT now(),
    compared_by    text NOT NULL,
    position       bigint NOT NULL,
    digest         text NOT NULL,
    differing_rows bigint NOT NULL,
    totals         jsonb NOT NULL,
    sample         jsonb NOT NULL
);

CREATE VIEW audit_position AS
SELECT name AS projection, version, position FROM projection_catalogue WHERE status IN ('serving', 'ready', 'building');

CREATE TABLE api_tokens (
    id           uuid PRIMARY KEY,
    token_hash   bytea NOT NULL UNIQUE,
    name         text NOT NULL,
    role         text NOT NULL,
    store_ids    uuid[],
    customer_id  uuid,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    revoked_at   timestamptz,
    last_used_at timestamptz
);
"""

KEYS = """
CREATE SCHEMA IF NOT EXISTS {keys};
CREATE TABLE {keys}.subject_keys (
    subject_id  uuid PRIMARY KEY,
    wrapped_key bytea,
    created_at  timestamptz NOT NULL DEFAULT now(),
    erased_at   timestamptz,
    CHECK ((wrapped_key IS NULL) = (erased_at IS NOT NULL))
);
GRANT USAGE ON SCHEMA {keys} TO {app};
GRANT SELECT, INSERT, UPDATE ON {keys}.subject_keys TO {app};
"""

GRANTS = """
GRANT USAGE, CREATE ON SCHEMA {schema} TO {app};
GRANT SELECT, INSERT ON events TO {app};
-- Locking a row asks for UPDATE on one column; there is nothing in it that could be changed to anything else.
GRANT SELECT, UPDATE (held) ON log_lock TO {app};
GRANT SELECT ON audit_events, audit_position TO {app};
GRANT SELECT, INSERT, UPDATE, DELETE ON
    commands, claims, snapshots, policy_checkpoints, due_times, projection_catalogue, projection_compares, api_tokens
    TO {app};
"""


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("SELECT current_schema()").scalar_one()
    names = {"schema": _quoted(schema), "app": _quoted(f"{schema}_app"), "keys": _quoted(f"{schema}_keys")}
    for script in (LOG, WRITING, FOLLOWING):
        op.get_bind().exec_driver_sql(script)
    op.get_bind().exec_driver_sql(KEYS.format(**names))
    op.get_bind().exec_driver_sql(GRANTS.format(**names))

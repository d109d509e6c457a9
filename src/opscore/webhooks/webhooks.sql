-- add: keep a new webhook; asked again under the same id, nothing changes.
INSERT INTO webhooks
    (id, url, description, types, store_ids, with_imports, state, changed_at, registered_by, registered_at, request_hash)
VALUES
    (:id, :url, :description, :types::text[], :store_ids::uuid[], :with_imports, 'active', :now, :actor, :now,
     :request_hash)
ON CONFLICT (id) DO NOTHING;

-- add_cursor: begin behind a position.
INSERT INTO webhook_cursors (webhook_id, position, due_at)
VALUES (:id, :position, :now);

-- counted: how many webhooks there are.
SELECT count(*) FROM webhooks WHERE state <> 'deleted';

-- head: the newest position of the log.
SELECT COALESCE(max(position), 0) FROM events;

-- request: what a webhook was registered with, whatever became of it.
SELECT request_hash FROM webhooks WHERE id = :id;

-- add_secret: keep a new secret, behind those there are.
INSERT INTO webhook_secrets (webhook_id, number, sealed, made_at, rotation_key)
SELECT :id, COALESCE(max(number), 0) + 1, :sealed, :now, :rotation_key
FROM webhook_secrets
WHERE webhook_id = :id;

-- rotated: whether this rotation was made before.
SELECT FROM webhook_secrets WHERE webhook_id = :id AND rotation_key = :rotation_key;

-- let_expire: the secrets so far sign until a moment, or until the one before that had been set.
UPDATE webhook_secrets
SET expires_at = :expires_at
WHERE webhook_id = :id AND (expires_at IS NULL OR expires_at > :expires_at);

-- secrets: what signs at a moment, newest first.
SELECT sealed
FROM webhook_secrets
WHERE webhook_id = :id AND (expires_at IS NULL OR expires_at > :now)
ORDER BY number DESC;

-- forget_secrets: a webhook that is deleted signs no more.
DELETE FROM webhook_secrets WHERE webhook_id = :id;

-- webhooks: the webhooks (or one, by :id) all of whose stores lie within these, oldest first; NULL stores are all stores.
SELECT
    hook.id, hook.url, hook.description, hook.types, hook.store_ids, hook.with_imports, hook.state, hook.reason,
    hook.changed_at, hook.registered_by, hook.registered_at, stand.position, stand.attempts, stand.due_at,
    stand.tried_at, stand.delivered_at, stand.last_error,
    (SELECT COALESCE(max(event.position), 0) FROM events AS event) AS head,
    (SELECT count(*) FROM webhook_dead_letters AS dead WHERE dead.webhook_id = hook.id) AS dead_letters,
    (SELECT count(*) FROM webhook_secrets AS secret
     WHERE secret.webhook_id = hook.id AND (secret.expires_at IS NULL OR secret.expires_at > now())) AS secrets
FROM webhooks AS hook JOIN webhook_cursors AS stand ON stand.webhook_id = hook.id
WHERE hook.state <> 'deleted' AND (:id::uuid IS NULL OR hook.id = :id::uuid)
    AND (:store_ids::uuid[] IS NULL OR hook.store_ids <@ :store_ids::uuid[])
ORDER BY hook.registered_at, hook.id;

-- hold: a webhook that lies within these stores, held until the transaction ends.
SELECT state
FROM webhooks
WHERE id = :id AND state <> 'deleted' AND (:store_ids::uuid[] IS NULL OR store_ids <@ :store_ids::uuid[])
FOR NO KEY UPDATE;

-- set_state: what a webhook does from now on, and why.
UPDATE webhooks
SET state = :state, reason = :reason, changed_at = :now
WHERE id = :id;

-- begin_again: whatever failed before, the next delivery is due now and is a first one; nothing while one is under way.
UPDATE webhook_cursors
SET attempts = 0, dead_in_row = 0, due_at = :now
WHERE webhook_id = (SELECT held.webhook_id FROM webhook_cursors AS held WHERE held.webhook_id = :id FOR UPDATE SKIP LOCKED);

-- dead_letters: what could not be delivered to a webhook, by position behind one.
SELECT dead.position, event.type, dead.attempts, dead.error, dead.dead_at, dead.again_at IS NOT NULL AS waits
FROM webhook_dead_letters AS dead
JOIN webhooks AS hook ON hook.id = dead.webhook_id
JOIN events AS event ON event.position = dead.position
WHERE dead.webhook_id = :id AND dead.position > :after AND hook.state <> 'deleted'
    AND (:store_ids::uuid[] IS NULL OR hook.store_ids <@ :store_ids::uuid[])
ORDER BY dead.position
LIMIT :limit;

-- again: try these dead letters (all of the webhook's for NULL) once more.
UPDATE webhook_dead_letters
SET again_at = :now
WHERE webhook_id = :id AND (:positions::bigint[] IS NULL OR position = ANY (:positions::bigint[]));

-- due: webhooks with something to deliver now, the longest due first.
SELECT stand.webhook_id
FROM webhook_cursors AS stand JOIN webhooks AS hook ON hook.id = stand.webhook_id
WHERE hook.state = 'active'
    AND (
        (stand.due_at <= :now AND stand.position < (SELECT COALESCE(max(event.position), 0) FROM events AS event))
        OR EXISTS (
            SELECT FROM webhook_dead_letters AS dead
            WHERE dead.webhook_id = stand.webhook_id AND dead.again_at <= :now
        )
    )
ORDER BY stand.due_at, stand.webhook_id;

-- take: a webhook and where it stands, held until the transaction ends; no row while another process delivers to it.
SELECT
    hook.url, hook.types, hook.store_ids, hook.with_imports, stand.position, stand.attempts, stand.dead_in_row,
    stand.due_at
FROM webhook_cursors AS stand JOIN webhooks AS hook ON hook.id = stand.webhook_id
WHERE stand.webhook_id = :id AND hook.state = 'active'
FOR UPDATE OF stand SKIP LOCKED;

-- next_event: the first event behind a position and up to another that a webhook is for.
SELECT position, stream_id, version, stream_type, type, schema_version, store_id, occurred_at, recorded_at, time_zone,
    actor, origin, idempotency_key, correlation_id, causation_position, data, hash, role
FROM events
WHERE position > :after AND position <= :until
    AND (:types::text[] IS NULL OR type = ANY (:types::text[]))
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
    AND (:with_imports OR origin = 'live')
ORDER BY position
LIMIT 1;

-- next_dead: the first dead letter that is to be tried once more.
SELECT position, attempts
FROM webhook_dead_letters
WHERE webhook_id = :id AND again_at <= :now
ORDER BY position
LIMIT 1;

-- event_at: one event of the log.
SELECT position, stream_id, version, stream_type, type, schema_version, store_id, occurred_at, recorded_at, time_zone,
    actor, origin, idempotency_key, correlation_id, causation_position, data, hash, role
FROM events
WHERE position = :position;

-- move: everything up to here is delivered, put aside, or not for this webhook.
UPDATE webhook_cursors SET position = :position WHERE webhook_id = :id;

-- delivered: an event was taken; the next is due.
UPDATE webhook_cursors
SET position = :position, attempts = 0, dead_in_row = 0, due_at = :now, tried_at = :now, delivered_at = :now,
    last_error = NULL
WHERE webhook_id = :id;

-- failed: an event was not taken; it comes again.
UPDATE webhook_cursors
SET attempts = :attempts, due_at = :due_at, tried_at = :now, last_error = :error
WHERE webhook_id = :id;

-- passed_over: an event was put aside; the next is due.
UPDATE webhook_cursors
SET position = :position, attempts = 0, dead_in_row = dead_in_row + 1, due_at = :now, tried_at = :now,
    last_error = :error
WHERE webhook_id = :id;

-- bury: put an event aside, with why.
INSERT INTO webhook_dead_letters (webhook_id, position, attempts, error, dead_at)
VALUES (:id, :position, :attempts, :error, :now)
ON CONFLICT (webhook_id, position) DO UPDATE SET attempts = excluded.attempts, error = excluded.error;

-- raised: a dead letter was delivered after all.
DELETE FROM webhook_dead_letters WHERE webhook_id = :id AND position = :position;

-- still_dead: a dead letter was tried once more in vain.
UPDATE webhook_dead_letters
SET attempts = attempts + 1, error = :error, again_at = NULL
WHERE webhook_id = :id AND position = :position;

-- disable: deliver no more until a person says so; what a person has said meanwhile stands.
UPDATE webhooks
SET state = 'disabled', reason = :reason, changed_at = :now
WHERE id = :id AND state = 'active';

-- counts: how many webhooks are in which state, what is dead, and how far the slowest active one is behind the log.
SELECT
    count(*) FILTER (WHERE hook.state = 'active') AS active,
    count(*) FILTER (WHERE hook.state = 'paused') AS paused,
    count(*) FILTER (WHERE hook.state = 'disabled') AS disabled,
    (SELECT count(*) FROM webhook_dead_letters) AS dead_letters,
    COALESCE(
        (SELECT max(event.position) FROM events AS event)
            - min(stand.position) FILTER (WHERE hook.state = 'active'),
        0
    ) AS behind
FROM webhooks AS hook JOIN webhook_cursors AS stand ON stand.webhook_id = hook.id
WHERE hook.state <> 'deleted';

-- purge_secrets: what has not signed for longer than keys of commands are remembered.
DELETE FROM webhook_secrets
WHERE expires_at < :now::timestamptz - make_interval(days => :days);

-- purge: what was deleted longer ago than keys of commands are remembered.
DELETE FROM webhooks
WHERE state = 'deleted' AND changed_at < :now::timestamptz - make_interval(days => :days);

-- begin: make a reader's checkpoint, at the beginning of the log.
INSERT INTO policy_checkpoints (name, position)
VALUES (:name, 0)
ON CONFLICT (name) DO NOTHING;

-- take: the checkpoint of a reader, held until the transaction ends; no row while another process holds it.
SELECT position
FROM policy_checkpoints
WHERE name = :name
FOR UPDATE SKIP LOCKED;

-- stand: where a reader stands.
SELECT position
FROM policy_checkpoints
WHERE name = :name;

-- move: everything up to here is done.
UPDATE policy_checkpoints
SET position = :position
WHERE name = :name;

-- head: the newest position of the log.
SELECT COALESCE(max(position), 0)
FROM events;

-- live_events: what happened live after a position and up to another, of some types, oldest first. Imports lead to nothing.
SELECT position, stream_id, version, type, schema_version, occurred_at, recorded_at, correlation_id, data::text AS data
FROM events
WHERE position > :after AND position <= :until AND type = ANY(:types::text[]) AND origin = 'live'
ORDER BY position
LIMIT :limit;

-- add_due: note that something falls due; noted twice, it is due once. It waits for whoever is at it: what they have given
-- was decided without this event.
INSERT INTO due_times AS known (policy, stream_id, due_at, position)
VALUES (:policy, :stream_id, :due_at, :position)
ON CONFLICT (policy, stream_id, due_at) DO UPDATE
SET position = excluded.position, refusal = NULL
WHERE known.position < excluded.position;

-- take_due: what is due and nobody is at, earliest first, held until the transaction ends. What was refused is not asked again.
SELECT policy, stream_id, due_at, position
FROM due_times
WHERE due_at <= :now AND refusal IS NULL
ORDER BY due_at
LIMIT :limit
FOR UPDATE SKIP LOCKED;

-- done: something that was due is over.
DELETE FROM due_times
WHERE policy = :policy AND stream_id = :stream_id AND due_at = :due_at;

-- refused: something that was due was refused; the row stays to be seen.
UPDATE due_times
SET attempts = attempts + 1, refusal = :refusal
WHERE policy = :policy AND stream_id = :stream_id AND due_at = :due_at;

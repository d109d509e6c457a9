-- holders: what holds a name that must be unique: a code, a reference, a name of a store.
SELECT claim.kind, claim.scope, claim.stream_id FROM claims AS claim WHERE claim.value = :value ORDER BY 1, 2, 3;

-- events: the events of one stream, oldest first, with what says when, by whom and about what.
SELECT event.position, event.version, event.type, event.schema_version, event.occurred_at, event.recorded_at,
    event.time_zone, event.actor, event.origin, convert_to(event.data::text, 'UTF8') AS data, event.stream_type
FROM events AS event
WHERE event.stream_id = :stream_id AND event.version > :after AND event.position <= :until
ORDER BY event.version
LIMIT :limit;

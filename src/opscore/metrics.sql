-- head: the newest position of the log.
SELECT COALESCE(max(position), 0) FROM events;

-- projections: how each version that is kept of a projection stands (copies of the past and of what-ifs left out).
SELECT
    entry.name, entry.version, entry.status, stand.position, entry.failed_position IS NOT NULL AS failed,
    greatest(head.position - stand.position, 0) AS lag_events,
    COALESCE(extract(epoch FROM clock_timestamp() - waiting.recorded_at), 0)::float8 AS lag_seconds
FROM projection_catalogue AS entry
CROSS JOIN (SELECT COALESCE(max(event.position), 0) AS position FROM events AS event) AS head
-- Built in parts, it has come as far as the slowest of them.
CROSS JOIN LATERAL (
    SELECT COALESCE(min(part.position), entry.position) AS position
    FROM projection_parts AS part
    WHERE part.name = entry.name AND part.version = entry.version
) AS stand
LEFT JOIN events AS waiting ON waiting.position = stand.position + 1
WHERE entry.status <> 'retired' AND strpos(entry.name, '/') = 0
ORDER BY entry.name, entry.version;

-- exports: how many exports are in which state, until they are forgotten.
SELECT state, count(*) FROM export_jobs GROUP BY state;

-- previous_hash: the hash that the first event of a period was chained to.
SELECT hash FROM events WHERE position = :position;

-- events: some rows of the log, exactly as they are stored.
SELECT position, stream_id, version, stream_type, type, schema_version, store_id, occurred_at, recorded_at, time_zone,
    actor, origin, idempotency_key, correlation_id, causation_position, role, convert_to(data::text, 'UTF8'), hash
FROM events
WHERE position > :after AND position <= :until
ORDER BY position;

-- catalogue: every version of every projection, with its own texts and rules and where it stands.
SELECT name, version, digest, rules, status, position, failed_position, failed_statement, error, created_at, updated_at,
    promoted_at, promoted_by, sql
FROM projection_catalogue
ORDER BY name, version;

-- compares: what the comparisons said that were made while the log stood within the period.
SELECT id, name, old_version, new_version, compared_at, compared_by, position, digest, differing_rows, totals, sample
FROM projection_compares
WHERE position > :after AND position <= :until
ORDER BY compared_at, id;

-- kpis: every definition of a key figure and when it was in force.
SELECT code, version, digest, definition, in_force_from, in_force_until
FROM kpi_definitions
ORDER BY code, in_force_from;

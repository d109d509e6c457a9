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
    promoted_at, promoted_by, failed_checks, sql
FROM projection_catalogue
ORDER BY name, version;

-- compares: what the comparisons said that were made while the log stood within the period.
SELECT made.id, made.name, made.old_version, made.new_version, made.compared_at, made.compared_by, made.position, made.digest,
    made.differing_rows, made.totals, made.sample, made.remarks, made.rows_with_events,
    (SELECT count(*) FROM projection_compare_rows AS kept WHERE kept.compare_id = made.id) AS rows_kept
FROM projection_compares AS made
WHERE made.position > :after AND made.position <= :until
ORDER BY made.compared_at, made.id;

-- compare_rows: the differing rows that those comparisons have kept, with the events behind them as far as they were kept.
SELECT kept.compare_id, kept.number, kept.table_name, kept.key, kept.old, kept.new, CASE
        WHEN kept.number <= made.rows_with_events THEN coalesce((
            SELECT jsonb_agg(jsonb_build_array(event.position, event.old, event.new) ORDER BY event.place)
            FROM projection_compare_events AS event
            WHERE event.compare_id = kept.compare_id AND event.number = kept.number
        ), '[]')
    END AS events
FROM projection_compares AS made JOIN projection_compare_rows AS kept ON kept.compare_id = made.id
WHERE made.id = ANY (:compares)
ORDER BY made.compared_at, made.id, kept.number;

-- promotions: what was let serve while the log stood within the period; with its beginning, what was so on an empty log.
SELECT name, number, version, from_version, digest, position, promoted_at, promoted_by, compare_id, despite
FROM projection_promotions
WHERE (position > :after OR :after = 0) AND position <= :until
ORDER BY name, number;

-- kpis: every definition of a key figure and when it was in force.
SELECT code, version, digest, definition, in_force_from, in_force_until
FROM kpi_definitions
ORDER BY code, in_force_from;

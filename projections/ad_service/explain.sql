-- ad_spans: the events between which a plan ran.
SELECT span.position, span.event, span.started_at AS occurred_at, span.started_on AS day FROM ad_spans AS span
WHERE span.position = :position::bigint AND span.position > :window_from AND span.position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR span.store_id = ANY (:store_ids::uuid[]))
UNION ALL
SELECT stop.position, stop.event, stop.occurred_at, stop.day
FROM (
    SELECT position, 'AdPlanPaused' AS event, occurred_at, (occurred_at AT TIME ZONE time_zone)::date AS day
    FROM ad_plan_paused
    UNION ALL SELECT position, 'AdPlanEnded', occurred_at, (occurred_at AT TIME ZONE time_zone)::date FROM ad_plan_ended
) AS stop
JOIN ad_spans AS span ON span.stopped_position = stop.position
WHERE span.position = :position::bigint AND (:store_ids::uuid[] IS NULL OR span.store_id = ANY (:store_ids::uuid[]));

-- ad_monitored_days: everything that was said of a plan on a day; the first word counts.
SELECT position, 'AdMonitored' AS event, occurred_at, note FROM ad_monitored
WHERE plan_id = :plan_id::uuid AND day = :day::date
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]));

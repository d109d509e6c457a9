-- spans_are_the_log: each launch and resumption begins a span, and no more than one of a plan is open.
SELECT coalesce(kept.position, log.position) AS position, kept.plan_id, log.plan_id AS plan_in_log
FROM ad_spans AS kept
FULL JOIN (
    SELECT position, plan_id FROM ad_plan_launched UNION ALL SELECT position, plan_id FROM ad_plan_resumed
) AS log ON log.position = kept.position
WHERE kept.plan_id IS DISTINCT FROM log.plan_id;

-- one_open_span: a plan runs once at a time.
SELECT kept.plan_id, count(*) AS spans FROM ad_spans AS kept WHERE kept.stopped_position IS NULL
GROUP BY 1 HAVING count(*) > 1;

-- monitored_days_are_the_log: each day that was told of is there once, with the first word about it.
SELECT coalesce(kept.plan_id, log.plan_id) AS plan_id, coalesce(kept.day, log.day) AS day, kept.position,
    log.position AS first_in_log
FROM ad_monitored_days AS kept
FULL JOIN (SELECT plan_id, day, min(position) AS position FROM ad_monitored GROUP BY 1, 2) AS log
    ON log.plan_id = kept.plan_id AND log.day = kept.day
WHERE kept.position IS DISTINCT FROM log.position;

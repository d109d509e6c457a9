-- plan_spans: from which day to which a plan of these stores ran, the latest first.
SELECT span.position, span.campaign_id, span.plan_id, span.store_id, span.started_on, span.stopped_on
FROM ad_spans AS span
WHERE (:store_ids::uuid[] IS NULL OR span.store_id = ANY (:store_ids::uuid[]))
ORDER BY span.position DESC
LIMIT coalesce(:row_limit::bigint, 1000);

-- fact_rows: days on which a plan was to be looked at, and those of them on which it was, as known at :as_of (always to be given). It is
-- to be looked at on each day on which it ran from midnight to midnight, once that is over by :now, if it is a working day by the
-- calendar of the store as it was when the day was over, or any day where the policy in force then says so. The day of a launch,
-- a resumption, a pause or the end is none.
SELECT said.position, said.place, said.event, said.occurred_at, said.measure, due.store_id, due.day, NULL::bigint AS hour,
    NULL::text AS currency, NULL::uuid AS order_id, NULL::uuid AS who, NULL::text AS channel, 1::numeric AS amount,
    CASE :by::text WHEN 'store' THEN due.store_id::text WHEN 'campaign' THEN due.campaign_id::text END AS slice
FROM (
    SELECT span.position, span.event, span.started_at, span.campaign_id, span.plan_id, span.store_id, each.at::date AS day,
        (each.at + interval '1 day') AT TIME ZONE span.time_zone AS over_at
    FROM ad_spans AS span
    CROSS JOIN (
        -- Without :now, what is known ends with the last thing that happened.
        SELECT coalesce(:now::timestamptz, max(last.at)) AS now FROM (
            SELECT max(one.started_at) AS at FROM ad_spans AS one
            UNION ALL SELECT max(one.occurred_at) FROM ad_monitored_days AS one
        ) AS last
    ) AS known
    CROSS JOIN LATERAL generate_series(
        greatest(span.started_on + 1, :from_day::date)::timestamp,
        least(
            CASE WHEN span.stopped_position <= :as_of::bigint THEN span.stopped_on - 1 END, :to_day::date,
            (known.now AT TIME ZONE span.time_zone)::date - 1
        )::timestamp,
        '1 day'
    ) AS each (at)
    WHERE (:store_ids::uuid[] IS NULL OR span.store_id = ANY (:store_ids::uuid[]))
        AND (:campaign_id::uuid IS NULL OR span.campaign_id = :campaign_id::uuid) AND span.position <= :as_of::bigint
) AS due
CROSS JOIN rules AS rule
LEFT JOIN LATERAL (
    SELECT one.weekdays, one.holidays, one.extra_days FROM ad_calendars AS one
    WHERE one.store_id = due.store_id AND one.position <= :as_of::bigint AND one.occurred_at < due.over_at
    ORDER BY one.position DESC LIMIT 1
) AS calendar ON true
LEFT JOIN LATERAL (
    SELECT one.every_day FROM ad_policies AS one
    WHERE one.store_id = due.store_id AND one.position <= :as_of::bigint AND one.effective_from < due.over_at
    ORDER BY one.effective_from DESC, one.policy_version DESC LIMIT 1
) AS policy ON true
LEFT JOIN ad_monitored_days AS seen
    ON seen.plan_id = due.plan_id AND seen.day = due.day AND seen.position <= :as_of::bigint
CROSS JOIN LATERAL (VALUES
    (due.position, 2 + (due.day - date '0001-01-01')::bigint, due.event, due.started_at, 'ad_days'),
    (seen.position, 1::bigint, 'AdMonitored', seen.occurred_at, 'ad_days_monitored')
) AS said (position, place, event, occurred_at, measure)
WHERE said.position IS NOT NULL AND (:measures::text[] IS NULL OR said.measure = ANY (:measures::text[]))
    AND (
        coalesce(policy.every_day, rule.monitored_every_day)
        OR to_char(due.day, 'YYYY-MM-DD') = ANY (calendar.extra_days)
        OR (
            extract(isodow FROM due.day)::bigint = ANY (coalesce(calendar.weekdays, '{1,2,3,4,5}'))
            AND to_char(due.day, 'YYYY-MM-DD') <> ALL (coalesce(calendar.holidays, '{}'))
        )
    );

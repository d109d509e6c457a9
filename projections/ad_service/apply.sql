-- started: a plan runs from its launch, and from each resumption.
INSERT INTO ad_spans (position, campaign_id, plan_id, store_id, time_zone, event, started_at, started_on)
SELECT position, stream_id, plan_id, store_id, time_zone, 'AdPlanLaunched', occurred_at,
    (occurred_at AT TIME ZONE time_zone)::date
FROM ad_plan_launched
UNION ALL
SELECT position, stream_id, plan_id, store_id, time_zone, 'AdPlanResumed', occurred_at,
    (occurred_at AT TIME ZONE time_zone)::date
FROM ad_plan_resumed;

-- stopped: it runs to the next pause, or to its end; what is paused when it ends had stopped before.
UPDATE ad_spans AS span SET stopped_position = said.stopped_position, stopped_on = said.stopped_on
FROM (
    SELECT DISTINCT ON (own.position) own.position, stop.position AS stopped_position, stop.day AS stopped_on
    FROM (
        SELECT plan_id, position, (occurred_at AT TIME ZONE time_zone)::date AS day FROM ad_plan_paused
        UNION ALL SELECT plan_id, position, (occurred_at AT TIME ZONE time_zone)::date FROM ad_plan_ended
    ) AS stop
    JOIN ad_spans AS own
        ON own.plan_id = stop.plan_id AND own.position < stop.position AND own.stopped_position IS NULL
    ORDER BY own.position, stop.position
) AS said
WHERE span.position = said.position;

-- monitored: the first word about a day is when it was looked at.
INSERT INTO ad_monitored_days (plan_id, day, campaign_id, store_id, position, occurred_at)
SELECT DISTINCT ON (plan_id, day) plan_id, day, stream_id, store_id, position, occurred_at
FROM ad_monitored ORDER BY plan_id, day, position
ON CONFLICT (plan_id, day) DO NOTHING;

-- calendars: working days of the business; hours of service to buyers are another calendar.
INSERT INTO ad_calendars (position, store_id, occurred_at, weekdays, holidays, extra_days)
SELECT position, store_id, occurred_at, weekdays, coalesce(holidays, '{}'), coalesce(extra_days, '{}')
FROM calendar_set WHERE kind = 'business';

-- policies: what each version of the policy says of monitoring.
INSERT INTO ad_policies (position, store_id, policy_version, effective_from, every_day)
SELECT position, store_id, policy_version, effective_from, coalesce((params ->> 'monitor_every_day')::boolean, false)
FROM policy_set WHERE kind = 'ad_service';

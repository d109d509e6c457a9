-- agreement_rows: agency agreements of these stores; a list chooses among them and sorts. What is paid beyond what the fee came to
-- goes back, what is missing is unpaid: both are known once an agreement has ended.
SELECT agreement.agreement_id, agreement.store_id, agreement.owner, agreement.agency, agreement.currency,
    agreement.status, agreement.signed_on, agreement.term_from, agreement.term_to, agreement.ends_at,
    agreement.monthly_fee_minor, agreement.commission_rate, agreement.document, agreement.fee_paid_minor,
    greatest(agreement.fee_paid_minor - agreement.fee_due_minor, 0)
        + CASE WHEN agreement.fee_due_minor IS NULL THEN NULL ELSE 0 END AS refund_minor,
    greatest(agreement.fee_due_minor - agreement.fee_paid_minor, 0)
        + CASE WHEN agreement.fee_due_minor IS NULL THEN NULL ELSE 0 END AS unpaid_minor,
    agreement.owner_breaches, agreement.agency_breaches,
    CASE WHEN agreement.status = 'renewal_asked' THEN agreement.answer_due_by END AS answer_due_by,
    agreement.first_fee_at, agreement.first_plan_due_by, agreement.first_plan_at, agreement.first_plan_working_days,
    agreement.first_plan_at < agreement.first_plan_due_by AS first_plan_in_time, agreement.last_day
FROM agreements AS agreement
WHERE :store_ids::uuid[] IS NULL OR agreement.store_id = ANY (:store_ids::uuid[]);

-- fact_rows: first ad plans that were due, came in time and came at all, as known at :as_of (always to be given); what falls due after
-- :now is neither in time nor late yet. Everything is dated on the day on which the first fee was received. All branches have the
-- very same types and no window function of their own.
SELECT fact.position, fact.place, fact.event, fact.occurred_at, fact.measure, fact.store_id, fact.day,
    NULL::bigint AS hour, NULL::text AS currency, NULL::uuid AS order_id, NULL::uuid AS who, NULL::text AS channel,
    fact.amount, CASE :by::text WHEN 'store' THEN fact.store_id::text END AS slice
FROM (
    SELECT step.position, 1::bigint AS place, step.event, step.occurred_at, 'first_plans_due' AS measure,
        agreement.store_id, agreement.first_fee_on AS day, 1::numeric AS amount, agreement.first_plan_due_by AS due_at
    FROM agreement_steps AS step
    JOIN agreements AS agreement ON agreement.agreement_id = step.agreement_id
    WHERE step.event = 'AgreementFeePaid'
    UNION ALL
    SELECT step.position, 2::bigint, step.event, step.occurred_at, 'first_plans_due', agreement.store_id,
        agreement.first_fee_on, -1::numeric, agreement.first_plan_due_by
    FROM agreement_steps AS step
    JOIN agreements AS agreement ON agreement.agreement_id = step.agreement_id
    CROSS JOIN rules AS rule
    WHERE step.event = 'AgreementEnded' AND rule.ended_before_due_is_not_due
        AND agreement.ends_at < agreement.first_plan_due_by AND agreement.first_plan_at IS NULL
    UNION ALL
    SELECT step.position, 3::bigint, step.event, step.occurred_at, 'first_plans_in_time', agreement.store_id,
        agreement.first_fee_on, 1::numeric, agreement.first_plan_due_by
    FROM agreement_steps AS step
    JOIN agreements AS agreement ON agreement.agreement_id = step.agreement_id
    WHERE step.event = 'AgreementFirstPlanLaunched' AND step.in_time
    UNION ALL
    SELECT step.position, 4::bigint, step.event, step.occurred_at, 'first_plan_days', agreement.store_id,
        agreement.first_fee_on, step.working_days::numeric, NULL
    FROM agreement_steps AS step
    JOIN agreements AS agreement ON agreement.agreement_id = step.agreement_id
    WHERE step.event = 'AgreementFirstPlanLaunched'
    UNION ALL
    SELECT step.position, 5::bigint, step.event, step.occurred_at, 'first_plans', agreement.store_id,
        agreement.first_fee_on, 1::numeric, NULL
    FROM agreement_steps AS step
    JOIN agreements AS agreement ON agreement.agreement_id = step.agreement_id
    WHERE step.event = 'AgreementFirstPlanLaunched'
) AS fact
WHERE (:store_ids::uuid[] IS NULL OR fact.store_id = ANY (:store_ids::uuid[]))
    AND (:measures::text[] IS NULL OR fact.measure = ANY (:measures::text[]))
    AND (:from_day::date IS NULL OR fact.day >= :from_day::date) AND (:to_day::date IS NULL OR fact.day <= :to_day::date)
    AND fact.position <= :as_of::bigint AND fact.amount <> 0
    AND (:now::timestamptz IS NULL OR fact.due_at IS NULL OR fact.due_at <= :now::timestamptz);

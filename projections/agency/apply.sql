-- signed: an agreement begins when both have signed.
INSERT INTO agreements (
    agreement_id, store_id, owner, agency, currency, status, signed_on, term_from, term_to, ends_at, monthly_fee_minor,
    commission_rate, document
)
SELECT agreement_id, stream_id, owner, agency, currency, 'active', greatest(owner_signed_on, agency_signed_on),
    term_from, term_to, ends_at, monthly_fee_minor, commission_rate, document
FROM agreement_signed;

-- stands: the last word of the window on how far an agreement is.
UPDATE agreements AS agreement SET status = said.status
FROM (
    SELECT DISTINCT ON (agreement_id) agreement_id, status FROM (
        SELECT agreement_id, position, 'noticed' AS status FROM agreement_termination_noticed
        UNION ALL SELECT agreement_id, position, 'renewal_asked' FROM agreement_renewal_requested
        UNION ALL SELECT agreement_id, position, CASE WHEN accepted THEN 'active' ELSE 'expiring' END
        FROM agreement_renewal_answered
        UNION ALL SELECT agreement_id, position, 'active' FROM agreement_extended
        UNION ALL SELECT agreement_id, position, 'ended' FROM agreement_ended
    ) AS each ORDER BY agreement_id, position DESC
) AS said
WHERE agreement.agreement_id = said.agreement_id;

-- ends: when an agreement is over, by the last word of the window; a notice leaves the term as it is.
UPDATE agreements AS agreement SET ends_at = said.ends_at
FROM (
    SELECT DISTINCT ON (agreement_id) agreement_id, ends_at FROM (
        SELECT agreement_id, position, ends_at FROM agreement_termination_noticed
        UNION ALL SELECT agreement_id, position, ends_at FROM agreement_renewal_answered
        UNION ALL SELECT agreement_id, position, ends_at FROM agreement_extended
    ) AS each ORDER BY agreement_id, position DESC
) AS said
WHERE agreement.agreement_id = said.agreement_id;

-- term: the last day of the term, by the last word of the window.
UPDATE agreements AS agreement SET term_to = said.term_to
FROM (
    SELECT DISTINCT ON (agreement_id) agreement_id, term_to FROM (
        SELECT agreement_id, position, term_to FROM agreement_renewal_answered
        UNION ALL SELECT agreement_id, position, term_to FROM agreement_extended
    ) AS each ORDER BY agreement_id, position DESC
) AS said
WHERE agreement.agreement_id = said.agreement_id;

-- asked: until when the renewal that was asked for last is to be answered.
UPDATE agreements AS agreement SET answer_due_by = said.answer_due_by
FROM (
    SELECT DISTINCT ON (agreement_id) agreement_id, answer_due_by FROM agreement_renewal_requested
    ORDER BY agreement_id, position DESC
) AS said
WHERE agreement.agreement_id = said.agreement_id;

-- fees: what was received, and when the first of it was; only that one says until when the first plan is due.
UPDATE agreements AS agreement
SET fee_paid_minor = agreement.fee_paid_minor + said.amount_minor,
    first_fee_at = coalesce(agreement.first_fee_at, said.first_fee_at),
    first_fee_on = coalesce(agreement.first_fee_on, said.first_fee_on),
    first_plan_due_by = coalesce(agreement.first_plan_due_by, said.first_plan_due_by)
FROM (
    SELECT agreement_id, sum(amount_minor)::bigint AS amount_minor,
        (array_agg(occurred_at ORDER BY position))[1] AS first_fee_at,
        (array_agg((occurred_at AT TIME ZONE time_zone)::date ORDER BY position))[1] AS first_fee_on,
        (array_agg(first_plan_due_by ORDER BY position) FILTER (WHERE first_plan_due_by IS NOT NULL))[1]
            AS first_plan_due_by
    FROM agreement_fee_paid GROUP BY 1
) AS said
WHERE agreement.agreement_id = said.agreement_id;

-- plans: when the first ad plan was launched, and how many working days after the first fee.
UPDATE agreements AS agreement
SET first_plan_at = said.occurred_at, first_plan_working_days = said.working_days
FROM agreement_first_plan_launched AS said
WHERE agreement.agreement_id = said.agreement_id;

-- breaches: how often each party broke the agreement.
UPDATE agreements AS agreement
SET owner_breaches = agreement.owner_breaches + said.owner_breaches,
    agency_breaches = agreement.agency_breaches + said.agency_breaches
FROM (
    SELECT agreement_id, count(*) FILTER (WHERE party = 'owner') AS owner_breaches,
        count(*) FILTER (WHERE party = 'agency') AS agency_breaches
    FROM agreement_breach_recorded GROUP BY 1
) AS said
WHERE agreement.agreement_id = said.agreement_id;

-- ended: the last day, and what the fee came to through it.
UPDATE agreements AS agreement SET last_day = said.last_day, fee_due_minor = said.fee_due_minor
FROM agreement_ended AS said
WHERE agreement.agreement_id = said.agreement_id;

-- steps: the first fee starts the clock of the first plan; its launch or the end of the agreement stops it.
INSERT INTO agreement_steps (position, agreement_id, event, occurred_at, working_days, in_time)
SELECT position, agreement_id, 'AgreementFeePaid', occurred_at, NULL, NULL FROM agreement_fee_paid
WHERE first_plan_due_by IS NOT NULL
UNION ALL
SELECT position, agreement_id, 'AgreementFirstPlanLaunched', occurred_at, working_days, in_time
FROM agreement_first_plan_launched WHERE working_days IS NOT NULL
UNION ALL
SELECT position, agreement_id, 'AgreementEnded', occurred_at, NULL, NULL FROM agreement_ended;

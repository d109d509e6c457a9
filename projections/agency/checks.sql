-- agreements_are_the_log: fees and breaches of each agreement are what the log says, counted anew.
SELECT coalesce(kept.agreement_id, log.agreement_id) AS agreement_id, kept.fee_paid_minor, log.fee_paid_minor AS paid_in_log,
    kept.owner_breaches, log.owner_breaches AS of_owner_in_log, kept.agency_breaches, log.agency_breaches AS of_agency_in_log
FROM agreements AS kept
FULL JOIN (
    SELECT each.agreement_id, sum(each.paid) AS fee_paid_minor, sum(each.of_owner) AS owner_breaches,
        sum(each.of_agency) AS agency_breaches
    FROM (
        SELECT agreement_id, 0 AS paid, 0 AS of_owner, 0 AS of_agency FROM agreement_signed
        UNION ALL SELECT agreement_id, amount_minor, 0, 0 FROM agreement_fee_paid
        UNION ALL SELECT agreement_id, 0, CASE party WHEN 'owner' THEN 1 ELSE 0 END,
            CASE party WHEN 'agency' THEN 1 ELSE 0 END FROM agreement_breach_recorded
    ) AS each GROUP BY 1
) AS log ON log.agreement_id = kept.agreement_id
WHERE (kept.fee_paid_minor, kept.owner_breaches, kept.agency_breaches)
    IS DISTINCT FROM (log.fee_paid_minor, log.owner_breaches, log.agency_breaches);

-- agreements_stand_as_the_log_says: each is as far as the last event about that says.
SELECT kept.agreement_id, kept.status, log.status AS status_in_log
FROM agreements AS kept
LEFT JOIN (
    SELECT DISTINCT ON (agreement_id) agreement_id, status FROM (
        SELECT agreement_id, position, 'active' AS status FROM agreement_signed
        UNION ALL SELECT agreement_id, position, 'noticed' FROM agreement_termination_noticed
        UNION ALL SELECT agreement_id, position, 'renewal_asked' FROM agreement_renewal_requested
        UNION ALL SELECT agreement_id, position, CASE WHEN accepted THEN 'active' ELSE 'expiring' END
        FROM agreement_renewal_answered
        UNION ALL SELECT agreement_id, position, 'active' FROM agreement_extended
        UNION ALL SELECT agreement_id, position, 'ended' FROM agreement_ended
    ) AS each ORDER BY agreement_id, position DESC
) AS log ON log.agreement_id = kept.agreement_id
WHERE kept.status IS DISTINCT FROM log.status;

-- one_at_a_time: no two agreements of a store run at once.
SELECT kept.store_id, count(*) AS running
FROM agreements AS kept WHERE kept.status <> 'ended' GROUP BY 1 HAVING count(*) > 1;

-- one_first_plan: an agreement has one first fee and one first plan.
SELECT step.agreement_id, step.event, count(*) AS steps
FROM agreement_steps AS step GROUP BY 1, 2 HAVING count(*) > 1;

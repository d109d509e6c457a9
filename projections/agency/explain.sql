-- agreements: what was recorded about an agreement, each with what it added to the fees and breaches.
SELECT found.position, found.event, found.occurred_at, found.status, found.fee_paid_minor, found.owner_breaches,
    found.agency_breaches
FROM (
    SELECT position, 'AgreementSigned' AS event, occurred_at, 'active' AS status, 0::bigint AS fee_paid_minor,
        0::bigint AS owner_breaches, 0::bigint AS agency_breaches, store_id
    FROM agreement_signed WHERE agreement_id = :agreement_id::uuid
    UNION ALL SELECT position, 'AgreementFeePaid', occurred_at, NULL, amount_minor, 0, 0, store_id
    FROM agreement_fee_paid WHERE agreement_id = :agreement_id::uuid
    UNION ALL SELECT position, 'AgreementFirstPlanLaunched', occurred_at, NULL, 0, 0, 0, store_id
    FROM agreement_first_plan_launched WHERE agreement_id = :agreement_id::uuid
    UNION ALL SELECT position, 'AgreementBreachRecorded', occurred_at, NULL, 0,
        CASE party WHEN 'owner' THEN 1 ELSE 0 END, CASE party WHEN 'agency' THEN 1 ELSE 0 END, store_id
    FROM agreement_breach_recorded WHERE agreement_id = :agreement_id::uuid
    UNION ALL SELECT position, 'AgreementTerminationNoticed', occurred_at, 'noticed', 0, 0, 0, store_id
    FROM agreement_termination_noticed WHERE agreement_id = :agreement_id::uuid
    UNION ALL SELECT position, 'AgreementRenewalRequested', occurred_at, 'renewal_asked', 0, 0, 0, store_id
    FROM agreement_renewal_requested WHERE agreement_id = :agreement_id::uuid
    UNION ALL SELECT position, 'AgreementRenewalAnswered', occurred_at,
        CASE WHEN accepted THEN 'active' ELSE 'expiring' END, 0, 0, 0, store_id
    FROM agreement_renewal_answered WHERE agreement_id = :agreement_id::uuid
    UNION ALL SELECT position, 'AgreementExtended', occurred_at, 'active', 0, 0, 0, store_id
    FROM agreement_extended WHERE agreement_id = :agreement_id::uuid
    UNION ALL SELECT position, 'AgreementEnded', occurred_at, 'ended', 0, 0, 0, store_id
    FROM agreement_ended WHERE agreement_id = :agreement_id::uuid
) AS found
WHERE :store_ids::uuid[] IS NULL OR found.store_id = ANY (:store_ids::uuid[]);

-- agreement_steps: the event behind a step.
SELECT step.position, step.event, step.occurred_at, step.working_days
FROM agreement_steps AS step JOIN agreements AS agreement ON agreement.agreement_id = step.agreement_id
WHERE step.position = :position::bigint AND step.position > :window_from AND step.position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR agreement.store_id = ANY (:store_ids::uuid[]));

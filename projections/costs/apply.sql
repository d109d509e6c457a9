-- spent: what each event cost, or gave back of what had been spent, on the day on which it happened.
INSERT INTO costs (
    position, event, store_id, occurred_at, day, hour, currency, category, campaign_id, order_id, amount_minor
)
SELECT said.position, said.event, said.store_id, said.occurred_at,
    (said.occurred_at AT TIME ZONE said.time_zone)::date,
    extract(hour FROM said.occurred_at AT TIME ZONE said.time_zone)::bigint, said.currency, said.category,
    said.campaign_id, said.order_id, said.amount_minor
FROM (
    SELECT position, 'ExpenseRecorded' AS event, store_id, occurred_at, time_zone, currency, category, campaign_id,
        NULL::uuid AS order_id, amount_minor
    FROM expense_recorded
    UNION ALL
    SELECT fee.position, 'ServiceFeePaid', fee.store_id, fee.occurred_at, fee.time_zone, fee.currency,
        rule.service_fee_category, NULL, NULL, fee.amount_minor
    FROM service_fee_paid AS fee CROSS JOIN rules AS rule
    UNION ALL
    SELECT took.position, 'DepositDeducted', took.store_id, took.occurred_at, took.time_zone, took.currency,
        rule.deduction_category, NULL, NULL, took.amount_minor
    FROM deposit_deducted AS took CROSS JOIN rules AS rule
    UNION ALL
    SELECT given.position, 'CompensationPaid', given.store_id, given.occurred_at, given.time_zone, given.currency,
        rule.compensation_category, NULL, given.stream_id, given.amount_minor
    FROM compensation_paid AS given CROSS JOIN rules AS rule
    UNION ALL
    SELECT paid.position, 'ReturnFreightPaid', paid.store_id, paid.occurred_at, paid.time_zone, paid.currency,
        rule.return_freight_category, NULL, paid.stream_id, paid.amount_minor
    FROM return_freight_paid AS paid CROSS JOIN rules AS rule
    UNION ALL
    SELECT fee.position, 'AgreementFeePaid', fee.store_id, fee.occurred_at, fee.time_zone, fee.currency,
        rule.agency_category, NULL, NULL, fee.amount_minor
    FROM agreement_fee_paid AS fee CROSS JOIN rules AS rule
    UNION ALL
    SELECT over.position, 'AgreementEnded', over.store_id, over.occurred_at, over.time_zone, over.currency,
        rule.agency_category, NULL, NULL, -over.refund_minor
    FROM agreement_ended AS over CROSS JOIN rules AS rule
    UNION ALL
    SELECT month.position, 'CommissionSettled', month.store_id, month.occurred_at, month.time_zone, month.currency,
        rule.commission_category, NULL, NULL, month.amount_minor
    FROM commission_settled AS month CROSS JOIN rules AS rule
    UNION ALL
    SELECT claim.position, 'CourierClaimSettled', claim.store_id, claim.occurred_at, claim.time_zone, claim.currency,
        rule.courier_category, NULL, claim.stream_id, -claim.amount_minor
    FROM courier_claim_settled AS claim CROSS JOIN rules AS rule
    UNION ALL
    SELECT back.position, 'SupplierDepositReleased', back.store_id, back.occurred_at, back.time_zone, back.currency,
        rule.supplier_category, NULL, NULL, -back.withheld_minor
    FROM supplier_deposit_released AS back CROSS JOIN rules AS rule
) AS said
-- A settlement of nothing tells all the same that commissions are settled here.
WHERE said.amount_minor <> 0 OR said.event IN ('ExpenseRecorded', 'CommissionSettled');

-- advertised: the report of a day and channel that holds from its position on; a revision that is not higher never does.
WITH found AS (
    SELECT said.stream_id AS campaign_id, said.day, said.channel, said.currency, said.revision, said.position,
        said.store_id, said.occurred_at, rule.advertising_category AS category, said.cost_minor AS amount_minor,
        said.impressions, said.clicks, false AS is_kept
    FROM ad_spend_recorded AS said CROSS JOIN rules AS rule
    UNION ALL
    SELECT kept.campaign_id, kept.day, kept.channel, kept.currency, kept.revision, kept.position, kept.store_id,
        kept.occurred_at, kept.category, kept.amount_minor, kept.impressions, kept.clicks, true
    FROM ad_costs AS kept
    WHERE kept.until_position = 9223372036854775807
        AND kept.campaign_id IN (SELECT said.stream_id FROM ad_spend_recorded AS said)
), compared AS (
    SELECT found.campaign_id, found.day, found.channel, found.currency, found.revision, found.position, found.store_id,
        found.occurred_at, found.category, found.amount_minor, found.impressions, found.clicks, found.is_kept,
        max(found.revision) OVER (
            PARTITION BY found.campaign_id, found.day, found.channel, found.currency ORDER BY found.position
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS highest
    FROM found
), held AS (
    SELECT compared.campaign_id, compared.day, compared.channel, compared.currency, compared.revision,
        compared.position, compared.store_id, compared.occurred_at, compared.category, compared.amount_minor,
        compared.impressions, compared.clicks, compared.is_kept,
        lead(compared.position, 1, 9223372036854775807) OVER (
            PARTITION BY compared.campaign_id, compared.day, compared.channel, compared.currency
            ORDER BY compared.position
        ) AS until_position
    FROM compared WHERE compared.highest IS NULL OR compared.revision > compared.highest
)
INSERT INTO ad_costs (
    campaign_id, day, channel, currency, revision, position, until_position, store_id, occurred_at, category,
    amount_minor, impressions, clicks
)
SELECT held.campaign_id, held.day, held.channel, held.currency, held.revision, held.position, held.until_position,
    held.store_id, held.occurred_at, held.category, held.amount_minor, held.impressions, held.clicks
FROM held WHERE NOT held.is_kept OR held.until_position < 9223372036854775807
ON CONFLICT (campaign_id, day, channel, currency, position) DO UPDATE SET until_position = excluded.until_position;

-- ad_budgeted: what advertising for a campaign may cost in a month, as it was said last.
WITH found AS (
    SELECT said.stream_id AS campaign_id, said.month, said.position, said.store_id, said.occurred_at, said.currency,
        said.budget_minor AS amount_minor
    FROM ad_budget_agreed AS said
    UNION ALL
    SELECT kept.campaign_id, kept.month, kept.position, kept.store_id, kept.occurred_at, kept.currency, kept.amount_minor
    FROM ad_budgets AS kept
    WHERE kept.until_position = 9223372036854775807
        AND kept.campaign_id IN (SELECT said.stream_id FROM ad_budget_agreed AS said)
)
INSERT INTO ad_budgets (campaign_id, month, position, until_position, store_id, occurred_at, currency, amount_minor)
SELECT found.campaign_id, found.month, found.position,
    lead(found.position, 1, 9223372036854775807) OVER (
        PARTITION BY found.campaign_id, found.month ORDER BY found.position
    ),
    found.store_id, found.occurred_at, found.currency, found.amount_minor
FROM found
ON CONFLICT (campaign_id, month, position) DO UPDATE SET until_position = excluded.until_position;

-- budgeted: what a category may come to in a month, as it was said last.
WITH found AS (
    SELECT said.stream_id AS store_id, said.month, said.category, said.position, said.occurred_at, said.currency,
        said.amount_minor
    FROM budget_set AS said
    UNION ALL
    SELECT kept.store_id, kept.month, kept.category, kept.position, kept.occurred_at, kept.currency, kept.amount_minor
    FROM cost_budgets AS kept
    WHERE kept.until_position = 9223372036854775807
        AND kept.store_id IN (SELECT said.stream_id FROM budget_set AS said)
)
INSERT INTO cost_budgets (store_id, month, category, position, until_position, occurred_at, currency, amount_minor)
SELECT found.store_id, found.month, found.category, found.position,
    lead(found.position, 1, 9223372036854775807) OVER (
        PARTITION BY found.store_id, found.month, found.category ORDER BY found.position
    ),
    found.occurred_at, found.currency, found.amount_minor
FROM found
ON CONFLICT (store_id, month, category, position) DO UPDATE SET until_position = excluded.until_position;

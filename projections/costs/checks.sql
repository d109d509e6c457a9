-- costs_are_the_log: what was spent is what the log says, by event and currency.
SELECT event, currency, kept.minor, log.minor AS in_log
FROM (
    SELECT cost.event, cost.currency, sum(cost.amount_minor) AS minor FROM costs AS cost GROUP BY 1, 2
) AS kept
FULL JOIN (
    SELECT said.event, said.currency, sum(said.amount_minor) AS minor
    FROM (
        SELECT 'ExpenseRecorded' AS event, currency, amount_minor FROM expense_recorded
        UNION ALL SELECT 'ServiceFeePaid', currency, amount_minor FROM service_fee_paid
        UNION ALL SELECT 'DepositDeducted', currency, amount_minor FROM deposit_deducted
        UNION ALL SELECT 'CompensationPaid', currency, amount_minor FROM compensation_paid
        UNION ALL SELECT 'ReturnFreightPaid', currency, amount_minor FROM return_freight_paid
        UNION ALL SELECT 'AgreementFeePaid', currency, amount_minor FROM agreement_fee_paid
        UNION ALL SELECT 'AgreementEnded', currency, -refund_minor FROM agreement_ended
        UNION ALL SELECT 'CommissionSettled', currency, amount_minor FROM commission_settled
        UNION ALL SELECT 'CourierClaimSettled', currency, -amount_minor FROM courier_claim_settled
        UNION ALL SELECT 'SupplierDepositReleased', currency, -withheld_minor FROM supplier_deposit_released
    ) AS said
    GROUP BY 1, 2
) AS log USING (event, currency)
WHERE coalesce(kept.minor, 0) <> coalesce(log.minor, 0);

-- one_at_a_time: at every position one report of a day, and one budget, holds alone.
SELECT early.kind, early.key, early.since, early.until
FROM (
    SELECT each.kind, each.key, each.since, each.until,
        lead(each.since) OVER (PARTITION BY each.kind, each.key ORDER BY each.since) AS later
    FROM (
        SELECT 'report' AS kind, campaign_id || ' ' || day || ' ' || channel || ' ' || currency AS key,
            position AS since, until_position AS until
        FROM ad_costs
        UNION ALL
        SELECT 'ad budget', campaign_id || ' ' || month, position, until_position FROM ad_budgets
        UNION ALL
        SELECT 'budget', store_id || ' ' || month || ' ' || category, position, until_position FROM cost_budgets
    ) AS each
) AS early
WHERE early.until <= early.since OR early.later < early.until;

-- fact_rows: what was spent, as far as it was known at position :as_of (always to be given), each row with what it adds to a
-- measure. What an expense pays for that is counted where it was reported or settled is no cost once more. All branches have the
-- very same types and no window function of their own, so that conditions reach each of them.
SELECT fact.position, fact.place, fact.event, fact.occurred_at, fact.measure, fact.store_id, fact.day, fact.hour,
    fact.currency, fact.order_id, NULL::uuid AS who, fact.channel, fact.amount, CASE :by::text
        WHEN 'store' THEN fact.store_id::text WHEN 'campaign' THEN fact.campaign_id::text
        WHEN 'channel' THEN fact.channel WHEN 'category' THEN fact.category
    END AS slice
FROM (
    SELECT cost.position, said.place::bigint AS place, cost.event, cost.occurred_at, said.measure, cost.store_id,
        cost.day, cost.hour, cost.currency, cost.order_id, NULL::text AS channel, cost.campaign_id, cost.category,
        cost.amount_minor::numeric AS amount
    FROM costs AS cost CROSS JOIN rules AS rule
    CROSS JOIN LATERAL (
        SELECT (date_trunc('month', cost.day::timestamp)
                - make_interval(months => rule.costs_paid_within_months::integer))::date AS from_day,
            (date_trunc('month', cost.day::timestamp) + interval '1 month')::date AS until_day
    ) AS paid_for
    LEFT JOIN cost_budgets AS plan ON plan.store_id = cost.store_id AND plan.category = cost.category
        AND plan.month = date_trunc('month', cost.day::timestamp)::date
        AND plan.position <= :as_of::bigint AND plan.until_position > :as_of::bigint
    CROSS JOIN LATERAL (VALUES
        (1, 'costs', true),
        (2, CASE WHEN plan.position IS NULL THEN 'costs_without_budget' ELSE 'costs_of_budgets' END, true),
        (3, 'expenses_of_campaigns', cost.campaign_id IS NOT NULL)
    ) AS said (place, measure, counts)
    WHERE said.counts AND cost.amount_minor <> 0 AND (:measures::text[] IS NULL OR :measures::text[] && ARRAY[
            'costs', 'costs_without_budget', 'costs_of_budgets', 'expenses_of_campaigns'
        ])
        AND NOT (cost.event = 'ExpenseRecorded' AND cost.category = rule.advertising_category AND EXISTS (
            SELECT FROM ad_costs AS report
            WHERE report.store_id = cost.store_id AND report.day >= paid_for.from_day AND report.day < paid_for.until_day
                AND report.position <= :as_of::bigint AND report.until_position > :as_of::bigint
        ))
        AND NOT (cost.event = 'ExpenseRecorded' AND cost.category = rule.commission_category AND EXISTS (
            SELECT FROM costs AS settled
            WHERE settled.store_id = cost.store_id AND settled.event = 'CommissionSettled'
                AND settled.day >= paid_for.from_day AND settled.day < paid_for.until_day
                AND settled.position <= :as_of::bigint
        ))
    UNION ALL
    -- What advertising of a campaign may cost in a month is agreed with it: it needs no other budget.
    SELECT report.position, said.place::bigint, 'AdSpendRecorded', report.occurred_at, said.measure, report.store_id,
        report.day, NULL, report.currency, NULL, report.channel, report.campaign_id, report.category,
        report.amount_minor::numeric
    FROM ad_costs AS report
    LEFT JOIN cost_budgets AS plan ON plan.store_id = report.store_id AND plan.category = report.category
        AND plan.month = date_trunc('month', report.day::timestamp)::date
        AND plan.position <= :as_of::bigint AND plan.until_position > :as_of::bigint
    LEFT JOIN ad_budgets AS agreed ON agreed.campaign_id = report.campaign_id
        AND agreed.month = date_trunc('month', report.day::timestamp)::date AND agreed.amount_minor > 0
        AND agreed.position <= :as_of::bigint AND agreed.until_position > :as_of::bigint
    CROSS JOIN LATERAL (VALUES
        (1, 'costs', true), (2, 'costs_of_budgets', plan.position IS NOT NULL),
        (3, 'costs_without_budget', plan.position IS NULL AND agreed.position IS NULL)
    ) AS said (place, measure, counts)
    WHERE said.counts AND report.amount_minor <> 0 AND report.until_position > :as_of::bigint
        AND (:measures::text[] IS NULL
            OR :measures::text[] && ARRAY['costs', 'costs_of_budgets', 'costs_without_budget'])
    UNION ALL
    SELECT report.position, said.place::bigint, 'AdSpendRecorded', report.occurred_at, said.measure, report.store_id,
        report.day, NULL, report.currency, NULL, report.channel, report.campaign_id, report.category,
        said.amount::numeric
    FROM ad_costs AS report CROSS JOIN LATERAL (VALUES
        (4, 'ad_cost', report.amount_minor), (5, 'impressions', report.impressions), (6, 'clicks', report.clicks)
    ) AS said (place, measure, amount)
    WHERE report.until_position > :as_of::bigint
        AND (:measures::text[] IS NULL OR :measures::text[] && ARRAY['ad_cost', 'impressions', 'clicks'])
    UNION ALL
    -- A budget stands on the first day of its month.
    SELECT plan.position, 1::bigint, 'AdBudgetAgreed', plan.occurred_at, 'ad_budget', plan.store_id, plan.month, NULL,
        plan.currency, NULL, NULL, plan.campaign_id, NULL, plan.amount_minor::numeric
    FROM ad_budgets AS plan WHERE plan.until_position > :as_of::bigint
    UNION ALL
    SELECT plan.position, 1::bigint, 'BudgetSet', plan.occurred_at, 'cost_budget', plan.store_id, plan.month, NULL,
        plan.currency, NULL, NULL, NULL, plan.category, plan.amount_minor::numeric
    FROM cost_budgets AS plan WHERE plan.until_position > :as_of::bigint
) AS fact
WHERE (:store_ids::uuid[] IS NULL OR fact.store_id = ANY (:store_ids::uuid[]))
    AND (:measures::text[] IS NULL OR fact.measure = ANY (:measures::text[]))
    AND (:from_day::date IS NULL OR fact.day >= :from_day::date) AND (:to_day::date IS NULL OR fact.day <= :to_day::date)
    AND (:channel::text IS NULL OR fact.channel = :channel::text)
    AND (:campaign_id::uuid IS NULL OR fact.campaign_id = :campaign_id::uuid)
    AND (:category::text IS NULL OR fact.category = :category::text)
    AND fact.position <= :as_of::bigint;

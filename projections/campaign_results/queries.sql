-- campaign_rows: campaigns of these stores; a list chooses among them and sorts.
SELECT campaign.campaign_id, campaign.store_id, campaign.name, campaign.goal, campaign.kind, campaign.type,
    campaign.currency, campaign.status, campaign.starts_at, campaign.ends_at, campaign.budget_minor,
    campaign.changed_at, campaign.call_until, campaign.proposal_status, campaign.proposed_at
FROM campaigns AS campaign
WHERE :store_ids::uuid[] IS NULL OR campaign.store_id = ANY (:store_ids::uuid[])
    OR campaign.store_ids && :store_ids::uuid[];

-- campaign_stores: the stores that a campaign runs in, for lists that look for them.
SELECT campaign.campaign_id, place.store_id
FROM campaigns AS campaign CROSS JOIN LATERAL unnest(campaign.store_ids) AS place (store_id)
WHERE :store_ids::uuid[] IS NULL OR campaign.store_id = ANY (:store_ids::uuid[])
    OR campaign.store_ids && :store_ids::uuid[];

-- campaign_articles: the articles that a campaign sells, for lists that look for them; one that was taken out of it is none.
SELECT terms.campaign_id, terms.sku_id
FROM campaign_skus AS terms JOIN campaigns AS campaign ON campaign.campaign_id = terms.campaign_id
WHERE (:store_ids::uuid[] IS NULL OR campaign.store_id = ANY (:store_ids::uuid[])
        OR campaign.store_ids && :store_ids::uuid[])
    -- An offer for the whole store may have sold it all the same.
    AND (NOT terms.removed OR (terms.units, terms.gmv_minor, terms.refunded_minor) <> (0, 0, 0));

-- campaign_resources: the places for advertising that a campaign needs, for lists that look for them.
SELECT place.campaign_id, place.resource_id, place.channel, place.status
FROM campaign_resources AS place JOIN campaigns AS campaign ON campaign.campaign_id = place.campaign_id
WHERE (:store_ids::uuid[] IS NULL OR campaign.store_id = ANY (:store_ids::uuid[])
        OR campaign.store_ids && :store_ids::uuid[])
    AND place.status <> 'dropped';

-- campaign_offers: what suppliers offered for a campaign, for lists that look for it.
SELECT offer.campaign_id, offer.offer_id, offer.supplier_id, offer.sku_id, offer.status, offer.offered_at
FROM campaign_offers AS offer JOIN campaigns AS campaign ON campaign.campaign_id = offer.campaign_id
WHERE :store_ids::uuid[] IS NULL OR campaign.store_id = ANY (:store_ids::uuid[])
    OR campaign.store_ids && :store_ids::uuid[];

-- campaign_ad_plans: the plans by which a campaign advertises, for lists that look for them.
SELECT plan.campaign_id, plan.plan_id, plan.channel, plan.status
FROM campaign_ad_plans AS plan JOIN campaigns AS campaign ON campaign.campaign_id = plan.campaign_id
WHERE :store_ids::uuid[] IS NULL OR campaign.store_id = ANY (:store_ids::uuid[])
    OR campaign.store_ids && :store_ids::uuid[];

-- due: what is to be done for campaigns that are not over before :due_before, soonest first: resources to be handed in, ad plans
-- to be adjusted and looked at.
SELECT campaign.campaign_id, campaign.store_id, campaign.status, task.what, task.part_id, task.channel, task.due_at,
    task.last_at
FROM (
    SELECT place.campaign_id, 'submit_resource' AS what, place.resource_id AS part_id, place.channel,
        place.submit_by AS due_at, place.submit_until AS last_at
    FROM campaign_resources AS place WHERE place.needs_review AND place.status IN ('planned', 'rejected')
    UNION ALL
    SELECT plan.campaign_id, said.what, plan.plan_id, plan.channel, said.due_at, NULL
    FROM campaign_ad_plans AS plan CROSS JOIN LATERAL (VALUES
        ('adjust_ad_plan', plan.adjust_by), ('monitor_ad_plan', plan.monitor_by)
    ) AS said (what, due_at)
) AS task JOIN campaigns AS campaign ON campaign.campaign_id = task.campaign_id
WHERE task.due_at < :due_before::timestamptz AND campaign.status IN ('planned', 'scheduled', 'live', 'paused')
    AND (:store_ids::uuid[] IS NULL OR campaign.store_id = ANY (:store_ids::uuid[])
        OR campaign.store_ids && :store_ids::uuid[])
ORDER BY task.due_at, task.campaign_id, task.what, task.part_id
LIMIT coalesce(:row_limit::bigint, 100);

-- results: each campaign of these stores (:campaign_ids, NULL for all), one row for each currency it sold or advertised in.
WITH scope AS (
    SELECT campaign.campaign_id FROM campaigns AS campaign
    WHERE (:store_ids::uuid[] IS NULL OR campaign.store_id = ANY (:store_ids::uuid[])
            OR campaign.store_ids && :store_ids::uuid[])
        AND (:campaign_ids::uuid[] IS NULL OR campaign.campaign_id = ANY (:campaign_ids::uuid[]))
), sold AS (
    SELECT sales.campaign_id, sales.currency, sum(sales.orders)::bigint AS orders, sum(sales.units) AS units,
        sum(sales.gmv_minor)::bigint AS gmv_minor, sum(sales.refunds)::bigint AS refunds,
        sum(sales.refunded_units) AS refunded_units, sum(sales.refunded_minor)::bigint AS refunded_minor
    FROM campaign_sales AS sales JOIN scope USING (campaign_id)
    WHERE :store_ids::uuid[] IS NULL OR sales.store_id = ANY (:store_ids::uuid[])
    GROUP BY 1, 2
), spent AS (
    SELECT ads.campaign_id, ads.currency, sum(ads.cost_minor)::bigint AS ad_spend_minor,
        sum(ads.impressions)::bigint AS impressions, sum(ads.clicks)::bigint AS clicks
    FROM campaign_ad_days AS ads JOIN scope USING (campaign_id) GROUP BY 1, 2
), bought AS (
    SELECT buyer.campaign_id, count(DISTINCT coalesce(same.person_id, buyer.customer_id)) AS buyers
    FROM campaign_buyers AS buyer JOIN scope USING (campaign_id)
    LEFT JOIN campaign_persons AS same ON same.customer_id = buyer.customer_id
    WHERE :store_ids::uuid[] IS NULL OR buyer.store_id = ANY (:store_ids::uuid[])
    GROUP BY 1
), currencies AS (
    SELECT campaign_id, currency FROM sold UNION SELECT campaign_id, currency FROM spent
    UNION SELECT campaign.campaign_id, campaign.currency FROM campaigns AS campaign JOIN scope USING (campaign_id)
)
SELECT
    campaign.campaign_id, campaign.store_id, campaign.store_ids, campaign.name, campaign.goal, campaign.kind, campaign.type,
    campaign.status, campaign.starts_at, campaign.ends_at, currencies.currency,
    coalesce(sold.orders, 0) AS orders, coalesce(sold.units, 0) AS units, coalesce(sold.gmv_minor, 0) AS gmv_minor,
    coalesce(sold.refunds, 0) AS refunds, coalesce(sold.refunded_units, 0) AS refunded_units,
    coalesce(sold.refunded_minor, 0) AS refunded_minor,
    coalesce(sold.gmv_minor, 0) - coalesce(sold.refunded_minor, 0) AS net_sales_minor,
    coalesce(bought.buyers, 0) AS buyers,
    coalesce(spent.ad_spend_minor, 0) AS ad_spend_minor, coalesce(spent.impressions, 0) AS impressions,
    coalesce(spent.clicks, 0) AS clicks,
    own.budget_minor, own.budget_claimed_minor - own.budget_released_minor AS discount_minor,
    round((own.budget_claimed_minor - own.budget_released_minor)::numeric / nullif(own.budget_minor, 0), 6) AS budget_use,
    own.coupons_claimed - own.coupons_released AS coupons_used,
    own.forecast_visitors, own.forecast_conversion, own.forecast_units, own.forecast_gmv_minor,
    own.forecast_peak_hour, own.forecast_trough_hour, own.forecast_parcels_per_day,
    round((coalesce(sold.units, 0) - own.forecast_units) / nullif(own.forecast_units, 0), 6) AS units_forecast_error,
    round((coalesce(sold.gmv_minor, 0) - own.forecast_gmv_minor)::numeric / nullif(own.forecast_gmv_minor, 0), 6)
        AS gmv_forecast_error
FROM currencies
JOIN campaigns AS campaign USING (campaign_id)
-- Budget and forecast are in the campaign's own currency; in another one they would be compared with what they are not.
LEFT JOIN campaigns AS own ON own.campaign_id = campaign.campaign_id AND own.currency = currencies.currency
LEFT JOIN sold ON sold.campaign_id = campaign.campaign_id AND sold.currency = currencies.currency
LEFT JOIN spent ON spent.campaign_id = campaign.campaign_id AND spent.currency = currencies.currency
LEFT JOIN bought ON bought.campaign_id = campaign.campaign_id
ORDER BY campaign.starts_at DESC NULLS LAST, campaign.campaign_id, currencies.currency
LIMIT coalesce(:row_limit::bigint, 1000);

-- skus: each SKU of these campaigns, as in campaign_articles: terms, quota, units sold and what part of the quota they are.
SELECT terms.campaign_id, terms.sku_id, terms.role, terms.price, terms.quota, terms.max_per_customer,
    terms.allocated - terms.released AS allocated, terms.units, terms.gmv_minor, terms.refunded_units, terms.refunded_minor,
    campaign.currency, round(terms.units / nullif(terms.quota, 0), 6) AS quota_use
FROM campaign_skus AS terms JOIN campaigns AS campaign USING (campaign_id)
WHERE (:store_ids::uuid[] IS NULL OR campaign.store_id = ANY (:store_ids::uuid[])
        OR campaign.store_ids && :store_ids::uuid[])
    AND (:campaign_ids::uuid[] IS NULL OR terms.campaign_id = ANY (:campaign_ids::uuid[]))
    AND (NOT terms.removed OR (terms.units, terms.gmv_minor, terms.refunded_minor) <> (0, 0, 0))
ORDER BY terms.campaign_id, terms.gmv_minor DESC, terms.sku_id;

-- ad_days: what advertising cost on each day and channel.
SELECT ads.campaign_id, ads.day, ads.channel, ads.currency, ads.cost_minor, ads.impressions, ads.clicks, ads.revision
FROM campaign_ad_days AS ads JOIN campaigns AS campaign USING (campaign_id)
WHERE (:store_ids::uuid[] IS NULL OR campaign.store_id = ANY (:store_ids::uuid[])
        OR campaign.store_ids && :store_ids::uuid[])
    AND (:campaign_ids::uuid[] IS NULL OR ads.campaign_id = ANY (:campaign_ids::uuid[]))
ORDER BY ads.campaign_id, ads.day, ads.channel, ads.currency;

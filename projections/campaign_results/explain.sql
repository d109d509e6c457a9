-- campaign_sales: the payments and refunds behind a campaign's sales in one store and currency.
SELECT paid.position, 'OrderPaid' AS event, paid.order_id, 1::bigint AS orders, sum(paid.units) AS units,
    sum(paid.gmv_minor)::bigint AS gmv_minor, 0::bigint AS refunds, 0::numeric AS refunded_units,
    0::bigint AS refunded_minor
FROM campaign_paid_lines AS paid
WHERE paid.campaign_id = :campaign_id::uuid AND paid.store_id = :store_id::uuid AND paid.currency = :currency::text
    AND paid.position > :window_from AND paid.position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR paid.store_id = ANY (:store_ids::uuid[]))
GROUP BY 1, 2, 3
UNION ALL
SELECT refund.position, 'OrderRefunded', NULL::uuid, 0, 0, 0, 1, sum(refund.refunded_units), sum(refund.refunded_minor)::bigint
FROM campaign_refund_lines AS refund
WHERE refund.campaign_id = :campaign_id::uuid AND refund.store_id = :store_id::uuid AND refund.currency = :currency::text
    AND refund.position > :window_from AND refund.position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR refund.store_id = ANY (:store_ids::uuid[]))
GROUP BY 1, 2, 3;

-- campaign_skus: the payments, refunds and quota changes behind a campaign's figures for one SKU.
SELECT paid.position, 'OrderPaid' AS event, 0::numeric AS allocated, 0::numeric AS released, sum(paid.units) AS units,
    sum(paid.gmv_minor)::bigint AS gmv_minor, 0::numeric AS refunded_units, 0::bigint AS refunded_minor
FROM campaign_paid_lines AS paid
WHERE paid.campaign_id = :campaign_id::uuid AND paid.sku_id = :sku_id::uuid
    AND paid.position > :window_from AND paid.position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR paid.store_id = ANY (:store_ids::uuid[]))
GROUP BY 1, 2
UNION ALL
SELECT refund.position, 'OrderRefunded', 0, 0, 0, 0, sum(refund.refunded_units), sum(refund.refunded_minor)::bigint
FROM campaign_refund_lines AS refund
WHERE refund.campaign_id = :campaign_id::uuid AND refund.sku_id = :sku_id::uuid
    AND refund.position > :window_from AND refund.position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR refund.store_id = ANY (:store_ids::uuid[]))
GROUP BY 1, 2
UNION ALL
SELECT position, 'CampaignStockAllocated', quantity, 0, 0, 0, 0, 0 FROM campaign_stock_allocated
WHERE campaign_id = :campaign_id::uuid AND stream_id = :sku_id::uuid
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL
SELECT position, 'CampaignStockReleased', 0, quantity, 0, 0, 0, 0 FROM campaign_stock_released
WHERE campaign_id = :campaign_id::uuid AND stream_id = :sku_id::uuid
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]));

-- campaigns: the claims behind a campaign's budget and coupons.
SELECT position, 'CampaignBudgetClaimed' AS event, amount_minor AS budget_claimed_minor, 0::bigint AS budget_released_minor,
    0::bigint AS coupons_claimed, 0::bigint AS coupons_released
FROM campaign_budget_claimed
WHERE stream_id = :campaign_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'CampaignBudgetReleased', 0, amount_minor, 0, 0 FROM campaign_budget_released
WHERE stream_id = :campaign_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'CouponClaimed', 0, 0, 1, 0 FROM coupon_claimed
WHERE stream_id = :campaign_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'CouponReleased', 0, 0, 0, 1 FROM coupon_released
WHERE stream_id = :campaign_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]));

-- campaign_ad_days: every report of advertising for one day and channel; the highest revision holds.
SELECT position, 'AdSpendRecorded' AS event, cost_minor, impressions, clicks, revision
FROM ad_spend_recorded
WHERE stream_id = :campaign_id::uuid AND day = :day::date AND channel = :channel::text AND currency = :currency::text
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]));

-- campaign_buyers: the payments of one customer for lines of a campaign in one store.
SELECT paid.position, 'OrderPaid' AS event, paid.order_id, 1::bigint AS orders
FROM campaign_paid_lines AS paid
WHERE paid.campaign_id = :campaign_id::uuid AND paid.store_id = :store_id::uuid AND paid.customer_id = :customer_id::uuid
    AND paid.position > :window_from AND paid.position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR paid.store_id = ANY (:store_ids::uuid[]))
GROUP BY 1, 2, 3;

-- campaign_persons: the mergers by which a customer came to count as a person, and others as the same.
SELECT gone.position, 'CustomerMergedInto' AS event, gone.occurred_at, gone.stream_id AS customer_id, gone.into_id
FROM customer_merged_into AS gone
WHERE gone.stream_id IN (
        SELECT other.customer_id FROM campaign_persons AS own
        JOIN campaign_persons AS other ON other.person_id = own.person_id WHERE own.customer_id = :customer_id::uuid
    )
    AND (:store_ids::uuid[] IS NULL OR gone.store_id = ANY (:store_ids::uuid[]));

-- campaign_resources: what was said of a place for advertising that a campaign needs.
SELECT position, 'ResourcePlanned' AS event, occurred_at, 'planned' AS status FROM resource_planned
WHERE stream_id = :campaign_id::uuid AND resource_id = :resource_id::uuid
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'ResourceSubmitted', occurred_at, 'submitted' FROM resource_submitted
WHERE stream_id = :campaign_id::uuid AND resource_id = :resource_id::uuid
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'ResourceApproved', occurred_at, 'approved' FROM resource_approved
WHERE stream_id = :campaign_id::uuid AND resource_id = :resource_id::uuid
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'ResourceRejected', occurred_at, 'rejected' FROM resource_rejected
WHERE stream_id = :campaign_id::uuid AND resource_id = :resource_id::uuid
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'ResourceDropped', occurred_at, 'dropped' FROM resource_dropped
WHERE stream_id = :campaign_id::uuid AND resource_id = :resource_id::uuid
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]));

-- campaign_ad_plans: what was said of an ad plan.
SELECT position, 'AdPlanLaunched' AS event, occurred_at, 'running' AS status, adjust_by, monitor_by FROM ad_plan_launched
WHERE stream_id = :campaign_id::uuid AND plan_id = :plan_id::uuid
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'AdMonitored', occurred_at, NULL, NULL, monitor_by FROM ad_monitored
WHERE stream_id = :campaign_id::uuid AND plan_id = :plan_id::uuid
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'AdAdjusted', occurred_at, NULL, adjust_by, NULL FROM ad_adjusted
WHERE stream_id = :campaign_id::uuid AND plan_id = :plan_id::uuid
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'AdPlanPaused', occurred_at, 'paused', NULL, NULL FROM ad_plan_paused
WHERE stream_id = :campaign_id::uuid AND plan_id = :plan_id::uuid
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'AdPlanResumed', occurred_at, 'running', adjust_by, monitor_by FROM ad_plan_resumed
WHERE stream_id = :campaign_id::uuid AND plan_id = :plan_id::uuid
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'AdPlanEnded', occurred_at, 'ended', NULL, NULL FROM ad_plan_ended
WHERE stream_id = :campaign_id::uuid AND plan_id = :plan_id::uuid
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]));

-- campaign_offers: the events of one offer, each with what it made of it.
SELECT position, 'SupplyOffered' AS event, occurred_at, 'offered' AS status, quantity AS units FROM supply_offered
WHERE stream_id = :campaign_id::uuid AND offer_id = :offer_id::uuid
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL
SELECT position, 'SupplyOfferAccepted', occurred_at, 'accepted', quantity FROM supply_offer_accepted
WHERE stream_id = :campaign_id::uuid AND offer_id = :offer_id::uuid
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL
SELECT position, 'SupplyOfferRejected', occurred_at, 'rejected', 0 FROM supply_offer_rejected
WHERE stream_id = :campaign_id::uuid AND offer_id = :offer_id::uuid
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL
SELECT position, 'SupplyOfferWithdrawn', occurred_at, 'withdrawn', 0 FROM supply_offer_withdrawn
WHERE stream_id = :campaign_id::uuid AND offer_id = :offer_id::uuid
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]));

-- sales_are_lines: a campaign's sales are the lines that were paid and refunded.
SELECT sales.campaign_id, sales.store_id, sales.currency, sales.gmv_minor, found.gmv_minor AS of_lines,
    sales.refunded_minor, found.refunded_minor AS of_refunds
FROM campaign_sales AS sales LEFT JOIN (
    SELECT campaign_id, store_id, currency, sum(gmv_minor) AS gmv_minor, sum(refunded_minor) AS refunded_minor
    FROM (
        SELECT campaign_id, store_id, currency, gmv_minor, 0 AS refunded_minor FROM campaign_paid_lines
        UNION ALL SELECT campaign_id, store_id, currency, 0, refunded_minor FROM campaign_refund_lines
    ) AS each GROUP BY 1, 2, 3
) AS found USING (campaign_id, store_id, currency)
WHERE (sales.gmv_minor, sales.refunded_minor) IS DISTINCT FROM (found.gmv_minor, found.refunded_minor);

-- skus_are_sales: what the SKUs of a campaign sold is what the campaign sold.
SELECT campaign_id, sum(gmv_minor) AS gmv_minor, sum(of_skus) AS of_skus
FROM (
    SELECT campaign_id, gmv_minor, 0 AS of_skus FROM campaign_sales
    UNION ALL SELECT campaign_id, 0, gmv_minor FROM campaign_skus
) AS each
GROUP BY 1
HAVING sum(gmv_minor) <> sum(of_skus);

-- no_more_released_than_claimed: a budget never gets back more than was taken of it, once it is in the log.
SELECT claimed.campaign_id, claimed.budget_claimed_minor, claimed.budget_released_minor
FROM campaigns AS claimed
WHERE claimed.budget_released_minor > claimed.budget_claimed_minor;

-- persons_end: whoever has a person was merged, and no person was merged further (but in a ring, which nobody leaves).
SELECT same.customer_id, same.person_id
FROM campaign_persons AS same
LEFT JOIN campaign_mergers AS own ON own.customer_id = same.customer_id
LEFT JOIN campaign_mergers AS further ON further.customer_id = same.person_id
LEFT JOIN campaign_persons AS there ON there.customer_id = same.person_id
WHERE own.customer_id IS NULL OR (further.customer_id IS NOT NULL AND there.person_id = same.person_id);

-- resources_are_the_log: every place for advertising that was planned is there, once, and stands as the last event about it says.
SELECT coalesce(place.resource_id, log.resource_id) AS resource_id, place.status, log.status AS status_in_log
FROM campaign_resources AS place
FULL JOIN (
    SELECT DISTINCT ON (stream_id, resource_id) stream_id, resource_id, status FROM (
        SELECT stream_id, resource_id, position, 'planned' AS status FROM resource_planned
        UNION ALL SELECT stream_id, resource_id, position, 'submitted' FROM resource_submitted
        UNION ALL SELECT stream_id, resource_id, position, 'approved' FROM resource_approved
        UNION ALL SELECT stream_id, resource_id, position, 'rejected' FROM resource_rejected
        UNION ALL SELECT stream_id, resource_id, position, 'dropped' FROM resource_dropped
    ) AS each ORDER BY stream_id, resource_id, position DESC
) AS log ON log.stream_id = place.campaign_id AND log.resource_id = place.resource_id
WHERE place.status IS DISTINCT FROM log.status;

-- ad_plans_are_the_log: every ad plan that was launched is there, once, and runs or not as the last event about that says; only one
-- that runs is to be adjusted and looked at.
SELECT coalesce(plan.plan_id, log.plan_id) AS plan_id, plan.status, log.status AS status_in_log
FROM campaign_ad_plans AS plan
FULL JOIN (
    SELECT DISTINCT ON (stream_id, plan_id) stream_id, plan_id, status FROM (
        SELECT stream_id, plan_id, position, 'running' AS status FROM ad_plan_launched
        UNION ALL SELECT stream_id, plan_id, position, 'paused' FROM ad_plan_paused
        UNION ALL SELECT stream_id, plan_id, position, 'running' FROM ad_plan_resumed
        UNION ALL SELECT stream_id, plan_id, position, 'ended' FROM ad_plan_ended
    ) AS each ORDER BY stream_id, plan_id, position DESC
) AS log ON log.stream_id = plan.campaign_id AND log.plan_id = plan.plan_id
WHERE plan.status IS DISTINCT FROM log.status OR (plan.status = 'running') <> (plan.adjust_by IS NOT NULL)
    OR (plan.status = 'running') <> (plan.monitor_by IS NOT NULL);

-- offers_are_the_log: every offer stands as its last event says.
SELECT coalesce(offer.offer_id, log.offer_id) AS offer_id, offer.status, log.status AS status_in_log
FROM campaign_offers AS offer
FULL JOIN (
    SELECT DISTINCT ON (offer_id) offer_id, status FROM (
        SELECT offer_id, position, 'offered' AS status FROM supply_offered
        UNION ALL SELECT offer_id, position, 'accepted' FROM supply_offer_accepted
        UNION ALL SELECT offer_id, position, 'rejected' FROM supply_offer_rejected
        UNION ALL SELECT offer_id, position, 'withdrawn' FROM supply_offer_withdrawn
    ) AS said ORDER BY offer_id, position DESC
) AS log USING (offer_id)
WHERE offer.status IS DISTINCT FROM log.status;

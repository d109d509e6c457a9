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

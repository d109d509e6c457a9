-- customer_rows: customers of these stores and what they bought in :currency (NULL for all); a list chooses among them and sorts.
SELECT card.customer_id, card.store_id, card.status, card.merged_into, card.registered_at, card.channel, card.region,
    card.birth_year, card.referrer_id, card.member_since, card.tier, card.points, card.points_earned, card.changed_at,
    card.position, coalesce(bought.orders, 0) AS orders, bought.last_order_at,
    -- Amounts of several currencies make no sum.
    CASE WHEN :currency::text IS NOT NULL THEN coalesce(bought.net_sales_minor, 0) END AS net_sales_minor
FROM customer_card AS card
-- By customer alone, so that a page which asks for nothing of it is read without it.
LEFT JOIN (
    WITH RECURSIVE taken_in AS (
        SELECT given_up.customer_id AS member_id, given_up.merged_into AS customer_id
        FROM customer_card AS given_up WHERE given_up.merged_into IS NOT NULL
        UNION
        SELECT taken_in.member_id, given_up.merged_into
        FROM taken_in JOIN customer_card AS given_up ON given_up.customer_id = taken_in.customer_id
        WHERE given_up.merged_into IS NOT NULL
    ), sold AS (
        SELECT sales.customer_id, sales.orders, sales.gmv_minor - sales.refunded_minor AS net_sales_minor,
            sales.last_order_at
        FROM customer_card_sales AS sales
        WHERE (:store_ids::uuid[] IS NULL OR sales.store_id = ANY (:store_ids::uuid[]))
            AND (:currency::text IS NULL OR sales.currency = :currency::text)
    )
    SELECT each.customer_id, sum(each.orders)::bigint AS orders, sum(each.net_sales_minor)::bigint AS net_sales_minor,
        max(each.last_order_at) AS last_order_at
    FROM (
        SELECT sold.customer_id, sold.orders, sold.net_sales_minor, sold.last_order_at FROM sold
        -- What was sold to a record taken in counts for the one that took it, as it does in `sales`.
        UNION ALL
        SELECT taken_in.customer_id, sold.orders, sold.net_sales_minor, sold.last_order_at
        FROM taken_in JOIN sold ON sold.customer_id = taken_in.member_id
    ) AS each
    GROUP BY each.customer_id
) AS bought ON bought.customer_id = card.customer_id
WHERE :store_ids::uuid[] IS NULL OR card.store_id = ANY (:store_ids::uuid[]);

-- customer_consents: the channels that customers agreed to be reached by, for lists that look for them.
SELECT consent.customer_id, consent.channel
FROM customer_card_consents AS consent JOIN customer_card AS card ON card.customer_id = consent.customer_id
WHERE consent.granted AND (:store_ids::uuid[] IS NULL OR card.store_id = ANY (:store_ids::uuid[]));

-- cards: customers of these stores (:customer_ids, NULL for all), latest first, before (:before_registered_at, :before_customer_id).
SELECT card.customer_id, card.store_id, card.status, card.merged_into, card.registered_at, card.channel, card.region,
    card.birth_year, card.referrer_id, card.member_since, card.tier, card.points, card.points_earned, card.points_spent,
    card.points_reversed, card.points_expired, card.erased_at,
    (SELECT count(*) FROM customer_card_coupons AS coupon
        WHERE coupon.customer_id = card.customer_id AND coupon.state = 'held') AS coupons_held,
    (SELECT coalesce(array_agg(consent.channel ORDER BY consent.channel), '{}') FROM customer_card_consents AS consent
        WHERE consent.customer_id = card.customer_id AND consent.granted) AS consents
FROM customer_card AS card
WHERE (:store_ids::uuid[] IS NULL OR card.store_id = ANY (:store_ids::uuid[]))
    AND (:customer_ids::uuid[] IS NULL OR card.customer_id = ANY (:customer_ids::uuid[]))
    AND (:tier::text IS NULL OR card.tier = :tier::text)
    AND (:status::text IS NULL OR card.status = :status::text)
    AND (:before_registered_at::timestamptz IS NULL
        OR (card.registered_at, card.customer_id) < (:before_registered_at::timestamptz, :before_customer_id::uuid))
ORDER BY card.registered_at DESC, card.customer_id DESC
LIMIT coalesce(:row_limit::bigint, 50);

-- sales: what these customers bought, one row for each currency; what was sold to a record taken in counts for the one that took it.
WITH RECURSIVE family AS (
    SELECT card.customer_id AS asked_id, card.customer_id FROM customer_card AS card
    WHERE card.customer_id = ANY (:customer_ids::uuid[])
        AND (:store_ids::uuid[] IS NULL OR card.store_id = ANY (:store_ids::uuid[]))
    UNION
    SELECT family.asked_id, card.customer_id FROM family JOIN customer_card AS card ON card.merged_into = family.customer_id
)
SELECT family.asked_id AS customer_id, sales.currency, sum(sales.orders)::bigint AS orders, sum(sales.units) AS units,
    sum(sales.gmv_minor)::bigint AS gmv_minor, sum(sales.refunds)::bigint AS refunds,
    sum(sales.refunded_minor)::bigint AS refunded_minor,
    sum(sales.gmv_minor - sales.refunded_minor)::bigint AS net_sales_minor,
    min(sales.first_order_at) AS first_order_at, max(sales.last_order_at) AS last_order_at
FROM family JOIN customer_card_sales AS sales ON sales.customer_id = family.customer_id
WHERE :store_ids::uuid[] IS NULL OR sales.store_id = ANY (:store_ids::uuid[])
GROUP BY 1, 2
ORDER BY 1, 2;

-- coupons: the coupons of these customers.
SELECT coupon.customer_id, coupon.coupon_id, coupon.code, coupon.currency, coupon.campaign_id, coupon.expires_at,
    coupon.state, coupon.order_id
FROM customer_card_coupons AS coupon JOIN customer_card AS card USING (customer_id)
WHERE coupon.customer_id = ANY (:customer_ids::uuid[])
    AND (:store_ids::uuid[] IS NULL OR card.store_id = ANY (:store_ids::uuid[]))
ORDER BY coupon.customer_id, coupon.expires_at NULLS LAST, coupon.coupon_id;

-- tiers: how many customers of these stores stand at each tier (NULL: no member).
SELECT card.tier, count(*) AS customers, sum(card.points)::bigint AS points
FROM customer_card AS card
WHERE card.status IN ('registered', 'blocked')
    AND (:store_ids::uuid[] IS NULL OR card.store_id = ANY (:store_ids::uuid[]))
GROUP BY 1
ORDER BY 1;

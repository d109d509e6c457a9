-- customer_rows: customers of these stores; a list chooses among them and sorts.
SELECT card.customer_id, card.store_id, card.status, card.merged_into, card.registered_at, card.channel, card.region,
    card.birth_year, card.referrer_id, card.member_since, card.tier, card.points, card.points_earned, card.position
FROM customer_card AS card
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

-- kpi_daily: the payments and refunds of one store, day and currency, each with what it added to the figures.
-- of_buyers: orders of somebody who counts as a buyer. person_id: the buyer that a customer counts as, by all mergers so far; different ones, and guests, are the buyers.
SELECT
    paid.position, paid.stream_id, 'OrderPaid' AS event, paid.occurred_at, paid.customer_id,
    coalesce(same.person_id, paid.customer_id) AS person_id, 1::bigint AS orders, (paid.customer_id IS NULL)::int::bigint AS guest_orders,
    (paid.customer_id IS NOT NULL OR rule.guest_order_is_buyer)::int::bigint AS of_buyers, paid.units,
    CASE WHEN rule.gmv_counts_freight THEN paid.total_minor ELSE paid.goods_minor END AS gmv_minor,
    paid.discount_minor, paid.freight_minor,
    0::bigint AS refunds, 0::bigint AS refunded_minor, 0::bigint AS refunded_freight_minor
FROM order_paid AS paid CROSS JOIN rules AS rule
LEFT JOIN kpi_daily_persons AS same ON same.customer_id = paid.customer_id
WHERE paid.store_id = :store_id::uuid AND paid.currency = :currency::text
    -- No zone is further from UTC than a day, so these bounds lose nothing and let an index over time serve.
    AND paid.occurred_at >= (:day::date - 1)::timestamp AT TIME ZONE 'UTC'
    AND paid.occurred_at < (:day::date + 2)::timestamp AT TIME ZONE 'UTC'
    AND (paid.occurred_at AT TIME ZONE paid.time_zone)::date = :day::date
    AND (:store_ids::uuid[] IS NULL OR paid.store_id = ANY (:store_ids::uuid[]))
UNION ALL
SELECT
    refund.position, refund.stream_id, 'OrderRefunded', refund.occurred_at, refund.customer_id,
    coalesce(same.person_id, refund.customer_id), 0, 0, 0, 0, 0, 0, 0,
    1, refund.goods_minor + CASE WHEN rule.refund_counts_freight THEN refund.freight_minor ELSE 0 END,
    refund.freight_minor
FROM order_refunded AS refund CROSS JOIN rules AS rule
LEFT JOIN kpi_daily_persons AS same ON same.customer_id = refund.customer_id
WHERE refund.store_id = :store_id::uuid AND refund.currency = :currency::text
    AND refund.occurred_at >= (:day::date - 1)::timestamp AT TIME ZONE 'UTC'
    AND refund.occurred_at < (:day::date + 2)::timestamp AT TIME ZONE 'UTC'
    AND (refund.occurred_at AT TIME ZONE refund.time_zone)::date = :day::date
    AND (:store_ids::uuid[] IS NULL OR refund.store_id = ANY (:store_ids::uuid[]));

-- kpi_daily_buyers: the orders that one customer paid in one store on one day.
SELECT paid.position, paid.stream_id, 'OrderPaid' AS event, paid.occurred_at, paid.customer_id, 1::bigint AS orders
FROM order_paid AS paid
WHERE paid.store_id = :store_id::uuid AND paid.currency = :currency::text AND paid.customer_id = :customer_id::uuid
    AND paid.occurred_at >= (:day::date - 1)::timestamp AT TIME ZONE 'UTC'
    AND paid.occurred_at < (:day::date + 2)::timestamp AT TIME ZONE 'UTC'
    AND (paid.occurred_at AT TIME ZONE paid.time_zone)::date = :day::date
    AND (:store_ids::uuid[] IS NULL OR paid.store_id = ANY (:store_ids::uuid[]));

-- periods: the payments and refunds of all these stores in one :grain and currency.
SELECT
    paid.position, paid.stream_id, 'OrderPaid' AS event, paid.occurred_at, paid.customer_id,
    coalesce(same.person_id, paid.customer_id) AS person_id, 1::bigint AS orders, (paid.customer_id IS NULL)::int::bigint AS guest_orders,
    (paid.customer_id IS NOT NULL OR rule.guest_order_is_buyer)::int::bigint AS of_buyers, paid.units,
    CASE WHEN rule.gmv_counts_freight THEN paid.total_minor ELSE paid.goods_minor END AS gmv_minor,
    paid.discount_minor, paid.freight_minor,
    0::bigint AS refunds, 0::bigint AS refunded_minor, 0::bigint AS refunded_freight_minor
FROM order_paid AS paid CROSS JOIN rules AS rule
LEFT JOIN kpi_daily_persons AS same ON same.customer_id = paid.customer_id
WHERE paid.currency = :currency::text
    AND date_trunc(:grain::text, (paid.occurred_at AT TIME ZONE paid.time_zone)::date::timestamp)::date = :starts_on::date
    AND (:store_ids::uuid[] IS NULL OR paid.store_id = ANY (:store_ids::uuid[]))
UNION ALL
SELECT
    refund.position, refund.stream_id, 'OrderRefunded', refund.occurred_at, refund.customer_id,
    coalesce(same.person_id, refund.customer_id), 0, 0, 0, 0, 0, 0, 0,
    1, refund.goods_minor + CASE WHEN rule.refund_counts_freight THEN refund.freight_minor ELSE 0 END,
    refund.freight_minor
FROM order_refunded AS refund CROSS JOIN rules AS rule
LEFT JOIN kpi_daily_persons AS same ON same.customer_id = refund.customer_id
WHERE refund.currency = :currency::text
    AND date_trunc(:grain::text, (refund.occurred_at AT TIME ZONE refund.time_zone)::date::timestamp)::date = :starts_on::date
    AND (:store_ids::uuid[] IS NULL OR refund.store_id = ANY (:store_ids::uuid[]));

-- totals: the payments and refunds of all these stores in one currency.
SELECT
    paid.position, paid.stream_id, 'OrderPaid' AS event, paid.occurred_at, paid.customer_id,
    coalesce(same.person_id, paid.customer_id) AS person_id, 1::bigint AS orders, (paid.customer_id IS NULL)::int::bigint AS guest_orders,
    (paid.customer_id IS NOT NULL OR rule.guest_order_is_buyer)::int::bigint AS of_buyers, paid.units,
    CASE WHEN rule.gmv_counts_freight THEN paid.total_minor ELSE paid.goods_minor END AS gmv_minor,
    paid.discount_minor, paid.freight_minor,
    0::bigint AS refunds, 0::bigint AS refunded_minor, 0::bigint AS refunded_freight_minor
FROM order_paid AS paid CROSS JOIN rules AS rule
LEFT JOIN kpi_daily_persons AS same ON same.customer_id = paid.customer_id
WHERE paid.currency = :currency::text
    AND (:store_ids::uuid[] IS NULL OR paid.store_id = ANY (:store_ids::uuid[]))
UNION ALL
SELECT
    refund.position, refund.stream_id, 'OrderRefunded', refund.occurred_at, refund.customer_id,
    coalesce(same.person_id, refund.customer_id), 0, 0, 0, 0, 0, 0, 0,
    1, refund.goods_minor + CASE WHEN rule.refund_counts_freight THEN refund.freight_minor ELSE 0 END,
    refund.freight_minor
FROM order_refunded AS refund CROSS JOIN rules AS rule
LEFT JOIN kpi_daily_persons AS same ON same.customer_id = refund.customer_id
WHERE refund.currency = :currency::text
    AND (:store_ids::uuid[] IS NULL OR refund.store_id = ANY (:store_ids::uuid[]));

-- kpi_daily_persons: the mergers by which a customer came to count as a person, and others as the same.
SELECT gone.position, 'CustomerMergedInto' AS event, gone.occurred_at, gone.stream_id AS customer_id, gone.into_id
FROM customer_merged_into AS gone
WHERE gone.stream_id IN (
        SELECT other.customer_id FROM kpi_daily_persons AS own
        JOIN kpi_daily_persons AS other ON other.person_id = own.person_id WHERE own.customer_id = :customer_id::uuid
    )
    AND (:store_ids::uuid[] IS NULL OR gone.store_id = ANY (:store_ids::uuid[]));

-- paid: a paid order counts on the store's own calendar day (the zone is the one it had then), once, after discounts.
INSERT INTO kpi_daily AS kpi
    (store_id, day, currency, orders, guest_orders, units, gmv_minor, discount_minor, freight_minor)
SELECT
    paid.store_id, (paid.occurred_at AT TIME ZONE paid.time_zone)::date, paid.currency,
    count(*), count(*) FILTER (WHERE paid.customer_id IS NULL), sum(paid.units),
    sum(CASE WHEN rule.gmv_counts_freight THEN paid.total_minor ELSE paid.goods_minor END),
    sum(paid.discount_minor), sum(paid.freight_minor)
FROM order_paid AS paid CROSS JOIN rules AS rule
GROUP BY 1, 2, 3
ON CONFLICT (store_id, day, currency) DO UPDATE SET
    orders = kpi.orders + excluded.orders,
    guest_orders = kpi.guest_orders + excluded.guest_orders,
    units = kpi.units + excluded.units,
    gmv_minor = kpi.gmv_minor + excluded.gmv_minor,
    discount_minor = kpi.discount_minor + excluded.discount_minor,
    freight_minor = kpi.freight_minor + excluded.freight_minor;

-- buyers: who paid on the day; distinct buyers of a window are counted over these rows and their persons, never summed.
INSERT INTO kpi_daily_buyers AS buyer (store_id, day, currency, customer_id, orders)
SELECT paid.store_id, (paid.occurred_at AT TIME ZONE paid.time_zone)::date, paid.currency, paid.customer_id, count(*)
FROM order_paid AS paid
WHERE paid.customer_id IS NOT NULL
GROUP BY 1, 2, 3, 4
ON CONFLICT (store_id, day, currency, customer_id) DO UPDATE SET orders = buyer.orders + excluded.orders;

-- mergers: two records of one person are one buyer, on every day and from the merger on.
INSERT INTO kpi_daily_mergers (customer_id, into_id)
SELECT DISTINCT ON (gone.stream_id) gone.stream_id, gone.into_id
FROM customer_merged_into AS gone
ORDER BY gone.stream_id, gone.position
ON CONFLICT (customer_id) DO NOTHING;

-- persons: of every record that these mergers touch, the last one on its way from record to record.
WITH RECURSIVE way AS (
    SELECT touched.customer_id, touched.customer_id AS person_id, ARRAY[touched.customer_id] AS path
    FROM (
        SELECT gone.stream_id AS customer_id FROM customer_merged_into AS gone
        UNION SELECT same.customer_id
        FROM kpi_daily_persons AS same JOIN customer_merged_into AS gone ON gone.stream_id = same.person_id
    ) AS touched
    UNION ALL
    SELECT way.customer_id, link.into_id, way.path || link.into_id
    FROM way JOIN kpi_daily_mergers AS link ON link.customer_id = way.person_id
    WHERE link.into_id <> ALL (way.path)
)
INSERT INTO kpi_daily_persons (customer_id, person_id)
SELECT DISTINCT ON (way.customer_id) way.customer_id, way.person_id
FROM way
ORDER BY way.customer_id, cardinality(way.path) DESC
ON CONFLICT (customer_id) DO UPDATE SET person_id = excluded.person_id;

-- refunded: money that went back lowers net sales on the day it went back, never the day of the sale.
INSERT INTO kpi_daily AS kpi (store_id, day, currency, refunds, refunded_minor, refunded_freight_minor)
SELECT
    refund.store_id, (refund.occurred_at AT TIME ZONE refund.time_zone)::date, refund.currency,
    count(*),
    sum(refund.goods_minor + CASE WHEN rule.refund_counts_freight THEN refund.freight_minor ELSE 0 END),
    sum(refund.freight_minor)
FROM order_refunded AS refund CROSS JOIN rules AS rule
GROUP BY 1, 2, 3
ON CONFLICT (store_id, day, currency) DO UPDATE SET
    refunds = kpi.refunds + excluded.refunds,
    refunded_minor = kpi.refunded_minor + excluded.refunded_minor,
    refunded_freight_minor = kpi.refunded_freight_minor + excluded.refunded_freight_minor;

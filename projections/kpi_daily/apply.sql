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

-- buyers: who paid on the day; distinct buyers of a window are counted over these rows, never summed over days.
INSERT INTO kpi_daily_buyers AS buyer (store_id, day, currency, customer_id, orders)
SELECT paid.store_id, (paid.occurred_at AT TIME ZONE paid.time_zone)::date, paid.currency, paid.customer_id, count(*)
FROM order_paid AS paid
WHERE paid.customer_id IS NOT NULL
GROUP BY 1, 2, 3, 4
ON CONFLICT (store_id, day, currency, customer_id) DO UPDATE SET orders = buyer.orders + excluded.orders;

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

-- orders_have_a_buyer: on each day, the orders of known buyers and of guests are all the orders.
SELECT kpi.store_id, kpi.day, kpi.currency, kpi.orders, kpi.guest_orders, coalesce(found.orders, 0) AS of_known_buyers
FROM kpi_daily AS kpi LEFT JOIN (
    SELECT store_id, day, currency, sum(orders) AS orders FROM kpi_daily_buyers GROUP BY 1, 2, 3
) AS found USING (store_id, day, currency)
WHERE kpi.orders <> kpi.guest_orders + coalesce(found.orders, 0);

-- totals_are_the_log: what all days add up to is what the log says, counted anew by store and currency.
SELECT store_id, currency, kpi.orders, log.orders AS orders_in_log, kpi.goods, log.goods AS goods_in_log,
    kpi.refunds, log.refunds AS refunds_in_log
FROM (
    SELECT store_id, currency, sum(orders) AS orders, sum(refunds) AS refunds,
        sum(gmv_minor - CASE WHEN gmv_counts_freight THEN freight_minor ELSE 0 END) AS goods
    FROM kpi_daily CROSS JOIN rules GROUP BY 1, 2
) AS kpi FULL JOIN (
    SELECT store_id, currency, sum(orders) AS orders, sum(refunds) AS refunds, sum(goods) AS goods
    FROM (
        SELECT store_id, currency, 1 AS orders, 0 AS refunds, goods_minor AS goods FROM order_paid
        UNION ALL SELECT store_id, currency, 0, 1, 0 FROM order_refunded
    ) AS each GROUP BY 1, 2
) AS log USING (store_id, currency)
WHERE (kpi.orders, kpi.goods, kpi.refunds) IS DISTINCT FROM (log.orders, log.goods, log.refunds);

-- persons_end: whoever has a person was merged, and no person was merged further (but in a ring, which nobody leaves).
SELECT same.customer_id, same.person_id
FROM kpi_daily_persons AS same
LEFT JOIN kpi_daily_mergers AS own ON own.customer_id = same.customer_id
LEFT JOIN kpi_daily_mergers AS further ON further.customer_id = same.person_id
LEFT JOIN kpi_daily_persons AS there ON there.customer_id = same.person_id
WHERE own.customer_id IS NULL OR (further.customer_id IS NOT NULL AND there.person_id = same.person_id);

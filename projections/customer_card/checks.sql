-- sales_are_the_log: what customers bought and gave back is what the log says, by currency.
SELECT currency, card.orders, log.orders AS orders_in_log, card.gmv_minor, log.gmv_minor AS gmv_in_log, card.refunds,
    log.refunds AS refunds_in_log
FROM (
    SELECT currency, sum(orders) AS orders, sum(gmv_minor) AS gmv_minor, sum(refunds) AS refunds
    FROM customer_card_sales GROUP BY 1
) AS card FULL JOIN (
    SELECT currency, sum(orders) AS orders, sum(gmv_minor) AS gmv_minor, sum(refunds) AS refunds
    FROM (
        SELECT currency, 1 AS orders, goods_minor AS gmv_minor, 0 AS refunds FROM order_paid WHERE customer_id IS NOT NULL
        UNION ALL SELECT currency, 0, 0, 1 FROM order_refunded WHERE customer_id IS NOT NULL
    ) AS each GROUP BY 1
) AS log USING (currency)
WHERE (card.orders, card.gmv_minor, card.refunds) IS DISTINCT FROM (log.orders, log.gmv_minor, log.refunds);

-- points_are_conserved: over all customers, what is open is what was earned less what was spent, reversed or expired.
SELECT sum(points) AS points, sum(points_earned - points_spent - points_reversed - points_expired) AS of_movements
FROM customer_card
HAVING sum(points) <> sum(points_earned - points_spent - points_reversed - points_expired);

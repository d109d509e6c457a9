-- lines_are_the_goods: the lines of a paid order add up to what was paid for its goods, with the freight if GMV counts it.
SELECT bill.order_id, bill.gmv_minor, sum(line.amount_minor) AS of_lines
FROM (
    SELECT one.order_id, one.position, CASE WHEN rule.gmv_counts_freight THEN one.total_minor ELSE one.goods_minor END
        AS gmv_minor
    FROM paid AS one CROSS JOIN rules AS rule
) AS bill LEFT JOIN sold AS line ON line.position = bill.position
GROUP BY 1, 2
HAVING bill.gmv_minor IS DISTINCT FROM coalesce(sum(line.amount_minor), 0)::bigint;

-- paid_is_the_log: what is on record as paid is what the log says, counted anew by store and currency.
SELECT store_id, currency, kept.orders, log.orders AS orders_in_log, kept.goods, log.goods AS goods_in_log
FROM (SELECT store_id, currency, count(*) AS orders, sum(goods_minor) AS goods FROM paid GROUP BY 1, 2) AS kept
FULL JOIN (
    SELECT store_id, currency, count(*) AS orders, sum(goods_minor) AS goods FROM order_paid GROUP BY 1, 2
) AS log USING (store_id, currency)
WHERE (kept.orders, kept.goods) IS DISTINCT FROM (log.orders, log.goods);

-- refunds_are_the_log: what went back for goods, line by line, is what the log says.
SELECT store_id, currency, kept.goods, log.goods AS goods_in_log, kept.net, log.net AS net_in_log, kept.whole,
    log.whole AS whole_in_log
FROM (
    SELECT store_id, currency, sum(goods_minor) AS goods, sum(net_minor) AS net, sum(whole_minor) AS whole
    FROM refunds GROUP BY 1, 2
) AS kept
FULL JOIN (
    SELECT store_id, currency, sum(goods_minor) AS goods, sum(amount_minor) AS whole,
        sum(goods_minor + CASE WHEN rule.refund_counts_freight THEN freight_minor ELSE 0 END) AS net
    FROM order_refunded CROSS JOIN rules AS rule GROUP BY 1, 2
) AS log USING (store_id, currency)
WHERE (kept.goods, kept.net, kept.whole) IS DISTINCT FROM (log.goods, log.net, log.whole);

-- first_is_first: no customer has a paid order in a store before the first one.
SELECT bill.customer_id, bill.store_id, bill.position, began.first_position
FROM paid AS bill LEFT JOIN first_orders AS began
    ON began.customer_id = bill.customer_id AND began.store_id = bill.store_id
    AND began.until_position = 9223372036854775807
WHERE bill.customer_id IS NOT NULL
    AND (began.first_position IS NULL OR (bill.occurred_at, bill.position) < (began.first_at, began.first_position));

-- one_at_a_time: at every position a record is one person's, a customer has one first order and one tier, a forecast holds alone.
SELECT early.kind, early.key, early.since, early.until
FROM (
    SELECT each.kind, each.key, each.since, each.until,
        lead(each.since) OVER (PARTITION BY each.kind, each.key ORDER BY each.since) AS later
    FROM (
        SELECT 'person' AS kind, customer_id::text AS key, since_position AS since, until_position AS until FROM persons
        UNION ALL
        SELECT 'first', customer_id || ' ' || store_id, first_position, until_position FROM first_orders
        UNION ALL
        SELECT 'forecast', campaign_id::text, position, until_position FROM forecasts
        UNION ALL
        SELECT 'budget', campaign_id::text, position, until_position FROM budgets
        UNION ALL
        SELECT 'target', store_id || ' ' || month, position, until_position FROM sales_targets
        UNION ALL
        SELECT 'schedule', campaign_id::text, position, until_position FROM schedules
        UNION ALL
        SELECT 'tier', customer_id::text, position, until_position FROM tiers
        UNION ALL
        SELECT 'agent', order_id::text, position, until_position FROM assists
        UNION ALL
        SELECT 'line', campaign_id || ' ' || sku_id, position, until_position FROM campaign_lines
    ) AS each
) AS early
WHERE early.until <= early.since OR early.later < early.until;

-- called_off_or_paid: no order counts as called off before it was paid that was paid first.
SELECT origin.order_id, origin.dropped_position, bill.position
FROM origins AS origin JOIN paid AS bill ON bill.order_id = origin.order_id
WHERE bill.position < origin.dropped_position;

-- one_first_check: of a campaign's price checks one is the first, and none came before it.
SELECT look.campaign_id, min(look.position) AS first, min(look.position) FILTER (WHERE look.is_first) AS said,
    count(*) FILTER (WHERE look.is_first) AS firsts
FROM price_checks AS look GROUP BY 1
HAVING count(*) FILTER (WHERE look.is_first) <> 1 OR min(look.position) <> min(look.position) FILTER (WHERE look.is_first);

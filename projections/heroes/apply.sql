-- named: a list stands from the first day of its month, or from the day on which it was named where that is later.
INSERT INTO hero_lists (position, store_id, month, holds_from, occurred_at, sku_ids)
SELECT said.position, said.store_id, said.month,
    greatest(said.month, (said.occurred_at AT TIME ZONE said.time_zone)::date), said.occurred_at, said.sku_ids
FROM hero_skus_set AS said;

-- placed: a line is of a hero if the list that held in its store on the day of the order has its article; of the lists that
-- were on record by then the one of the latest month holds, as it was named last. Where no store named any, no order is read.
INSERT INTO hero_lines (order_id, line, sku_id, list_position, quantity, amount_minor)
SELECT placed.stream_id, placed.line, placed.sku_id, list.position, placed.quantity, placed.amount_minor
FROM order_placed_lines AS placed CROSS JOIN rules AS rule
CROSS JOIN LATERAL (
    SELECT one.position, one.month, one.sku_ids FROM hero_lists AS one
    WHERE one.store_id = placed.store_id AND one.position < placed.position
        AND one.holds_from <= (placed.occurred_at AT TIME ZONE placed.time_zone)::date
    ORDER BY one.month DESC, one.position DESC LIMIT 1
) AS list
WHERE placed.sku_id = ANY (list.sku_ids) AND EXISTS (SELECT FROM hero_lists) AND (
    rule.hold_until_the_next
    OR list.month = date_trunc('month', placed.occurred_at AT TIME ZONE placed.time_zone)::date
);

-- changed: what a line of a hero costs from each amendment on, and what was called off of it.
INSERT INTO hero_changes (order_id, line, position, amount_minor, cancelled, cancelled_minor)
SELECT said.order_id, said.line, said.position, max(said.amount_minor), sum(said.cancelled), sum(said.cancelled_minor)
FROM (
    SELECT stream_id AS order_id, line, position, amount_minor, 0 AS cancelled, 0 AS cancelled_minor
    FROM order_price_amended
    UNION ALL SELECT stream_id, line, position, NULL, quantity, amount_minor FROM order_cancelled_lines
    UNION ALL SELECT stream_id, line, position, NULL, quantity, amount_minor FROM order_expired_lines
) AS said
CROSS JOIN LATERAL (
    SELECT FROM hero_lines AS known WHERE known.order_id = said.order_id AND known.line = said.line OFFSET 0
) AS hero
WHERE EXISTS (SELECT FROM hero_lines)
GROUP BY 1, 2, 3;

-- paid: it is sold when its order is paid, at what it costs at that position, on the store's own day: as kpi_facts counts GMV.
-- Said here again, since each projection is built from the log alone, beside the others; a test holds the two together.
INSERT INTO hero_sold (
    position, line, order_id, store_id, occurred_at, day, currency, channel, sku_id, list_position, amount_minor
)
SELECT bill.position, hero.line, bill.stream_id, bill.store_id, bill.occurred_at,
    (bill.occurred_at AT TIME ZONE bill.time_zone)::date, bill.currency, bill.channel, hero.sku_id, hero.list_position,
    coalesce(since.amount_minor, hero.amount_minor) - coalesce(since.cancelled_minor, 0)
FROM order_paid AS bill
CROSS JOIN LATERAL (
    SELECT known.line, known.sku_id, known.list_position, known.quantity, known.amount_minor
    FROM hero_lines AS known WHERE known.order_id = bill.stream_id OFFSET 0
) AS hero
CROSS JOIN LATERAL (
    SELECT sum(change.cancelled) AS cancelled, sum(change.cancelled_minor) AS cancelled_minor,
        (array_agg(change.amount_minor ORDER BY change.position DESC) FILTER (WHERE change.amount_minor IS NOT NULL))[1]
            AS amount_minor
    FROM hero_changes AS change
    WHERE change.order_id = bill.stream_id AND change.line = hero.line AND change.position < bill.position
) AS since
WHERE hero.quantity > coalesce(since.cancelled, 0) AND EXISTS (SELECT FROM hero_lines);

-- origin: the channel of an order, or of a return of no order we know.
INSERT INTO origins (order_id, channel)
SELECT stream_id, channel FROM order_placed UNION ALL SELECT stream_id, channel FROM return_recorded;

-- lines: what was ordered, and which campaign each line counts for: the one whose price it has, else that of the largest discount.
INSERT INTO agreed_lines (order_id, line, sku_id, campaign_id, quantity, counted)
SELECT placed.stream_id, placed.line, placed.sku_id, coalesce(placed.campaign_id, largest.campaign_id), placed.quantity,
    NOT placed.service AND (rule.gifts_are_units OR NOT placed.gift)
FROM order_placed_lines AS placed CROSS JOIN rules AS rule
LEFT JOIN LATERAL (
    SELECT CASE WHEN given.value->>'source' = 'coupon' THEN placed.coupon_campaign_id
        ELSE (given.value->>'source_id')::uuid END AS campaign_id
    FROM jsonb_array_elements(placed.discounts) WITH ORDINALITY AS given (value, rank)
    WHERE rule.discount_attributes AND given.value->>'source' NOT IN ('tier', 'points', 'manual')
        AND CASE WHEN given.value->>'source' = 'coupon' THEN placed.coupon_campaign_id
            ELSE (given.value->>'source_id')::uuid END IS NOT NULL
    ORDER BY (given.value->>'amount_minor')::bigint DESC, given.rank
    LIMIT 1
) AS largest ON true;

-- changes: what a line costs from its placing and from each amendment on, and what was called off of it.
INSERT INTO agreed_changes (order_id, line, position, amount_minor, cancelled, cancelled_minor)
SELECT said.order_id, said.line, said.position, max(said.amount_minor), sum(said.cancelled), sum(said.cancelled_minor)
FROM (
    SELECT stream_id AS order_id, line, position, amount_minor, 0 AS cancelled, 0 AS cancelled_minor
    FROM order_placed_lines
    UNION ALL SELECT stream_id, line, position, amount_minor, 0, 0 FROM order_price_amended
    UNION ALL SELECT stream_id, line, position, NULL, quantity, amount_minor FROM order_cancelled_lines
    UNION ALL SELECT stream_id, line, position, NULL, quantity, amount_minor FROM order_expired_lines
) AS said
GROUP BY 1, 2, 3;

-- paid_lines: a line is sold when its order is paid, at what it costs at that position, on the store's own day.
INSERT INTO sold (
    position, line, order_id, store_id, occurred_at, day, hour, currency, channel, sku_id, campaign_id, customer_id,
    units, amount_minor
)
SELECT bill.position, line.line, line.order_id, bill.store_id, bill.occurred_at,
    (bill.occurred_at AT TIME ZONE bill.time_zone)::date,
    extract(hour FROM bill.occurred_at AT TIME ZONE bill.time_zone)::bigint,
    bill.currency, bill.channel, line.sku_id, line.campaign_id, bill.customer_id,
    CASE WHEN line.counted THEN line.quantity - gone.cancelled ELSE 0 END, price.amount_minor - gone.cancelled_minor
FROM order_paid AS bill
JOIN agreed_lines AS line ON line.order_id = bill.stream_id
CROSS JOIN LATERAL (
    SELECT change.amount_minor FROM agreed_changes AS change
    WHERE change.order_id = line.order_id AND change.line = line.line AND change.position < bill.position
        AND change.amount_minor IS NOT NULL
    ORDER BY change.position DESC LIMIT 1
) AS price
CROSS JOIN LATERAL (
    SELECT sum(change.cancelled) AS cancelled, sum(change.cancelled_minor) AS cancelled_minor
    FROM agreed_changes AS change
    WHERE change.order_id = line.order_id AND change.line = line.line AND change.position < bill.position
) AS gone
WHERE line.quantity > gone.cancelled;

-- paid_orders: what was paid in all, and what was promised for it; a surge order has the hard promise only.
INSERT INTO paid (
    order_id, position, store_id, occurred_at, time_zone, day, hour, currency, channel, customer_id, goods_minor,
    total_minor, due_at, hard_at
)
SELECT bill.stream_id, bill.position, bill.store_id, bill.occurred_at, bill.time_zone,
    (bill.occurred_at AT TIME ZONE bill.time_zone)::date,
    extract(hour FROM bill.occurred_at AT TIME ZONE bill.time_zone)::bigint,
    bill.currency, bill.channel, bill.customer_id, bill.goods_minor, bill.total_minor,
    CASE WHEN bill.surge AND rule.surge_ships_by_hard_promise THEN bill.ship_by_hard ELSE bill.ship_by END,
    bill.ship_by_hard
FROM order_paid AS bill CROSS JOIN rules AS rule;

-- shipped: an order has left when its last parcel did; a parcel that left before the payment breaks no promise.
UPDATE paid AS bill SET shipped_at = gone.occurred_at, shipped_position = gone.position
FROM (
    SELECT DISTINCT ON (parcel.stream_id) parcel.stream_id, parcel.position, parcel.occurred_at
    FROM order_shipped AS parcel JOIN paid AS known ON known.order_id = parcel.stream_id
    WHERE parcel.complete AND parcel.position > known.position
    ORDER BY parcel.stream_id, parcel.position
) AS gone
WHERE bill.order_id = gone.stream_id AND bill.shipped_at IS NULL;

-- called_off: a paid order that was called off as a whole is no longer owed.
UPDATE paid AS bill SET cancelled_at = gone.occurred_at
FROM (
    SELECT DISTINCT ON (off.stream_id) off.stream_id, off.occurred_at
    FROM order_cancelled AS off JOIN paid AS known ON known.order_id = off.stream_id
    WHERE off.whole AND off.position > known.position
    ORDER BY off.stream_id, off.position
) AS gone
WHERE bill.order_id = gone.stream_id AND bill.cancelled_at IS NULL;

-- began: the earliest paid order of a customer in a store, by when it happened; a back-dated one moves it.
INSERT INTO first_orders AS began (customer_id, store_id, first_at, first_position, day)
SELECT DISTINCT ON (bill.customer_id, bill.store_id) bill.customer_id, bill.store_id, bill.occurred_at, bill.position,
    (bill.occurred_at AT TIME ZONE bill.time_zone)::date
FROM order_paid AS bill
WHERE bill.customer_id IS NOT NULL
ORDER BY bill.customer_id, bill.store_id, bill.occurred_at, bill.position
ON CONFLICT (customer_id, store_id) DO UPDATE SET
    first_at = excluded.first_at, first_position = excluded.first_position, day = excluded.day
WHERE (excluded.first_at, excluded.first_position) < (began.first_at, began.first_position);

-- refunded: money that went back, on its own day and on the day of the sale; what no line accounts for stands at place 0.
INSERT INTO refunds (
    position, place, order_id, store_id, occurred_at, day, hour, sold_day, sold_hour, currency, channel, sku_id,
    campaign_id, customer_id, goods_minor, whole_minor
)
SELECT back.position, back.place, back.order_id, back.store_id, back.occurred_at,
    (back.occurred_at AT TIME ZONE back.time_zone)::date,
    extract(hour FROM back.occurred_at AT TIME ZONE back.time_zone)::bigint,
    bill.day, bill.hour, back.currency, origin.channel, back.sku_id, coalesce(line.campaign_id, back.campaign_id),
    back.customer_id, back.goods_minor, back.whole_minor
FROM (
    SELECT part.position, part.ordinal AS place, part.stream_id AS order_id, part.store_id, part.occurred_at,
        part.time_zone, part.currency, part.line, part.sku_id, part.campaign_id, part.customer_id,
        part.amount_minor AS goods_minor, 0::bigint AS whole_minor
    FROM order_refunded_lines AS part
    UNION ALL
    SELECT whole.position, 0, whole.stream_id, whole.store_id, whole.occurred_at, whole.time_zone, whole.currency, NULL,
        NULL, NULL, whole.customer_id, whole.goods_minor - coalesce(parts.amount_minor, 0), whole.amount_minor
    FROM order_refunded AS whole LEFT JOIN (
        SELECT part.position, sum(part.amount_minor)::bigint AS amount_minor FROM order_refunded_lines AS part GROUP BY 1
    ) AS parts ON parts.position = whole.position
) AS back
LEFT JOIN paid AS bill ON bill.order_id = back.order_id AND bill.position < back.position
LEFT JOIN origins AS origin ON origin.order_id = back.order_id
LEFT JOIN agreed_lines AS line ON line.order_id = back.order_id AND line.line = back.line;

-- registered: somebody became a customer.
INSERT INTO users (customer_id, position, store_id, occurred_at, day, hour, channel, campaign_id)
SELECT person.stream_id, person.position, person.store_id, person.occurred_at,
    (person.occurred_at AT TIME ZONE person.time_zone)::date,
    extract(hour FROM person.occurred_at AT TIME ZONE person.time_zone)::bigint, person.channel, person.campaign_id
FROM customer_registered AS person;

-- merged: the record was another customer's; the first merger counts.
UPDATE users AS person SET merged_position = gone.position, merged_at = gone.occurred_at
FROM (
    SELECT DISTINCT ON (stream_id) stream_id, position, occurred_at
    FROM customer_merged_into ORDER BY stream_id, position
) AS gone
WHERE person.customer_id = gone.stream_id AND person.merged_position IS NULL;

-- moved: stock and quotas; units that an unshipped order gives back to a quota are unsold again.
INSERT INTO moves (
    position, measure, event, store_id, occurred_at, day, hour, sku_id, campaign_id, order_id, amount
)
SELECT said.position, said.measure, said.event, said.store_id, said.occurred_at,
    (said.occurred_at AT TIME ZONE said.time_zone)::date,
    extract(hour FROM said.occurred_at AT TIME ZONE said.time_zone)::bigint,
    said.sku_id, said.campaign_id, said.order_id, said.amount
FROM (
    SELECT position, 'quota_sold' AS measure, 'StockReserved' AS event, store_id, occurred_at, time_zone,
        stream_id AS sku_id, campaign_id, order_id, quantity AS amount
    FROM stock_reserved WHERE campaign_id IS NOT NULL
    UNION ALL
    SELECT position, 'quota_sold', 'ReservationReleased', store_id, occurred_at, time_zone, stream_id, campaign_id,
        order_id, -quantity
    FROM reservation_released WHERE campaign_id IS NOT NULL
    UNION ALL
    SELECT position, 'quota_allocated', 'CampaignStockAllocated', store_id, occurred_at, time_zone, stream_id,
        campaign_id, NULL, quantity
    FROM campaign_stock_allocated
    UNION ALL
    SELECT position, 'counted_off', 'StockCounted', store_id, occurred_at, time_zone, stream_id, NULL, NULL,
        abs(counted - book)
    FROM stock_counted
    UNION ALL
    SELECT position, 'counted_book', 'StockCounted', store_id, occurred_at, time_zone, stream_id, NULL, NULL, book
    FROM stock_counted
    UNION ALL
    SELECT position, 'received', 'StockReceived', store_id, occurred_at, time_zone, stream_id, NULL, NULL, quantity
    FROM stock_received
    UNION ALL
    SELECT position, 'written_off', 'StockWrittenOff', store_id, occurred_at, time_zone, stream_id, NULL, NULL, quantity
    FROM stock_written_off
    UNION ALL
    SELECT position, 'shortage', 'ShortageReported', store_id, occurred_at, time_zone, NULL, NULL, stream_id, 1
    FROM shortage_reported
) AS said;

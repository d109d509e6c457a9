-- skus: what is known of a SKU when it is registered.
INSERT INTO stock_skus (sku_id, store_id, code, name, category, unit, mode, currency, scale)
SELECT
    sku.stream_id, sku.store_id, sku.code, sku.name, sku.category, sku.unit, sku.mode, sku.currency,
    10::numeric ^ currency_digits(sku.currency)
FROM sku_registered AS sku;

-- movements: every stock event of the window, folded in the order of the log from the kept levels and values.
-- An entry with an earlier occurred_at is folded where it was recorded: what was known before does not change by it.
WITH moved AS (
    SELECT position, 1::smallint AS leg, stream_id AS sku_id, location_id, store_id, 'received' AS kind, occurred_at,
        recorded_at, actor, origin, NULL::uuid AS order_id, NULL::uuid AS parcel_id, NULL::uuid AS campaign_id,
        NULL::uuid AS transfer_id, batch, document, NULL::text AS reason,
        quantity AS on_hand, 0::numeric AS reserved, 0::numeric AS allocated, 0::numeric AS damaged,
        0::numeric AS in_transit, quantity AS change, unit_cost AS cost
    FROM stock_received
    UNION ALL
    -- Out of a campaign's quota, units that were allocated become reserved.
    SELECT position, 1, stream_id, location_id, store_id, 'reserved', occurred_at,
        recorded_at, actor, origin, order_id, NULL, campaign_id, NULL, NULL, document, NULL,
        0, quantity, CASE WHEN campaign_id IS NULL THEN 0 ELSE -quantity END, 0, 0, 0, NULL
    FROM stock_reserved
    UNION ALL
    SELECT position, 1, stream_id, location_id, store_id, 'released', occurred_at,
        recorded_at, actor, origin, order_id, NULL, campaign_id, NULL, NULL, document, NULL,
        0, -quantity, CASE WHEN to_quota AND campaign_id IS NOT NULL THEN quantity ELSE 0 END, 0, 0, 0, NULL
    FROM reservation_released
    UNION ALL
    SELECT position, 1, stream_id, location_id, store_id, 'shipped', occurred_at,
        recorded_at, actor, origin, order_id, parcel_id, campaign_id, NULL, batch, document, NULL,
        -quantity, -quantity, 0, 0, 0, -quantity, NULL
    FROM stock_shipped
    UNION ALL
    SELECT position, 1, stream_id, location_id, store_id, 'returned', occurred_at,
        recorded_at, actor, origin, order_id, NULL, NULL, NULL, NULL, document, condition,
        quantity, 0, 0, CASE WHEN condition = 'good' THEN 0 ELSE quantity END, 0, quantity, NULL
    FROM stock_returned
    UNION ALL
    SELECT position, 1, stream_id, location_id, store_id, 'written_off', occurred_at,
        recorded_at, actor, origin, NULL, NULL, NULL, NULL, NULL, document, kind || ': ' || reason,
        -quantity, 0, 0, CASE WHEN condition IS NULL OR condition = 'good' THEN 0 ELSE -quantity END, 0, -quantity, NULL
    FROM stock_written_off
    UNION ALL
    SELECT position, 1, stream_id, location_id, store_id, 'sample', occurred_at,
        recorded_at, actor, origin, NULL, NULL, NULL, NULL, NULL, document, purpose,
        -quantity, 0, 0, 0, 0, -quantity, NULL
    FROM sample_issued
    UNION ALL
    -- A count moves nothing by itself; its line shows what was found, and the adjustment after it what was booked.
    SELECT position, 1, stream_id, location_id, store_id, 'counted', occurred_at,
        recorded_at, actor, origin, NULL, NULL, NULL, NULL, NULL, document, 'book ' || book || ', counted ' || counted,
        0, 0, 0, 0, 0, 0, NULL
    FROM stock_counted
    UNION ALL
    SELECT position, 1, stream_id, location_id, store_id, 'adjusted', occurred_at,
        recorded_at, actor, origin, NULL, NULL, NULL, NULL, NULL, document, reason,
        difference, 0, 0, 0, 0, difference, NULL
    FROM stock_adjusted
    UNION ALL
    SELECT position, 1, stream_id, location_id, store_id, 'transferred_out', occurred_at,
        recorded_at, actor, origin, NULL, NULL, NULL, transfer_id, NULL, document, NULL,
        -quantity, 0, 0, 0, 0, 0, NULL
    FROM stock_transferred_out
    UNION ALL
    SELECT position, 2, stream_id, to_location_id, store_id, 'transferred_out', occurred_at,
        recorded_at, actor, origin, NULL, NULL, NULL, transfer_id, NULL, document, NULL,
        0, 0, 0, 0, quantity, 0, NULL
    FROM stock_transferred_out
    UNION ALL
    SELECT position, 1, stream_id, location_id, store_id, 'transferred_in', occurred_at,
        recorded_at, actor, origin, NULL, NULL, NULL, transfer_id, NULL, document, reason,
        quantity, 0, 0, 0, -(quantity + lost), -lost, NULL
    FROM stock_transferred_in
    UNION ALL
    SELECT position, 1, stream_id, location_id, store_id, 'allocated', occurred_at,
        recorded_at, actor, origin, NULL, NULL, campaign_id, NULL, NULL, document, NULL,
        0, 0, quantity, 0, 0, 0, NULL
    FROM campaign_stock_allocated
    UNION ALL
    SELECT position, 1, stream_id, location_id, store_id, 'deallocated', occurred_at,
        recorded_at, actor, origin, NULL, NULL, campaign_id, NULL, NULL, document, NULL,
        0, 0, -quantity, 0, 0, 0, NULL
    FROM campaign_stock_released
), folded AS (
    SELECT moved.position, moved.leg, moved.sku_id, moved.location_id, moved.store_id, moved.kind, moved.occurred_at,
        moved.recorded_at, moved.actor, moved.origin, moved.order_id, moved.parcel_id, moved.campaign_id,
        moved.transfer_id, moved.batch, moved.document, moved.reason,
        moved.on_hand, moved.reserved, moved.allocated, moved.damaged, moved.in_transit, moved.change,
        coalesce(level.on_hand, 0)
            + sum(moved.on_hand) OVER (
                PARTITION BY moved.sku_id, moved.location_id ORDER BY moved.position, moved.leg ROWS UNBOUNDED PRECEDING
            )
            AS running_on_hand,
        -- Half of the movements only set units apart and change neither quantity nor value.
        moving_average(
            ARRAY[coalesce(worth.quantity, 0), worth.unit_cost, coalesce(worth.value_minor, 0), 0],
            moved.change, moved.cost, sku.scale, rule.average_places::integer
        ) FILTER (WHERE moved.change <> 0)
            OVER (PARTITION BY moved.sku_id ORDER BY moved.position, moved.leg ROWS UNBOUNDED PRECEDING) AS average,
        worth.quantity AS kept_quantity, worth.unit_cost AS kept_cost, worth.value_minor AS kept_value_minor
    FROM moved
    CROSS JOIN rules AS rule
    JOIN stock_skus AS sku ON sku.sku_id = moved.sku_id
    LEFT JOIN stock_levels AS level ON level.sku_id = moved.sku_id AND level.location_id = moved.location_id
    LEFT JOIN stock_values AS worth ON worth.sku_id = moved.sku_id
)
INSERT INTO stock_movements (
    position, leg, sku_id, location_id, store_id, kind, occurred_at, recorded_at, actor, origin, order_id, parcel_id,
    campaign_id, transfer_id, batch, document, reason, on_hand, reserved, allocated, damaged, in_transit,
    running_on_hand, running_quantity, unit_cost, value_minor, running_value_minor
)
SELECT
    position, leg, sku_id, location_id, store_id, kind, occurred_at, recorded_at, actor, origin, order_id, parcel_id,
    campaign_id, transfer_id, batch, document, reason, on_hand, reserved, allocated, damaged, in_transit,
    running_on_hand,
    CASE WHEN average IS NULL THEN coalesce(kept_quantity, 0) ELSE average[1] END,
    CASE WHEN average IS NULL THEN kept_cost ELSE average[2] END,
    CASE WHEN change = 0 THEN 0 ELSE average[4] END,
    CASE WHEN average IS NULL THEN coalesce(kept_value_minor, 0) ELSE average[3] END
FROM folded;

-- levels: what the window's movements changed at each location.
INSERT INTO stock_levels AS level
    (sku_id, location_id, on_hand, reserved, allocated, damaged, in_transit, movements, position)
SELECT sku_id, location_id, sum(on_hand), sum(reserved), sum(allocated), sum(damaged), sum(in_transit), count(*),
    max(position)
FROM stock_movements
WHERE position > :window_from AND position <= :window_to
GROUP BY 1, 2
ON CONFLICT (sku_id, location_id) DO UPDATE SET
    on_hand = level.on_hand + excluded.on_hand,
    reserved = level.reserved + excluded.reserved,
    allocated = level.allocated + excluded.allocated,
    damaged = level.damaged + excluded.damaged,
    in_transit = level.in_transit + excluded.in_transit,
    movements = level.movements + excluded.movements,
    position = excluded.position;

-- worth: each SKU stands where its last movement of the window left it.
INSERT INTO stock_values AS worth (sku_id, quantity, unit_cost, value_minor, position)
SELECT line.sku_id, line.running_quantity, line.unit_cost, line.running_value_minor, line.position
FROM (
    SELECT max(position) AS position FROM stock_movements
    WHERE position > :window_from AND position <= :window_to GROUP BY sku_id
) AS last
-- The two legs of a transfer leave the same quantity and value behind.
JOIN stock_movements AS line ON line.position = last.position AND line.leg = 1
ON CONFLICT (sku_id) DO UPDATE SET
    quantity = excluded.quantity, unit_cost = excluded.unit_cost, value_minor = excluded.value_minor,
    position = excluded.position;

-- days: what the window's movements changed on the UTC day on which they happened.
INSERT INTO stock_days AS done
    (sku_id, location_id, day, on_hand, reserved, allocated, damaged, in_transit, value_minor)
SELECT sku_id, location_id, (occurred_at AT TIME ZONE 'UTC')::date, sum(on_hand), sum(reserved), sum(allocated),
    sum(damaged), sum(in_transit), sum(value_minor)
FROM stock_movements
WHERE position > :window_from AND position <= :window_to
GROUP BY 1, 2, 3
ON CONFLICT (sku_id, location_id, day) DO UPDATE SET
    on_hand = done.on_hand + excluded.on_hand,
    reserved = done.reserved + excluded.reserved,
    allocated = done.allocated + excluded.allocated,
    damaged = done.damaged + excluded.damaged,
    in_transit = done.in_transit + excluded.in_transit,
    value_minor = done.value_minor + excluded.value_minor;

-- skus: what is known of a SKU when it is registered.
INSERT INTO stock_skus (sku_id, store_id, code, name, category, unit, mode, currency, scale)
SELECT
    sku.stream_id, sku.store_id, sku.code, sku.name, sku.category, sku.unit, sku.mode, sku.currency,
    10::numeric ^ currency_digits(sku.currency)
FROM sku_registered AS sku;

-- amended: what was said last of an article stands.
UPDATE stock_skus AS sku SET name = said.name, category = said.category
FROM (
    SELECT DISTINCT ON (stream_id) stream_id, name, category FROM sku_amended ORDER BY stream_id, position DESC
) AS said
WHERE sku.sku_id = said.stream_id;

-- lines: what was said last of a SKU stands.
UPDATE stock_skus AS sku
SET low_line = said.low_line, high_line = said.high_line
FROM (
    SELECT DISTINCT ON (policy.stream_id) policy.stream_id, policy.low_line, policy.high_line
    FROM stock_policy_set AS policy
    ORDER BY policy.stream_id, policy.position DESC
) AS said
WHERE sku.sku_id = said.stream_id;

-- movements: every stock event of the window, folded in the order of the log from the kept levels and values.
-- An entry with an earlier occurred_at is folded where it was recorded: what was known before does not change by it.
-- What the ledger keeps of a movement is what it changed and what came of it; its order, parcel, document and reason stand
-- in the log, where the queries fetch them by position.
WITH moved AS (
    SELECT position, 1::smallint AS leg, stream_id AS sku_id, location_id, 'received' AS kind, occurred_at,
        quantity AS on_hand, NULL::numeric AS reserved, NULL::numeric AS allocated,
        CASE condition WHEN 'quarantined' THEN quantity END AS quarantined,
        CASE WHEN condition NOT IN ('good', 'quarantined') THEN quantity END AS damaged,
        NULL::numeric AS in_transit, quantity AS change, unit_cost AS cost, batch
    FROM stock_received
    UNION ALL
    -- Out of a campaign's quota, units that were allocated become reserved.
    SELECT position, 1, stream_id, location_id, 'reserved', occurred_at,
        0, quantity, CASE WHEN campaign_id IS NOT NULL THEN -quantity END, NULL, NULL, NULL, 0, NULL, NULL
    FROM stock_reserved
    UNION ALL
    SELECT position, 1, stream_id, location_id, 'released', occurred_at,
        0, -quantity, CASE WHEN to_quota AND campaign_id IS NOT NULL THEN quantity END, NULL, NULL, NULL, 0, NULL, NULL
    FROM reservation_released
    UNION ALL
    SELECT position, 1, stream_id, location_id, 'shipped', occurred_at,
        -quantity, -quantity, NULL, NULL, NULL, NULL, -quantity, NULL, batch
    FROM stock_shipped
    UNION ALL
    SELECT position, 1, stream_id, location_id, 'returned', occurred_at,
        quantity, NULL, NULL, CASE condition WHEN 'quarantined' THEN quantity END,
        CASE WHEN condition NOT IN ('good', 'quarantined') THEN quantity END, NULL, quantity, NULL, batch
    FROM stock_returned
    UNION ALL
    SELECT position, 1, stream_id, location_id, 'written_off', occurred_at,
        -quantity, NULL, NULL, CASE condition WHEN 'quarantined' THEN -quantity END,
        CASE WHEN condition NOT IN ('good', 'quarantined') THEN -quantity END, NULL, -quantity, NULL, batch
    FROM stock_written_off
    UNION ALL
    SELECT position, 1, stream_id, location_id, 'reclassified', occurred_at, 0, NULL, NULL,
        CASE 'quarantined' WHEN to_state THEN quantity WHEN from_state THEN -quantity END,
        CASE 'damaged' WHEN to_state THEN quantity WHEN from_state THEN -quantity END, NULL, 0, NULL, batch
    FROM stock_reclassified
    UNION ALL
    SELECT position, 1, stream_id, location_id, 'sample', occurred_at,
        -quantity, NULL, NULL, NULL, NULL, NULL, -quantity, NULL, batch
    FROM sample_issued
    UNION ALL
    -- A count moves nothing by itself; its line shows what was found, and the adjustment after it what was booked.
    SELECT position, 1, stream_id, location_id, 'counted', occurred_at, 0, NULL, NULL, NULL, NULL, NULL, 0, NULL, batch
    FROM stock_counted
    UNION ALL
    SELECT position, 1, stream_id, location_id, 'adjusted', occurred_at,
        difference, NULL, NULL, NULL, NULL, NULL, difference, CASE WHEN difference > 0 THEN unit_cost END, batch
    FROM stock_adjusted
    UNION ALL
    SELECT position, 1, stream_id, location_id, 'transferred_out', occurred_at,
        -quantity, NULL, NULL, NULL, NULL, NULL, 0, NULL, batch
    FROM stock_transferred_out
    UNION ALL
    SELECT position, 2, stream_id, to_location_id, 'transferred_out', occurred_at,
        0, NULL, NULL, NULL, NULL, quantity, 0, NULL, batch
    FROM stock_transferred_out
    UNION ALL
    SELECT position, 1, stream_id, location_id, 'transferred_in', occurred_at,
        quantity, NULL, NULL, NULL, NULL, -(quantity + lost), -lost, NULL, batch
    FROM stock_transferred_in
    UNION ALL
    SELECT position, 1, stream_id, location_id, 'allocated', occurred_at,
        0, NULL, quantity, NULL, NULL, NULL, 0, NULL, NULL
    FROM campaign_stock_allocated
    UNION ALL
    SELECT position, 1, stream_id, location_id, 'deallocated', occurred_at,
        0, NULL, -quantity, NULL, NULL, NULL, 0, NULL, NULL
    FROM campaign_stock_released
), folded AS (
    SELECT moved.position, moved.leg, moved.sku_id, moved.location_id, moved.kind, moved.occurred_at,
        moved.on_hand, moved.reserved, moved.allocated, moved.quarantined, moved.damaged, moved.in_transit, moved.change,
        moved.batch,
        coalesce(level.on_hand, 0) + sum(moved.on_hand) OVER place AS running_on_hand,
        -- Half of the movements only set units apart and change neither quantity nor value.
        moving_average(
            coalesce(worth.quantity, 0), worth.unit_cost, coalesce(worth.value_minor, 0),
            moved.change, moved.cost, sku.scale, rule.average_places::integer
        ) FILTER (WHERE moved.change <> 0) OVER stock AS average,
        coalesce(worth.quantity, 0) AS kept_quantity, worth.unit_cost AS kept_cost,
        coalesce(worth.value_minor, 0) AS kept_value_minor,
        lead(moved.position) OVER stock IS NULL AS is_last
    FROM moved
    CROSS JOIN rules AS rule
    JOIN stock_skus AS sku ON sku.sku_id = moved.sku_id
    LEFT JOIN stock_levels AS level ON level.sku_id = moved.sku_id AND level.location_id = moved.location_id
    LEFT JOIN stock_values AS worth ON worth.sku_id = moved.sku_id
    WINDOW
        place AS (PARTITION BY moved.sku_id, moved.location_id ORDER BY moved.position, moved.leg ROWS UNBOUNDED PRECEDING),
        stock AS (PARTITION BY moved.sku_id ORDER BY moved.position, moved.leg ROWS UNBOUNDED PRECEDING)
), lines AS MATERIALIZED (
    SELECT position, leg, sku_id, location_id, kind, occurred_at, on_hand, reserved, allocated, quarantined, damaged,
        in_transit, batch, running_on_hand,
        CASE WHEN average IS NULL THEN kept_quantity ELSE average[1] END AS running_quantity,
        CASE WHEN average IS NULL THEN kept_cost ELSE average[2] END AS unit_cost,
        CASE WHEN change = 0 THEN 0 ELSE average[4] END AS value_minor,
        CASE WHEN average IS NULL THEN kept_value_minor ELSE average[3] END AS running_value_minor,
        is_last
    FROM folded
), ledger AS (
    INSERT INTO stock_movements (
        position, leg, sku_id, location_id, kind, occurred_at, on_hand, reserved, allocated, quarantined, damaged,
        in_transit, running_on_hand, running_quantity, unit_cost, value_minor, running_value_minor
    )
    SELECT position, leg, sku_id, location_id, kind, occurred_at, on_hand, reserved, allocated, quarantined, damaged,
        in_transit, running_on_hand, running_quantity, unit_cost, value_minor, running_value_minor
    FROM lines
), batch_ledger AS (
    -- Few movements name a batch: these are kept a second time, so that the others pay nothing for it.
    INSERT INTO stock_batch_movements (
        position, leg, sku_id, location_id, batch, kind, occurred_at, on_hand, quarantined, damaged, in_transit
    )
    SELECT position, leg, sku_id, location_id, batch, kind, occurred_at, on_hand, coalesce(quarantined, 0),
        coalesce(damaged, 0), coalesce(in_transit, 0)
    FROM lines WHERE batch IS NOT NULL
), batches AS (
    INSERT INTO stock_batches AS level (
        sku_id, location_id, batch, on_hand, quarantined, damaged, in_transit, movements, position
    )
    SELECT sku_id, location_id, batch, sum(on_hand), coalesce(sum(quarantined), 0), coalesce(sum(damaged), 0),
        coalesce(sum(in_transit), 0), count(*), max(position)
    FROM lines WHERE batch IS NOT NULL GROUP BY 1, 2, 3
    ON CONFLICT (sku_id, location_id, batch) DO UPDATE SET
        on_hand = level.on_hand + excluded.on_hand, quarantined = level.quarantined + excluded.quarantined,
        damaged = level.damaged + excluded.damaged, in_transit = level.in_transit + excluded.in_transit,
        movements = level.movements + excluded.movements, position = excluded.position
), worth AS (
    -- Each SKU stands where its last movement of the window left it.
    INSERT INTO stock_values (sku_id, quantity, unit_cost, value_minor, position)
    SELECT sku_id, running_quantity, unit_cost, running_value_minor, position FROM lines WHERE is_last
    ON CONFLICT (sku_id) DO UPDATE SET
        quantity = excluded.quantity, unit_cost = excluded.unit_cost, value_minor = excluded.value_minor,
        position = excluded.position
), days AS MATERIALIZED (
    SELECT sku_id, location_id, date_bin('1 day', occurred_at, '2000-01-01 00:00:00+00') AS midnight,
        position >> 14 AS block,
        sum(on_hand) AS on_hand, coalesce(sum(reserved), 0) AS reserved, coalesce(sum(allocated), 0) AS allocated,
        coalesce(sum(quarantined), 0) AS quarantined, coalesce(sum(damaged), 0) AS damaged,
        coalesce(sum(in_transit), 0) AS in_transit, sum(value_minor) AS value_minor, count(*) AS movements,
        max(position) AS position
    FROM lines GROUP BY 1, 2, 3, 4
), levels AS (
    -- What the window's movements changed at each location.
    INSERT INTO stock_levels AS level (
        sku_id, location_id, on_hand, reserved, allocated, quarantined, damaged, in_transit, movements, position
    )
    SELECT sku_id, location_id, sum(on_hand), sum(reserved), sum(allocated), sum(quarantined), sum(damaged),
        sum(in_transit), sum(movements)::bigint, max(position)
    FROM days GROUP BY 1, 2
    ON CONFLICT (sku_id, location_id) DO UPDATE SET
        on_hand = level.on_hand + excluded.on_hand, reserved = level.reserved + excluded.reserved,
        allocated = level.allocated + excluded.allocated, quarantined = level.quarantined + excluded.quarantined,
        damaged = level.damaged + excluded.damaged, in_transit = level.in_transit + excluded.in_transit,
        movements = level.movements + excluded.movements, position = excluded.position
)
-- What they changed on the UTC day on which they happened, by the block of the log in which they stand.
INSERT INTO stock_days AS done
    (sku_id, location_id, day, block, on_hand, reserved, allocated, quarantined, damaged, in_transit, value_minor)
SELECT sku_id, location_id, (midnight AT TIME ZONE 'UTC')::date, block, on_hand, reserved, allocated, quarantined, damaged,
    in_transit, value_minor
FROM days
ON CONFLICT (sku_id, location_id, day, block) DO UPDATE SET
    on_hand = done.on_hand + excluded.on_hand,
    reserved = done.reserved + excluded.reserved,
    allocated = done.allocated + excluded.allocated,
    quarantined = done.quarantined + excluded.quarantined,
    damaged = done.damaged + excluded.damaged,
    in_transit = done.in_transit + excluded.in_transit,
    value_minor = done.value_minor + excluded.value_minor;

-- batch_notes: what receipts say of their batches; what one leaves out was said before.
INSERT INTO stock_batch_notes AS note (sku_id, batch, produced_on, expires_on, place_of_origin)
SELECT stream_id, batch,
    (array_agg(produced_on ORDER BY position DESC) FILTER (WHERE produced_on IS NOT NULL))[1],
    (array_agg(expires_on ORDER BY position DESC) FILTER (WHERE expires_on IS NOT NULL))[1],
    (array_agg(place_of_origin ORDER BY position DESC) FILTER (WHERE place_of_origin IS NOT NULL))[1]
FROM stock_received
WHERE batch IS NOT NULL AND (produced_on IS NOT NULL OR expires_on IS NOT NULL OR place_of_origin IS NOT NULL)
GROUP BY 1, 2
ON CONFLICT (sku_id, batch) DO UPDATE SET
    produced_on = coalesce(excluded.produced_on, note.produced_on),
    expires_on = coalesce(excluded.expires_on, note.expires_on),
    place_of_origin = coalesce(excluded.place_of_origin, note.place_of_origin);

-- expired_batches: batches whose last day was over.
INSERT INTO stock_batch_notes (sku_id, batch, expired_at)
SELECT DISTINCT ON (stream_id, batch) stream_id, batch, occurred_at
FROM batch_expired
ORDER BY stream_id, batch, position DESC
ON CONFLICT (sku_id, batch) DO UPDATE SET expired_at = excluded.expired_at;

-- recalled_batches: of recalls and what lifted them, the last one stands.
INSERT INTO stock_batch_notes (sku_id, batch, recalled_at, recall_reason)
SELECT DISTINCT ON (sku_id, batch) sku_id, batch, recalled_at, recall_reason
FROM (
    SELECT position, stream_id AS sku_id, batch, occurred_at AS recalled_at, reason AS recall_reason FROM batch_recalled
    UNION ALL
    SELECT position, stream_id, batch, NULL, NULL FROM batch_recall_lifted
) AS said
ORDER BY sku_id, batch, position DESC
ON CONFLICT (sku_id, batch) DO UPDATE SET
    recalled_at = excluded.recalled_at, recall_reason = excluded.recall_reason;

-- batch_orders: units of a batch that left for an order, or came back from it.
INSERT INTO stock_batch_orders AS got (order_id, sku_id, batch, store_id, shipped, returned, first_shipped_at)
SELECT order_id, sku_id, batch, store_id, sum(shipped), sum(returned), min(shipped_at)
FROM (
    SELECT order_id, stream_id AS sku_id, batch, store_id, quantity AS shipped, 0 AS returned, occurred_at AS shipped_at
    FROM stock_shipped WHERE batch IS NOT NULL
    UNION ALL
    SELECT order_id, stream_id, batch, store_id, 0, quantity, NULL
    FROM stock_returned WHERE batch IS NOT NULL AND order_id IS NOT NULL
) AS moved
GROUP BY 1, 2, 3, 4
ON CONFLICT (order_id, sku_id, batch, store_id) DO UPDATE SET
    shipped = got.shipped + excluded.shipped, returned = got.returned + excluded.returned,
    first_shipped_at = least(got.first_shipped_at, excluded.first_shipped_at);

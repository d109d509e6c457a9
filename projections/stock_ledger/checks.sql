-- levels_are_movements: at each location, the level is the sum of its movements and what its last line says.
SELECT level.sku_id, level.location_id, level.on_hand, found.on_hand AS of_movements, last.running_on_hand
FROM stock_levels AS level
LEFT JOIN (
    SELECT sku_id, location_id, sum(on_hand) AS on_hand, coalesce(sum(reserved), 0) AS reserved,
        coalesce(sum(allocated), 0) AS allocated, coalesce(sum(quarantined), 0) AS quarantined,
        coalesce(sum(damaged), 0) AS damaged,
        coalesce(sum(in_transit), 0) AS in_transit, count(*) AS movements
    FROM stock_movements GROUP BY 1, 2
) AS found USING (sku_id, location_id)
LEFT JOIN (
    SELECT DISTINCT ON (sku_id, location_id) sku_id, location_id, running_on_hand
    FROM stock_movements ORDER BY sku_id, location_id, position DESC, leg DESC
) AS last USING (sku_id, location_id)
WHERE (
    level.on_hand, level.reserved, level.allocated, level.quarantined, level.damaged, level.in_transit, level.movements,
    level.on_hand
) IS DISTINCT FROM (
    found.on_hand, found.reserved, found.allocated, found.quarantined, found.damaged, found.in_transit, found.movements,
    last.running_on_hand
);

-- batches_are_movements: at each location, what is left of a batch is the sum of the movements that name it.
SELECT sku_id, location_id, batch, level.on_hand, found.on_hand AS of_movements
FROM stock_batches AS level FULL JOIN (
    SELECT sku_id, location_id, batch, sum(on_hand) AS on_hand, sum(quarantined) AS quarantined, sum(damaged) AS damaged,
        sum(in_transit) AS in_transit, count(*) AS movements
    FROM stock_batch_movements GROUP BY 1, 2, 3
) AS found USING (sku_id, location_id, batch)
WHERE (level.on_hand, level.quarantined, level.damaged, level.in_transit, level.movements)
    IS DISTINCT FROM (found.on_hand, found.quarantined, found.damaged, found.in_transit, found.movements);

-- batch_lines_are_lines: a movement that names a batch is kept for the batch as it stands in the ledger.
SELECT part.position, part.leg, part.batch
FROM stock_batch_movements AS part LEFT JOIN stock_movements AS line USING (position, leg)
WHERE (part.sku_id, part.location_id, part.kind, part.occurred_at, part.on_hand, part.quarantined, part.damaged,
    part.in_transit) IS DISTINCT FROM (line.sku_id, line.location_id, line.kind, line.occurred_at, line.on_hand,
    coalesce(line.quarantined, 0), coalesce(line.damaged, 0), coalesce(line.in_transit, 0));

-- worth_is_movements: the value of a SKU is the sum of its movements' values, and its units are those of its locations.
SELECT worth.sku_id, worth.quantity, level.quantity AS at_locations, worth.value_minor, found.value_minor AS of_movements
FROM stock_values AS worth
LEFT JOIN (SELECT sku_id, sum(on_hand + in_transit) AS quantity FROM stock_levels GROUP BY 1) AS level USING (sku_id)
LEFT JOIN (SELECT sku_id, sum(value_minor) AS value_minor FROM stock_movements GROUP BY 1) AS found USING (sku_id)
WHERE (worth.quantity, worth.value_minor) IS DISTINCT FROM (level.quantity, found.value_minor);

-- no_stock_no_value: when no unit is left, no value is.
SELECT sku_id, value_minor FROM stock_values WHERE quantity = 0 AND value_minor <> 0;

-- days_are_movements: the days of a location add up to its level.
SELECT level.sku_id, level.location_id, level.on_hand, found.on_hand AS of_days
FROM stock_levels AS level LEFT JOIN (
    SELECT sku_id, location_id, sum(on_hand) AS on_hand, sum(reserved) AS reserved, sum(allocated) AS allocated,
        sum(quarantined) AS quarantined, sum(damaged) AS damaged, sum(in_transit) AS in_transit
    FROM stock_days GROUP BY 1, 2
) AS found USING (sku_id, location_id)
WHERE (level.on_hand, level.reserved, level.allocated, level.quarantined, level.damaged, level.in_transit)
    IS DISTINCT FROM (
        found.on_hand, found.reserved, found.allocated, found.quarantined, found.damaged, found.in_transit
    );

-- every_movement_is_there: the ledger has a line for every receipt, shipment and return of the log, with its units.
SELECT log.sku_id, log.on_hand AS in_log, found.on_hand AS in_ledger
FROM (
    SELECT stream_id AS sku_id, sum(quantity) AS on_hand FROM (
        SELECT stream_id, quantity FROM stock_received
        UNION ALL SELECT stream_id, -quantity FROM stock_shipped
        UNION ALL SELECT stream_id, quantity FROM stock_returned
    ) AS each GROUP BY 1
) AS log LEFT JOIN (
    SELECT sku_id, sum(on_hand) AS on_hand FROM stock_movements WHERE kind IN ('received', 'shipped', 'returned') GROUP BY 1
) AS found USING (sku_id)
WHERE log.on_hand IS DISTINCT FROM found.on_hand;

-- batch_orders_are_movements: what orders got of a batch is what its movements say has left.
SELECT sku_id, batch, got.shipped, found.shipped AS of_movements
FROM (
    SELECT sku_id, batch, sum(shipped) AS shipped FROM stock_batch_orders GROUP BY 1, 2 HAVING sum(shipped) <> 0
) AS got FULL JOIN (
    SELECT sku_id, batch, -sum(on_hand) AS shipped FROM stock_batch_movements WHERE kind = 'shipped' GROUP BY 1, 2
) AS found USING (sku_id, batch)
WHERE got.shipped IS DISTINCT FROM found.shipped;

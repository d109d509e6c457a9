-- stock_levels: the movements at one location, each with what it changed.
SELECT line.position, line.leg, line.kind, line.occurred_at, line.on_hand,
    coalesce(line.reserved, 0) AS reserved, coalesce(line.allocated, 0) AS allocated,
    coalesce(line.quarantined, 0) AS quarantined, coalesce(line.damaged, 0) AS damaged, coalesce(line.in_transit, 0) AS in_transit
FROM stock_movements AS line
WHERE line.sku_id = :sku_id::uuid AND line.location_id = :location_id::uuid
    AND line.position > :window_from AND line.position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR EXISTS (
        SELECT FROM stock_skus AS sku WHERE sku.sku_id = line.sku_id AND sku.store_id = ANY (:store_ids::uuid[])
    ));

-- stock_values: the movements of a SKU that changed its quantity or its value; quantity includes units in transit.
SELECT line.position, line.leg, line.kind, line.occurred_at, line.on_hand + coalesce(line.in_transit, 0) AS quantity,
    line.unit_cost,
    line.value_minor
FROM stock_movements AS line
WHERE line.sku_id = :sku_id::uuid AND line.position > :window_from AND line.position <= :window_to
    AND (line.on_hand <> 0 OR line.in_transit IS NOT NULL)
    AND (:store_ids::uuid[] IS NULL OR EXISTS (
        SELECT FROM stock_skus AS sku WHERE sku.sku_id = line.sku_id AND sku.store_id = ANY (:store_ids::uuid[])
    ));

-- stock_days: the movements at one location that happened on one UTC day, of one block of the log.
SELECT line.position, line.leg, line.kind, line.occurred_at, line.on_hand,
    coalesce(line.reserved, 0) AS reserved, coalesce(line.allocated, 0) AS allocated,
    coalesce(line.quarantined, 0) AS quarantined, coalesce(line.damaged, 0) AS damaged, coalesce(line.in_transit, 0) AS in_transit, line.value_minor
FROM stock_movements AS line
WHERE line.sku_id = :sku_id::uuid AND line.location_id = :location_id::uuid
    AND line.occurred_at >= (:day::date)::timestamp AT TIME ZONE 'UTC'
    AND line.occurred_at < (:day::date + 1)::timestamp AT TIME ZONE 'UTC'
    AND line.position / 16384 = :block::bigint
    AND line.position > :window_from AND line.position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR EXISTS (
        SELECT FROM stock_skus AS sku WHERE sku.sku_id = line.sku_id AND sku.store_id = ANY (:store_ids::uuid[])
    ));

-- stock_batches: the movements that name a batch at one location, each with what it changed of it.
SELECT line.position, line.leg, line.kind, line.occurred_at, line.on_hand, line.quarantined, line.damaged, line.in_transit
FROM stock_batch_movements AS line
WHERE line.sku_id = :sku_id::uuid AND line.location_id = :location_id::uuid AND line.batch = :batch::text
    AND line.position > :window_from AND line.position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR EXISTS (
        SELECT FROM stock_skus AS sku WHERE sku.sku_id = line.sku_id AND sku.store_id = ANY (:store_ids::uuid[])
    ));

-- stock_movements: one ledger line and what it came from.
SELECT line.position, line.leg, line.kind, line.occurred_at, line.on_hand, line.unit_cost, line.value_minor
FROM stock_movements AS line
WHERE line.position = :position::bigint AND line.leg = :leg::smallint
    AND line.position > :window_from AND line.position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR EXISTS (
        SELECT FROM stock_skus AS sku WHERE sku.sku_id = line.sku_id AND sku.store_id = ANY (:store_ids::uuid[])
    ));

-- stock_batch_orders: the units of a batch that left for an order and came back from it.
SELECT line.position, line.leg, line.kind, line.occurred_at, line.on_hand
FROM stock_batch_movements AS line JOIN every_event AS event ON event.position = line.position
WHERE line.sku_id = :sku_id::uuid AND line.batch = :batch::text AND line.kind IN ('shipped', 'returned')
    AND (event.data->>'order_id')::uuid = :order_id::uuid AND event.store_id = :store_id::uuid
    AND line.position > :window_from AND line.position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR event.store_id = ANY (:store_ids::uuid[]));

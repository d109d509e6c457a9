-- movement_rows: the ledger lines of articles of these stores; a list chooses among them and sorts.
SELECT
    line.position, line.leg, line.sku_id, line.location_id, event.store_id, line.kind, line.occurred_at,
    event.recorded_at, event.actor, event.origin, (event.data->>'order_id')::uuid AS order_id,
    (event.data->>'parcel_id')::uuid AS parcel_id, (event.data->>'campaign_id')::uuid AS campaign_id,
    (event.data->>'transfer_id')::uuid AS transfer_id, event.data->>'batch' AS batch,
    event.data->>'document' AS document,
    CASE line.kind
        WHEN 'written_off' THEN (event.data->>'kind') || ': ' || (event.data->>'reason')
        WHEN 'counted' THEN 'book ' || (event.data->>'book') || ', counted ' || (event.data->>'counted')
        WHEN 'returned' THEN event.data->>'condition'
        WHEN 'sample' THEN event.data->>'purpose'
        ELSE event.data->>'reason'
    END AS reason,
    line.on_hand, coalesce(line.reserved, 0) AS reserved, coalesce(line.allocated, 0) AS allocated,
    coalesce(line.damaged, 0) AS damaged, coalesce(line.in_transit, 0) AS in_transit, line.running_on_hand,
    line.running_quantity, line.unit_cost, line.value_minor, line.running_value_minor, sku.currency, sku.unit,
    sku.code AS sku_code, sku.category
FROM stock_movements AS line
JOIN stock_skus AS sku ON sku.sku_id = line.sku_id
JOIN every_event AS event ON event.position = line.position
WHERE :store_ids::uuid[] IS NULL OR sku.store_id = ANY (:store_ids::uuid[]);

-- levels: what is where now, for these SKUs (NULL for all) and this location (NULL for all).
SELECT
    level.sku_id, sku.code, sku.name, sku.store_id, level.location_id, sku.unit, level.on_hand, level.reserved,
    level.allocated, level.damaged, level.in_transit,
    level.on_hand - level.reserved - level.allocated - level.damaged AS sellable,
    worth.unit_cost, sku.currency, level.position
FROM stock_levels AS level
JOIN stock_skus AS sku ON sku.sku_id = level.sku_id
JOIN stock_values AS worth ON worth.sku_id = level.sku_id
WHERE (:store_ids::uuid[] IS NULL OR sku.store_id = ANY (:store_ids::uuid[]))
    AND (:sku_ids::uuid[] IS NULL OR level.sku_id = ANY (:sku_ids::uuid[]))
    AND (:location_id::uuid IS NULL OR level.location_id = :location_id::uuid)
ORDER BY sku.code, level.sku_id, level.location_id;

-- levels_known_at: what the ledger said at :position: the last line of each location at or before it.
SELECT
    level.sku_id, level.location_id, sku.unit, line.running_on_hand AS on_hand, line.position, line.occurred_at,
    line.recorded_at
FROM stock_levels AS level
JOIN stock_skus AS sku ON sku.sku_id = level.sku_id
CROSS JOIN LATERAL (
    SELECT movement.running_on_hand, movement.position, movement.occurred_at, event.recorded_at
    FROM stock_movements AS movement JOIN every_event AS event ON event.position = movement.position
    WHERE movement.sku_id = level.sku_id AND movement.location_id = level.location_id
        AND movement.position <= :position::bigint
    ORDER BY movement.position DESC, movement.leg DESC LIMIT 1
) AS line
WHERE level.sku_id = :sku_id::uuid AND (:store_ids::uuid[] IS NULL OR sku.store_id = ANY (:store_ids::uuid[]))
ORDER BY level.location_id;

-- levels_true_at: what we now know was there at :occurred_at: days before, and that day's movements up to the time.
SELECT
    found.sku_id, found.location_id, sku.unit, sum(found.on_hand) AS on_hand, sum(found.reserved) AS reserved,
    sum(found.allocated) AS allocated, sum(found.damaged) AS damaged, sum(found.in_transit) AS in_transit,
    sum(found.value_minor)::bigint AS value_minor
FROM (
    SELECT done.sku_id, done.location_id, done.on_hand, done.reserved, done.allocated, done.damaged, done.in_transit,
        done.value_minor
    FROM stock_days AS done
    WHERE done.sku_id = :sku_id::uuid AND done.day < (:occurred_at::timestamptz AT TIME ZONE 'UTC')::date
    UNION ALL
    SELECT line.sku_id, line.location_id, line.on_hand, line.reserved, line.allocated, line.damaged, line.in_transit,
        line.value_minor
    FROM stock_movements AS line
    WHERE line.sku_id = :sku_id::uuid AND line.occurred_at <= :occurred_at::timestamptz
        AND line.occurred_at >= date_trunc('day', :occurred_at::timestamptz, 'UTC')
) AS found JOIN stock_skus AS sku ON sku.sku_id = found.sku_id
WHERE :store_ids::uuid[] IS NULL OR sku.store_id = ANY (:store_ids::uuid[])
GROUP BY 1, 2, 3
ORDER BY found.location_id;

-- worth: units, average cost and value of these SKUs (NULL for all) now.
SELECT worth.sku_id, sku.code, sku.name, sku.store_id, sku.unit, sku.currency, worth.quantity, worth.unit_cost,
    worth.value_minor, worth.position
FROM stock_values AS worth JOIN stock_skus AS sku ON sku.sku_id = worth.sku_id
WHERE (:store_ids::uuid[] IS NULL OR sku.store_id = ANY (:store_ids::uuid[]))
    AND (:sku_ids::uuid[] IS NULL OR worth.sku_id = ANY (:sku_ids::uuid[]))
ORDER BY worth.value_minor DESC, worth.sku_id
LIMIT coalesce(:row_limit::bigint, 1000);

-- worth_known_at: units, average cost and value of a SKU as the ledger said at :position.
SELECT line.sku_id, sku.currency, line.running_quantity AS quantity, line.unit_cost,
    line.running_value_minor AS value_minor, line.position
FROM stock_movements AS line JOIN stock_skus AS sku ON sku.sku_id = line.sku_id
WHERE line.sku_id = :sku_id::uuid AND (:store_ids::uuid[] IS NULL OR sku.store_id = ANY (:store_ids::uuid[]))
    AND (line.position, line.leg) = (
        SELECT last.position, last.leg
        FROM stock_levels AS level CROSS JOIN LATERAL (
            SELECT movement.position, movement.leg FROM stock_movements AS movement
            WHERE movement.sku_id = level.sku_id AND movement.location_id = level.location_id
                AND movement.position <= :position::bigint
            ORDER BY movement.position DESC, movement.leg DESC LIMIT 1
        ) AS last
        WHERE level.sku_id = :sku_id::uuid
        ORDER BY last.position DESC, last.leg DESC LIMIT 1
    );

-- total_worth: what all the stock of these stores is worth now, for each currency.
SELECT sku.currency, count(*) AS skus, sum(worth.value_minor)::bigint AS value_minor
FROM stock_values AS worth JOIN stock_skus AS sku ON sku.sku_id = worth.sku_id
WHERE :store_ids::uuid[] IS NULL OR sku.store_id = ANY (:store_ids::uuid[])
GROUP BY 1
ORDER BY 1;

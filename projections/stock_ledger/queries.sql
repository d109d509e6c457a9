-- movement_rows: the ledger lines of articles of these stores; a list chooses among them and sorts.
SELECT
    line.position, line.leg, line.sku_id, line.location_id, event.store_id, line.kind, line.occurred_at,
    event.recorded_at, event.actor, event.origin, (event.data->>'order_id')::uuid AS order_id,
    (event.data->>'parcel_id')::uuid AS parcel_id, (event.data->>'campaign_id')::uuid AS campaign_id,
    (event.data->>'transfer_id')::uuid AS transfer_id, (event.data->>'return_id')::uuid AS return_id, event.data->>'batch' AS batch,
    event.data->>'document' AS document,
    CASE line.kind
        WHEN 'written_off' THEN (event.data->>'kind') || ': ' || (event.data->>'reason')
        WHEN 'counted' THEN 'book ' || (event.data->>'book') || ', counted ' || (event.data->>'counted')
        WHEN 'returned' THEN event.data->>'condition'
        WHEN 'reclassified' THEN
            (event.data->>'from_state') || ' to ' || (event.data->>'to_state') || ': ' || (event.data->>'reason')
        WHEN 'sample' THEN event.data->>'purpose'
        ELSE event.data->>'reason'
    END AS reason,
    line.on_hand, coalesce(line.reserved, 0) AS reserved, coalesce(line.allocated, 0) AS allocated,
    coalesce(line.quarantined, 0) AS quarantined, coalesce(line.damaged, 0) AS damaged,
    coalesce(line.in_transit, 0) AS in_transit, line.running_on_hand,
    line.running_quantity, line.unit_cost, line.value_minor, line.running_value_minor, sku.currency, sku.unit,
    sku.code AS sku_code, sku.category
FROM stock_movements AS line
JOIN stock_skus AS sku ON sku.sku_id = line.sku_id
JOIN every_event AS event ON event.position = line.position
WHERE :store_ids::uuid[] IS NULL OR sku.store_id = ANY (:store_ids::uuid[]);

-- levels: what is where now, for these SKUs (NULL for all) and this location (NULL for all).
SELECT
    level.sku_id, sku.code, sku.name, sku.store_id, level.location_id, sku.unit, level.on_hand, level.reserved,
    level.allocated, level.quarantined, level.damaged, level.in_transit,
    level.on_hand - level.reserved - level.allocated - level.quarantined - level.damaged AS sellable,
    worth.unit_cost, sku.currency, level.position
FROM stock_levels AS level
JOIN stock_skus AS sku ON sku.sku_id = level.sku_id
JOIN stock_values AS worth ON worth.sku_id = level.sku_id
WHERE (:store_ids::uuid[] IS NULL OR sku.store_id = ANY (:store_ids::uuid[]))
    AND (:sku_ids::uuid[] IS NULL OR level.sku_id = ANY (:sku_ids::uuid[]))
    AND (:location_id::uuid IS NULL OR level.location_id = :location_id::uuid)
ORDER BY sku.code, level.sku_id, level.location_id;

-- balance_rows: what is where now, of articles of these stores; a list chooses among them and sorts. There are few of an
-- article when what may be sold of it, over all places, is at its low line or below, and too many above its high line.
SELECT
    level.sku_id, sku.code AS sku_code, sku.name, sku.category, sku.store_id, level.location_id, sku.unit, sku.currency,
    level.on_hand, level.reserved, level.allocated, level.quarantined, level.damaged, level.in_transit,
    level.on_hand - level.reserved - level.allocated - level.quarantined - level.damaged AS sellable,
    sku.low_line, sku.high_line,
    sku.low_line IS NOT NULL AND sku.low_line >= (
        SELECT sum(place.on_hand - place.reserved - place.allocated - place.quarantined - place.damaged)
        FROM stock_levels AS place
        WHERE place.sku_id = level.sku_id
    ) AS is_low,
    sku.high_line IS NOT NULL AND sku.high_line < (
        SELECT sum(place.on_hand - place.reserved - place.allocated - place.quarantined - place.damaged)
        FROM stock_levels AS place
        WHERE place.sku_id = level.sku_id
    ) AS is_high,
    level.position
FROM stock_levels AS level
JOIN stock_skus AS sku ON sku.sku_id = level.sku_id
WHERE :store_ids::uuid[] IS NULL OR sku.store_id = ANY (:store_ids::uuid[]);

-- levels_at: what was where of a SKU by what had happened at :occurred_at, as known at :position (NULL: until now). Days and
-- blocks that lie wholly before both are added up as they are; the movements of the last day and of the last block, one by one.
SELECT level.sku_id, level.location_id, sku.unit, found.on_hand, found.reserved, found.allocated, found.quarantined,
    found.damaged, found.in_transit,
    found.on_hand - found.reserved - found.allocated - found.quarantined - found.damaged AS sellable
FROM stock_levels AS level
JOIN stock_skus AS sku ON sku.sku_id = level.sku_id
CROSS JOIN LATERAL (
    SELECT sum(each.on_hand) AS on_hand, sum(each.reserved) AS reserved, sum(each.allocated) AS allocated,
        sum(each.quarantined) AS quarantined, sum(each.damaged) AS damaged, sum(each.in_transit) AS in_transit
    FROM (
        SELECT done.on_hand, done.reserved, done.allocated, done.quarantined, done.damaged, done.in_transit
        FROM stock_days AS done
        WHERE done.sku_id = level.sku_id AND done.location_id = level.location_id
            AND done.day < coalesce((:occurred_at::timestamptz AT TIME ZONE 'UTC')::date, 'infinity')
            AND (:position::bigint IS NULL OR done.block < :position::bigint >> 14)
        UNION ALL
        SELECT line.on_hand, coalesce(line.reserved, 0), coalesce(line.allocated, 0), coalesce(line.quarantined, 0),
            coalesce(line.damaged, 0), coalesce(line.in_transit, 0)
        FROM stock_movements AS line
        WHERE line.sku_id = level.sku_id AND line.location_id = level.location_id
            AND line.occurred_at <= :occurred_at::timestamptz
            AND line.occurred_at >= date_trunc('day', :occurred_at::timestamptz, 'UTC')
            AND (:position::bigint IS NULL OR line.position <= :position::bigint)
        UNION ALL
        SELECT line.on_hand, coalesce(line.reserved, 0), coalesce(line.allocated, 0), coalesce(line.quarantined, 0),
            coalesce(line.damaged, 0), coalesce(line.in_transit, 0)
        FROM stock_movements AS line
        WHERE line.sku_id = level.sku_id AND line.location_id = level.location_id
            AND line.position >= :position::bigint >> 14 << 14 AND line.position <= :position::bigint
            AND line.occurred_at < coalesce(date_trunc('day', :occurred_at::timestamptz, 'UTC'), 'infinity')
    ) AS each
) AS found
WHERE level.sku_id = :sku_id::uuid AND found.on_hand IS NOT NULL
    AND (:store_ids::uuid[] IS NULL OR sku.store_id = ANY (:store_ids::uuid[]))
ORDER BY level.location_id;

-- batches: what is left of the batches of these SKUs (NULL for all) now, at this location and of this batch (NULL for all);
-- those that are used up are left out.
SELECT level.sku_id, sku.code, sku.store_id, level.location_id, level.batch, sku.unit, level.on_hand, level.quarantined,
    level.damaged, level.in_transit, level.on_hand - level.quarantined - level.damaged AS good, level.position
FROM stock_batches AS level JOIN stock_skus AS sku ON sku.sku_id = level.sku_id
WHERE (:store_ids::uuid[] IS NULL OR sku.store_id = ANY (:store_ids::uuid[]))
    AND (:sku_ids::uuid[] IS NULL OR level.sku_id = ANY (:sku_ids::uuid[]))
    AND (:location_id::uuid IS NULL OR level.location_id = :location_id::uuid)
    AND (:batch::text IS NULL OR level.batch = :batch::text)
    AND (level.on_hand <> 0 OR level.quarantined <> 0 OR level.damaged <> 0 OR level.in_transit <> 0)
ORDER BY sku.code, level.sku_id, level.location_id, level.batch;

-- batches_at: what was left of these SKUs' batches (NULL for all) by what had happened at :occurred_at, as known at :position.
SELECT line.sku_id, sku.code, sku.store_id, line.location_id, line.batch, sku.unit, sum(line.on_hand) AS on_hand,
    sum(line.quarantined) AS quarantined, sum(line.damaged) AS damaged, sum(line.in_transit) AS in_transit,
    sum(line.on_hand - line.quarantined - line.damaged) AS good, max(line.position) AS position
FROM stock_batch_movements AS line JOIN stock_skus AS sku ON sku.sku_id = line.sku_id
WHERE (:store_ids::uuid[] IS NULL OR sku.store_id = ANY (:store_ids::uuid[]))
    AND (:sku_ids::uuid[] IS NULL OR line.sku_id = ANY (:sku_ids::uuid[]))
    AND (:location_id::uuid IS NULL OR line.location_id = :location_id::uuid)
    AND (:batch::text IS NULL OR line.batch = :batch::text)
    AND (:occurred_at::timestamptz IS NULL OR line.occurred_at <= :occurred_at::timestamptz)
    AND (:position::bigint IS NULL OR line.position <= :position::bigint)
GROUP BY 1, 2, 3, 4, 5, 6
HAVING sum(line.on_hand) <> 0 OR sum(line.quarantined) <> 0 OR sum(line.damaged) <> 0 OR sum(line.in_transit) <> 0
ORDER BY sku.code, line.sku_id, line.location_id, line.batch;

-- batch_rows: what is left of batches now, with what is known of them, of articles of these stores; a list chooses among
-- them and sorts.
SELECT level.sku_id, sku.code AS sku_code, sku.name, sku.category, sku.store_id, level.location_id, level.batch, sku.unit,
    level.on_hand, level.quarantined, level.damaged, level.on_hand - level.quarantined - level.damaged AS good,
    level.in_transit, note.produced_on, note.expires_on, note.place_of_origin, note.expired_at, note.recalled_at,
    note.recall_reason
FROM stock_batches AS level
JOIN stock_skus AS sku ON sku.sku_id = level.sku_id
LEFT JOIN stock_batch_notes AS note ON note.sku_id = level.sku_id AND note.batch = level.batch
WHERE (:store_ids::uuid[] IS NULL OR sku.store_id = ANY (:store_ids::uuid[]))
    AND (level.on_hand <> 0 OR level.quarantined <> 0 OR level.damaged <> 0 OR level.in_transit <> 0);

-- batch_order_rows: the orders of these stores that got units of :batch of :sku_id; a list chooses among them and sorts.
SELECT got.order_id, got.store_id, got.sku_id, got.batch, got.shipped, got.returned, got.shipped - got.returned AS kept,
    got.first_shipped_at
FROM stock_batch_orders AS got
WHERE got.sku_id = :sku_id::uuid AND got.batch = :batch::text
    AND (:store_ids::uuid[] IS NULL OR got.store_id = ANY (:store_ids::uuid[]));

-- order_batches: of which batches the units were that an order of these stores got, with each receipt of these batches.
SELECT got.sku_id, sku.code AS sku_code, got.batch, got.shipped, got.returned, note.produced_on, note.expires_on,
    note.place_of_origin, note.expired_at, note.recalled_at, note.recall_reason, receipt.position, receipt.location_id,
    receipt.occurred_at, receipt.quantity, receipt.document
FROM stock_batch_orders AS got
JOIN stock_skus AS sku ON sku.sku_id = got.sku_id
LEFT JOIN stock_batch_notes AS note ON note.sku_id = got.sku_id AND note.batch = got.batch
LEFT JOIN (
    SELECT line.sku_id, line.batch, line.position, line.location_id, line.occurred_at, line.on_hand AS quantity,
        event.data->>'document' AS document
    FROM stock_batch_movements AS line JOIN every_event AS event ON event.position = line.position
    WHERE line.kind = 'received'
) AS receipt ON receipt.sku_id = got.sku_id AND receipt.batch = got.batch
WHERE got.order_id = :order_id::uuid AND (:store_ids::uuid[] IS NULL OR got.store_id = ANY (:store_ids::uuid[]))
ORDER BY sku.code, got.sku_id, got.batch, receipt.position;

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

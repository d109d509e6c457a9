-- unit_changes: the stock event behind a change.
SELECT line.position, line.event, line.occurred_at, line.on_hand, line.reserved, line.allocated, line.quarantined,
    line.damaged
FROM unit_changes AS line
WHERE line.position = :position::bigint AND line.position > :window_from AND line.position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR line.store_id = ANY (:store_ids::uuid[]));

-- store_days: the stock events of a day of a store.
SELECT line.position, line.event, line.occurred_at, line.on_hand, line.reserved, line.allocated, line.quarantined,
    line.damaged
FROM unit_changes AS line
WHERE line.store_id = :store_id::uuid AND line.day = :day::date
    AND line.position > :window_from AND line.position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR line.store_id = ANY (:store_ids::uuid[]));

-- article_days: the stock events that changed on a day how many units of an article are there.
SELECT line.position, line.event, line.occurred_at, line.on_hand, greatest(line.on_hand, 0) AS came
FROM unit_changes AS line
WHERE line.sku_id = :sku_id::uuid AND line.day = :day::date AND line.on_hand <> 0
    AND line.position > :window_from AND line.position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR line.store_id = ANY (:store_ids::uuid[]));

-- listings: what put an article on or off sale in a store.
SELECT shelf.position, shelf.event, shelf.since_at AS occurred_at, shelf.state
FROM listings AS shelf
WHERE shelf.sku_id = :sku_id::uuid AND shelf.store_id = :store_id::uuid AND shelf.position = :position::bigint
    AND shelf.position > :window_from AND shelf.position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR shelf.store_id = ANY (:store_ids::uuid[]));

-- store_rows: the stores that the asker may see; a list chooses among them and sorts.
SELECT store.store_id, store.name, store.platform, store.kind, store.currency, store.time_zone, store.status,
    store.applied_at, store.opened_at, store.changed_at, store.position
FROM directory_stores AS store
WHERE :store_ids::uuid[] IS NULL OR store.store_id = ANY (:store_ids::uuid[]);

-- sku_rows: articles of these stores, and those that they sell or have a price for; a list chooses among them and sorts.
SELECT sku.sku_id, sku.store_id, sku.code, sku.name, sku.brand, sku.category, sku.unit, sku.mode, sku.currency, sku.status,
    sku.season_end, sku.registered_at, sku.changed_at, sku.position, home.list_price
FROM directory_skus AS sku
LEFT JOIN directory_shelves AS home ON home.sku_id = sku.sku_id AND home.store_id = sku.store_id
WHERE :store_ids::uuid[] IS NULL OR sku.store_id = ANY (:store_ids::uuid[])
    OR EXISTS (
        SELECT 1 FROM directory_shelves AS shelf
        WHERE shelf.sku_id = sku.sku_id AND shelf.store_id = ANY (:store_ids::uuid[])
    );

-- sku_shelves: where an article is on sale or was taken off, and why, for lists that look for it.
SELECT shelf.sku_id, shelf.store_id, shelf.reason, CASE WHEN shelf.listed THEN shelf.store_id END AS listed_in
FROM directory_shelves AS shelf
WHERE :store_ids::uuid[] IS NULL OR shelf.store_id = ANY (:store_ids::uuid[]);

-- catalogue_rows: what these stores sell, and what is off sale there only because nothing was left; a list chooses and sorts.
SELECT shelf.store_id, shelf.sku_id, sku.code, sku.name, sku.brand, sku.category, sku.mode, sku.currency, sku.season_end,
    sku.registered_at, shelf.listed AS on_sale, shelf.asked_price AS list_price, shelf.availability
FROM directory_shelves AS shelf JOIN directory_skus AS sku ON sku.sku_id = shelf.sku_id
WHERE shelf.availability IS NOT NULL AND (:store_ids::uuid[] IS NULL OR shelf.store_id = ANY (:store_ids::uuid[]));

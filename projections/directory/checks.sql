-- stores_are_the_log: every store that was applied for is there, once, and stands as the last event about it says.
SELECT coalesce(store.store_id, log.stream_id) AS store_id, store.status, log.status AS status_in_log
FROM directory_stores AS store
FULL JOIN (
    SELECT DISTINCT ON (stream_id) stream_id, status FROM (
        SELECT stream_id, position, 'applied' AS status FROM store_applied
        UNION ALL SELECT stream_id, position, 'under_audit' FROM store_audit_started
        UNION ALL SELECT stream_id, position, 'audited' FROM store_audit_passed
        UNION ALL SELECT stream_id, position, 'applied' FROM store_audit_rejected
        UNION ALL SELECT stream_id, position, 'open' FROM store_opened
        UNION ALL SELECT stream_id, position, 'open' FROM store_reopened
        UNION ALL SELECT stream_id, position, 'suspended' FROM store_suspended
        UNION ALL SELECT stream_id, position, 'closed' FROM store_closed
    ) AS each ORDER BY stream_id, position DESC
) AS log ON log.stream_id = store.store_id
WHERE store.status IS DISTINCT FROM log.status;

-- skus_are_the_log: every article that was registered is there, once, and stands as the last event about it says.
SELECT coalesce(sku.sku_id, log.stream_id) AS sku_id, sku.status, log.status AS status_in_log
FROM directory_skus AS sku
FULL JOIN (
    SELECT DISTINCT ON (stream_id) stream_id, status FROM (
        SELECT stream_id, position, 'draft' AS status FROM sku_registered
        UNION ALL SELECT stream_id, position, 'review' FROM sku_submitted
        UNION ALL SELECT stream_id, position, 'ready' FROM sku_review_passed
        UNION ALL SELECT stream_id, position, 'draft' FROM sku_review_failed
        UNION ALL SELECT stream_id, position, 'retired' FROM sku_retired
    ) AS each ORDER BY stream_id, position DESC
) AS log ON log.stream_id = sku.sku_id
WHERE sku.status IS DISTINCT FROM log.status;

-- shelves_are_the_log: an article is on sale in a store exactly when the last event about that says so.
SELECT coalesce(shelf.sku_id, log.stream_id) AS sku_id, coalesce(shelf.store_id, log.store_id) AS store_id
FROM (SELECT sku_id, store_id FROM directory_shelves WHERE listed) AS shelf
FULL JOIN (
    SELECT stream_id, store_id FROM (
        SELECT DISTINCT ON (stream_id, store_id) stream_id, store_id, listed FROM (
            SELECT stream_id, store_id, position, true AS listed FROM sku_listed
            UNION ALL SELECT stream_id, store_id, position, false FROM sku_delisted
        ) AS each ORDER BY stream_id, store_id, position DESC
    ) AS last WHERE listed
) AS log ON log.stream_id = shelf.sku_id AND log.store_id = shelf.store_id
WHERE shelf.sku_id IS NULL OR log.stream_id IS NULL;

-- units_are_the_log: what may be bought of an article, by anybody or of campaigns, is what came in good less what left or is held.
SELECT coalesce(kept.sku_id, log.sku_id) AS sku_id, kept.units, log.units AS units_in_log
FROM (SELECT sku_id, sum(sellable + allocated) AS units FROM directory_units GROUP BY 1) AS kept
FULL JOIN (
    SELECT sku_id, sum(units) AS units FROM (
        SELECT stream_id AS sku_id, quantity AS units FROM stock_received WHERE coalesce(condition, 'good') = 'good'
        UNION ALL SELECT stream_id, quantity FROM stock_returned WHERE coalesce(condition, 'good') = 'good'
        UNION ALL SELECT stream_id, -quantity FROM stock_written_off WHERE coalesce(condition, 'good') = 'good'
        UNION ALL SELECT stream_id, -quantity FROM sample_issued
        UNION ALL SELECT stream_id, difference FROM stock_adjusted
        UNION ALL SELECT stream_id, -quantity FROM stock_transferred_out
        UNION ALL SELECT stream_id, quantity FROM stock_transferred_in
        UNION ALL SELECT stream_id, quantity FROM stock_reclassified WHERE to_state = 'available'
        UNION ALL SELECT stream_id, -quantity FROM stock_reclassified WHERE from_state = 'available'
        UNION ALL SELECT stream_id, -quantity FROM stock_reserved
        UNION ALL SELECT stream_id, quantity FROM reservation_released
    ) AS each GROUP BY 1
) AS log ON log.sku_id = kept.sku_id
WHERE coalesce(kept.units, 0) <> coalesce(log.units, 0);

-- offers_are_what_is_there: a store has an article in stock exactly when it is on sale and enough of it lies in open locations.
SELECT shelf.sku_id, shelf.store_id, shelf.availability, here.sellable, here.allocated
FROM directory_shelves AS shelf
JOIN directory_skus AS sku ON sku.sku_id = shelf.sku_id
LEFT JOIN (
    SELECT kept.sku_id, place.store_id, sum(greatest(kept.sellable, 0)) AS sellable, sum(kept.allocated) AS allocated
    FROM directory_units AS kept JOIN directory_places AS place ON place.location_id = kept.location_id AND place.is_open
    GROUP BY 1, 2
) AS here ON here.sku_id = shelf.sku_id AND here.store_id = shelf.store_id
WHERE (coalesce(shelf.availability, '') IN ('in_stock', 'campaign_only', 'to_order')) <> (shelf.listed AND (
        sku.mode <> 'stocked' OR coalesce(here.sellable, 0) >= sku.min_quantity OR coalesce(here.allocated, 0) > 0
    ))
    OR (shelf.availability = 'in_stock' AND here.sellable < sku.min_quantity)
    OR (shelf.availability IS NULL AND (shelf.listed OR shelf.reason = 'out_of_stock'));

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

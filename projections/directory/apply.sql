-- stores: a store begins when somebody applies for it.
INSERT INTO directory_stores (store_id, name, platform, kind, currency, time_zone, status, applied_at, position)
SELECT stream_id, name, platform, kind, currency, applied.time_zone, 'applied', occurred_at, position
FROM store_applied AS applied;

-- stores_stand: the last word of the window on how far a store is, and when it first opened.
UPDATE directory_stores AS store
SET status = said.status, opened_at = coalesce(store.opened_at, said.opened_at)
FROM (
    SELECT stream_id, (array_agg(status ORDER BY position DESC))[1] AS status, min(opened_at) AS opened_at
    FROM (
        SELECT stream_id, position, 'under_audit' AS status, NULL::timestamptz AS opened_at FROM store_audit_started
        UNION ALL SELECT stream_id, position, 'audited', NULL FROM store_audit_passed
        UNION ALL SELECT stream_id, position, 'applied', NULL FROM store_audit_rejected
        UNION ALL SELECT stream_id, position, 'open', occurred_at FROM store_opened
        UNION ALL SELECT stream_id, position, 'open', NULL FROM store_reopened
        UNION ALL SELECT stream_id, position, 'suspended', NULL FROM store_suspended
        UNION ALL SELECT stream_id, position, 'closed', NULL FROM store_closed
    ) AS each
    GROUP BY stream_id
) AS said
WHERE store.store_id = said.stream_id;

-- skus: an article begins when it is registered.
INSERT INTO directory_skus
    (sku_id, store_id, code, name, brand, category, mode, currency, status, season_end, registered_at, position)
SELECT stream_id, store_id, code, name, brand, category, mode, currency, 'draft', season_end, occurred_at, position
FROM sku_registered;

-- skus_stand: the last word of the window on how far an article is.
UPDATE directory_skus AS sku SET status = said.status
FROM (
    SELECT DISTINCT ON (stream_id) stream_id, status FROM (
        SELECT stream_id, position, 'review' AS status FROM sku_submitted
        UNION ALL SELECT stream_id, position, 'ready' FROM sku_review_passed
        UNION ALL SELECT stream_id, position, 'draft' FROM sku_review_failed
        UNION ALL SELECT stream_id, position, 'retired' FROM sku_retired
    ) AS each ORDER BY stream_id, position DESC
) AS said
WHERE sku.sku_id = said.stream_id;

-- priced: the last price of the window, store by store; a price alone puts nothing on sale.
INSERT INTO directory_shelves AS shelf (sku_id, store_id, listed, list_price)
SELECT DISTINCT ON (stream_id, store_id) stream_id, store_id, false, list_price
FROM sku_priced ORDER BY stream_id, store_id, position DESC
ON CONFLICT (sku_id, store_id) DO UPDATE SET list_price = excluded.list_price;

-- shelved: the last word of the window on whether an article is on sale, store by store.
INSERT INTO directory_shelves AS shelf (sku_id, store_id, listed, reason)
SELECT DISTINCT ON (stream_id, store_id) stream_id, store_id, listed, reason FROM (
    SELECT stream_id, store_id, position, true AS listed, NULL AS reason FROM sku_listed
    UNION ALL SELECT stream_id, store_id, position, false, reason FROM sku_delisted
) AS each ORDER BY stream_id, store_id, position DESC
ON CONFLICT (sku_id, store_id) DO UPDATE SET listed = excluded.listed, reason = excluded.reason;

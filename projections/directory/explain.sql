-- directory_stores: what was said about a store.
SELECT position, 'StoreApplied' AS event, occurred_at, 'applied' AS status
FROM store_applied
WHERE stream_id = :store_id::uuid AND (:store_ids::uuid[] IS NULL OR stream_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'StoreRenamed', occurred_at, NULL FROM store_renamed
WHERE stream_id = :store_id::uuid AND (:store_ids::uuid[] IS NULL OR stream_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'StoreAuditStarted', occurred_at, 'under_audit' FROM store_audit_started
WHERE stream_id = :store_id::uuid AND (:store_ids::uuid[] IS NULL OR stream_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'StoreAuditPassed', occurred_at, 'audited' FROM store_audit_passed
WHERE stream_id = :store_id::uuid AND (:store_ids::uuid[] IS NULL OR stream_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'StoreAuditRejected', occurred_at, 'applied' FROM store_audit_rejected
WHERE stream_id = :store_id::uuid AND (:store_ids::uuid[] IS NULL OR stream_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'StoreOpened', occurred_at, 'open' FROM store_opened
WHERE stream_id = :store_id::uuid AND (:store_ids::uuid[] IS NULL OR stream_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'StoreReopened', occurred_at, 'open' FROM store_reopened
WHERE stream_id = :store_id::uuid AND (:store_ids::uuid[] IS NULL OR stream_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'StoreSuspended', occurred_at, 'suspended' FROM store_suspended
WHERE stream_id = :store_id::uuid AND (:store_ids::uuid[] IS NULL OR stream_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'StoreClosed', occurred_at, 'closed' FROM store_closed
WHERE stream_id = :store_id::uuid AND (:store_ids::uuid[] IS NULL OR stream_id = ANY (:store_ids::uuid[]));

-- directory_skus: what was said about an article as a whole.
SELECT position, 'SkuRegistered' AS event, occurred_at, 'draft' AS status
FROM sku_registered
WHERE stream_id = :sku_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'SkuAmended', occurred_at, NULL FROM sku_amended
WHERE stream_id = :sku_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'SkuSubmitted', occurred_at, 'review' FROM sku_submitted
WHERE stream_id = :sku_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'SkuReviewPassed', occurred_at, 'ready' FROM sku_review_passed
WHERE stream_id = :sku_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'SkuReviewFailed', occurred_at, 'draft' FROM sku_review_failed
WHERE stream_id = :sku_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'SkuRetired', occurred_at, 'retired' FROM sku_retired
WHERE stream_id = :sku_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]));

-- directory_shelves: what a store said about an article: its price, and whether it is on sale.
SELECT position, 'SkuPriced' AS event, occurred_at, list_price, NULL::boolean AS listed
FROM sku_priced
WHERE stream_id = :sku_id::uuid AND store_id = :store_id::uuid
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'SkuListed', occurred_at, NULL, true FROM sku_listed
WHERE stream_id = :sku_id::uuid AND store_id = :store_id::uuid
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'SkuDelisted', occurred_at, NULL, false FROM sku_delisted
WHERE stream_id = :sku_id::uuid AND store_id = :store_id::uuid
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]));

-- ratings: the reviews that make what an article is rated in a store, and those taken out because they are malicious.
SELECT position, 'ReviewPosted' AS event, stream_id AS order_id, occurred_at, 1::bigint AS reviews, score AS scores,
    CASE WHEN score >= positive_score THEN 1 ELSE 0 END::bigint AS positive, 0::bigint AS hidden
FROM review_posted CROSS JOIN rules
WHERE store_id = :store_id::uuid AND sku_id = :sku_id::uuid
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL
SELECT position, 'ReviewDecided', stream_id, occurred_at, -1, -score,
    -CASE WHEN score >= positive_score THEN 1 ELSE 0 END, 1
FROM review_decided CROSS JOIN rules
WHERE upheld AND store_id = :store_id::uuid AND sku_id = :sku_id::uuid
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]));

-- order_reviews: everything that was recorded about a review.
SELECT position, 'ReviewPosted' AS event, occurred_at, score, 0::bigint AS replies, 'shown' AS status
FROM review_posted WHERE stream_id = :order_id::uuid AND line = :line::bigint
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'ReviewSupplemented', occurred_at, NULL, 0, NULL
FROM review_supplemented WHERE stream_id = :order_id::uuid AND line = :line::bigint
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'ReviewReplied', occurred_at, NULL, 1, NULL
FROM review_replied WHERE stream_id = :order_id::uuid AND line = :line::bigint
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'ReviewFlagged', occurred_at, NULL, 0, 'flagged'
FROM review_flagged WHERE stream_id = :order_id::uuid AND line = :line::bigint
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'ReviewDecided', occurred_at, NULL, 0, CASE WHEN upheld THEN 'hidden' ELSE 'shown' END
FROM review_decided WHERE stream_id = :order_id::uuid AND line = :line::bigint
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'ReviewConsentSet', occurred_at, NULL, 0, NULL
FROM review_consent_set WHERE stream_id = :order_id::uuid AND line = :line::bigint
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]));

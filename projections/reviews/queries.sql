-- review_rows: the reviews of these stores, how each stands and who waits for whom.
SELECT review.order_id, review.line, review.store_id, review.sku_id, review.score, review.has_text, review.photos,
    review.posted_at, review.reply_by, review.waits_since, review.added_at, review.replies, review.replied_at,
    review.status, review.flagged_at, review.flag_reason, review.decided_at, review.republish, review.changed_at
FROM order_reviews AS review
WHERE :store_ids::uuid[] IS NULL OR review.store_id = ANY (:store_ids::uuid[]);

-- ratings: what articles are rated, of these if any are named.
SELECT rating.store_id, rating.sku_id, rating.reviews, rating.scores, rating.positive, rating.hidden
FROM ratings AS rating
WHERE (:sku_ids::uuid[] IS NULL OR rating.sku_id = ANY (:sku_ids::uuid[]))
    AND (:store_ids::uuid[] IS NULL OR rating.store_id = ANY (:store_ids::uuid[]))
ORDER BY rating.store_id, rating.sku_id
LIMIT :row_limit;

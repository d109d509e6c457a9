-- customer_card_sales: the payments and refunds of a customer in one store and currency.
SELECT position, 'OrderPaid' AS event, stream_id AS order_id, occurred_at, 1::bigint AS orders, units,
    goods_minor AS gmv_minor, 0::bigint AS refunds, 0::bigint AS refunded_minor
FROM order_paid
WHERE customer_id = :customer_id::uuid AND store_id = :store_id::uuid AND currency = :currency::text
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL
SELECT position, 'OrderRefunded', stream_id, occurred_at, 0, 0, 0, 1,
    goods_minor + CASE WHEN refund_counts_freight THEN freight_minor ELSE 0 END
FROM order_refunded CROSS JOIN rules
WHERE customer_id = :customer_id::uuid AND store_id = :store_id::uuid AND currency = :currency::text
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]));

-- customer_card: everything that moved a customer's points.
SELECT position, 'PointsEarned' AS event, occurred_at, amount AS points, amount AS points_earned, 0::bigint AS points_spent,
    0::bigint AS points_reversed, 0::bigint AS points_expired
FROM points_earned
WHERE stream_id = :customer_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'PointsSpent', occurred_at, -amount, 0, amount, 0, 0 FROM points_spent
WHERE stream_id = :customer_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'PointsReturned', occurred_at, amount, 0, -amount, 0, 0 FROM points_returned
WHERE stream_id = :customer_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'PointsReversed', occurred_at, -amount, 0, 0, amount, 0 FROM points_reversed
WHERE stream_id = :customer_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'PointsExpired', occurred_at, -amount, 0, 0, 0, amount FROM points_expired
WHERE stream_id = :customer_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL
SELECT merged.position, 'CustomersMerged', merged.occurred_at, coalesce(lot.amount, 0) - merged.owed, 0, 0, 0, 0
FROM customers_merged AS merged
LEFT JOIN (SELECT position, sum(amount)::bigint AS amount FROM customers_merged_lots GROUP BY 1) AS lot USING (position)
WHERE merged.stream_id = :customer_id::uuid AND (:store_ids::uuid[] IS NULL OR merged.store_id = ANY (:store_ids::uuid[]))
UNION ALL
SELECT merged.position, 'CustomerMergedInto', merged.occurred_at, merged.owed - coalesce(lot.amount, 0), 0, 0, 0, 0
FROM customer_merged_into AS merged
LEFT JOIN (SELECT position, sum(amount)::bigint AS amount FROM customer_merged_into_lots GROUP BY 1) AS lot USING (position)
WHERE merged.stream_id = :customer_id::uuid AND (:store_ids::uuid[] IS NULL OR merged.store_id = ANY (:store_ids::uuid[]));

-- customer_card_coupons: what was said of a coupon while this customer held it.
SELECT position, 'CouponGranted' AS event, occurred_at, 'held' AS state FROM coupon_granted
WHERE stream_id = :customer_id::uuid AND coupon_id = :coupon_id::uuid
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'CouponUsed', occurred_at, 'used' FROM coupon_used
WHERE stream_id = :customer_id::uuid AND coupon_id = :coupon_id::uuid
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'CouponReturned', occurred_at, 'held' FROM coupon_returned
WHERE stream_id = :customer_id::uuid AND coupon_id = :coupon_id::uuid
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'CustomersMerged', occurred_at, 'held' FROM customers_merged_coupons
WHERE stream_id = :customer_id::uuid AND coupon_id = :coupon_id::uuid
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'CustomerMergedInto', occurred_at, 'moved' FROM customer_merged_into
WHERE stream_id = :customer_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]));

-- customer_card_consents: each word of a customer on being written to by a channel.
SELECT position, 'ConsentSet' AS event, occurred_at, granted FROM consent_set
WHERE stream_id = :customer_id::uuid AND channel = :channel::text
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]));

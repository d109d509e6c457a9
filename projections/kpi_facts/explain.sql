-- paid: the payment behind a paid order, and its parcel if it has left.
SELECT bill.position, 'OrderPaid' AS event, bill.occurred_at, bill.goods_minor, bill.total_minor
FROM order_paid AS bill
WHERE bill.stream_id = :order_id::uuid AND (:store_ids::uuid[] IS NULL OR bill.store_id = ANY (:store_ids::uuid[]));

-- refunds: the refund behind a line of it.
SELECT back.position, 'OrderRefunded' AS event, back.occurred_at, back.amount_minor
FROM order_refunded AS back
WHERE back.position = :position::bigint AND (:store_ids::uuid[] IS NULL OR back.store_id = ANY (:store_ids::uuid[]));

-- order_book: the events of one order that moved its money or its state, each with what it added.
SELECT position, 'OrderPlaced' AS event, occurred_at, total_minor, 0::bigint AS cancelled_minor, 0::bigint AS paid_minor,
    0::bigint AS refunded_minor
FROM order_placed WHERE stream_id = :order_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'OrderPriceAmended', occurred_at, total_minor, 0, 0, 0
FROM order_price_amended WHERE stream_id = :order_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'PaymentReceived', occurred_at, 0, 0, amount_minor, 0
FROM payment_received WHERE stream_id = :order_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'OrderPaid', occurred_at, 0, 0, 0, 0
FROM order_paid WHERE stream_id = :order_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'OrderConfirmed', occurred_at, 0, 0, 0, 0
FROM order_confirmed WHERE stream_id = :order_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'ParcelPacked', occurred_at, 0, 0, 0, 0
FROM parcel_packed WHERE stream_id = :order_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'ParcelUnpacked', occurred_at, 0, 0, 0, 0
FROM parcel_unpacked WHERE stream_id = :order_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'OrderShipped', occurred_at, 0, 0, 0, 0
FROM order_shipped WHERE stream_id = :order_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'OrderDelivered', occurred_at, 0, 0, 0, 0
FROM order_delivered WHERE stream_id = :order_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'OrderCompleted', occurred_at, 0, 0, 0, 0
FROM order_completed WHERE stream_id = :order_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'ShortageReported', occurred_at, 0, 0, 0, 0
FROM shortage_reported WHERE stream_id = :order_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'ShortageResolved', occurred_at, 0, 0, 0, 0
FROM shortage_resolved WHERE stream_id = :order_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'OrderCancelled', occurred_at, 0, goods_minor + freight_minor, 0, 0
FROM order_cancelled WHERE stream_id = :order_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'OrderExpired', occurred_at, 0, goods_minor + freight_minor, 0, 0
FROM order_expired WHERE stream_id = :order_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'OrderRefunded', occurred_at, 0, 0, 0, amount_minor
FROM order_refunded WHERE stream_id = :order_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'ReturnReceived', occurred_at, 0, 0, 0, 0
FROM return_received WHERE stream_id = :order_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'ReturnExchanged', occurred_at, 0, 0, 0, 0
FROM return_exchanged WHERE stream_id = :order_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'ReturnRecorded', occurred_at, 0, 0, 0, 0
FROM return_recorded WHERE stream_id = :order_id::uuid AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]));

-- order_book_lines: the events of one line of an order, each with what it added; `amount_minor` is what the line costs from it on.
SELECT position, 'OrderPlaced' AS event, occurred_at, quantity, amount_minor, 0::numeric AS cancelled, 0::bigint AS cancelled_minor,
    0::numeric AS exchanged, 0::bigint AS exchanged_minor, 0::numeric AS returned, 0::numeric AS refunded,
    0::bigint AS refunded_minor
FROM order_placed_lines WHERE stream_id = :order_id::uuid AND line = :line::bigint
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'ReturnRecorded', occurred_at, 0, 0, 0, 0, 0, 0, quantity, quantity, amount_minor
FROM return_recorded_lines WHERE stream_id = :order_id::uuid AND ordinal = :line::bigint
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'ShortageResolved', occurred_at, quantity, amount_minor, 0, 0, 0, 0, 0, 0, 0
FROM shortage_resolved_exchanges WHERE stream_id = :order_id::uuid AND line = :line::bigint
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'ShortageResolved', occurred_at, 0, 0, 0, 0, replaced_quantity, amount_minor, 0, 0, 0
FROM shortage_resolved_exchanges WHERE stream_id = :order_id::uuid AND from_line = :line::bigint
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'ReturnExchanged', occurred_at, quantity, amount_minor, 0, 0, 0, 0, 0, 0, 0
FROM return_exchanged_exchanges WHERE stream_id = :order_id::uuid AND line = :line::bigint
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'ReturnExchanged', occurred_at, 0, 0, 0, 0, replaced_quantity, amount_minor, -replaced_quantity, 0, 0
FROM return_exchanged_exchanges WHERE stream_id = :order_id::uuid AND from_line = :line::bigint
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'ReturnExchanged', occurred_at, 0, 0, 0, 0, 0, 0, -quantity, 0, 0
FROM return_exchanged_lines WHERE stream_id = :order_id::uuid AND line = :line::bigint
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'OrderPriceAmended', occurred_at, 0, amount_minor, 0, 0, 0, 0, 0, 0, 0
FROM order_price_amended WHERE stream_id = :order_id::uuid AND line = :line::bigint
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'ShortageReported', occurred_at, 0, 0, 0, 0, 0, 0, 0, 0, 0
FROM shortage_reported_lines WHERE stream_id = :order_id::uuid AND line = :line::bigint
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'OrderCancelled', occurred_at, 0, 0, quantity, amount_minor, 0, 0, 0, 0, 0
FROM order_cancelled_lines WHERE stream_id = :order_id::uuid AND line = :line::bigint
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'OrderExpired', occurred_at, 0, 0, quantity, amount_minor, 0, 0, 0, 0, 0
FROM order_expired_lines WHERE stream_id = :order_id::uuid AND line = :line::bigint
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'ReturnReceived', occurred_at, 0, 0, 0, 0, 0, 0, quantity, 0, 0
FROM return_received_lines WHERE stream_id = :order_id::uuid AND line = :line::bigint
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
UNION ALL SELECT position, 'OrderRefunded', occurred_at, 0, 0, 0, 0, 0, 0, 0, quantity, amount_minor
FROM order_refunded_lines WHERE stream_id = :order_id::uuid AND line = :line::bigint
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]));

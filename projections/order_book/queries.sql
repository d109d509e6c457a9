-- order_rows: orders of these stores, of :customer_id alone if that is who asks; a list chooses among them and sorts.
SELECT
    book.order_id, book.store_id, book.kind, book.status, book.customer_id, book.channel, book.external_reference,
    book.currency, book.region, book.price_source, book.campaign_ids, book.coupon_code, book.surge, book.placed_at,
    book.goods_minor, book.discount_minor, book.freight_minor, book.total_minor, book.cancelled_goods_minor,
    book.cancelled_freight_minor, book.paid_minor, book.refunded_minor, book.expires_at, book.ship_by, book.ship_by_hard,
    book.paid_at, book.confirmed_at, book.shipped_at, book.delivered_at, book.completed_at, book.cancelled_at,
    book.expired, book.agent, book.traffic_source, book.device, book.lines, book.units, book.changed_at, book.position, book.number,
    ARRAY(SELECT each.tag FROM order_book_tags AS each WHERE each.order_id = book.order_id ORDER BY each.tag) AS tags
FROM order_book AS book
WHERE (:store_ids::uuid[] IS NULL OR book.store_id = ANY (:store_ids::uuid[]))
    AND (:customer_id::uuid IS NULL OR book.customer_id = :customer_id::uuid);

-- order_articles: which articles an order holds, for lists that look for them.
SELECT agreed.order_id, agreed.sku_id, agreed.sku_code, agreed.name
FROM order_book_lines AS agreed JOIN order_book AS book ON book.order_id = agreed.order_id
WHERE :store_ids::uuid[] IS NULL OR book.store_id = ANY (:store_ids::uuid[]);

-- order_campaigns: whose prices and offers an order holds, for lists that look for them.
SELECT book.order_id, used.campaign_id
FROM order_book AS book CROSS JOIN LATERAL unnest(book.campaign_ids) AS used (campaign_id)
WHERE :store_ids::uuid[] IS NULL OR book.store_id = ANY (:store_ids::uuid[]);

-- order_parcels: which parcels an order is sent in, for lists that look for them.
SELECT parcel.order_id, parcel.waybill, parcel.courier, parcel.location_id, parcel.tracking_status,
    CASE WHEN parcel.delivered_at IS NULL AND NOT parcel.lost AND book.cancelled_at IS NULL THEN parcel.news_by END AS news_by
FROM order_book_parcels AS parcel JOIN order_book AS book ON book.order_id = parcel.order_id
WHERE :store_ids::uuid[] IS NULL OR book.store_id = ANY (:store_ids::uuid[]);

-- order_returns: how far goods of an order are on their way back, for lists that look for them.
SELECT back.order_id, back.status, coalesce(back.reason, 'not_stated') AS reason, back.requested_at,
    coalesce(back.remedy, 'refund') AS remedy, back.verified_reason, back.fault_party, back.courier, back.waybill, back.sent_at
FROM order_book_returns AS back JOIN order_book AS book ON book.order_id = back.order_id
WHERE :store_ids::uuid[] IS NULL OR book.store_id = ANY (:store_ids::uuid[]);

-- order_disputes: what somebody complained about an order, and how far that is, for lists that look for it.
SELECT dispute.order_id, dispute.status, dispute.kind, dispute.found_kind, dispute.fault_party, dispute.opened_at,
    dispute.changed_at
FROM order_book_disputes AS dispute JOIN order_book AS book ON book.order_id = dispute.order_id
WHERE :store_ids::uuid[] IS NULL OR book.store_id = ANY (:store_ids::uuid[]);

-- order_references: by what references of the payment provider an order was paid or refunded, for lists that look for them.
SELECT paid.order_id, paid.reference
FROM order_book_payments AS paid JOIN order_book AS book ON book.order_id = paid.order_id
WHERE :store_ids::uuid[] IS NULL OR book.store_id = ANY (:store_ids::uuid[]);

-- order_notes: when something was written down about an order that holds, for lists that look for it.
SELECT note.order_id, note.written_at
FROM order_book_notes AS note JOIN order_book AS book ON book.order_id = note.order_id
WHERE :store_ids::uuid[] IS NULL OR book.store_id = ANY (:store_ids::uuid[]);

-- order_tags: by which words orders are sorted, for lists that look for them.
SELECT known.order_id, known.tag
FROM order_book_tags AS known JOIN order_book AS book ON book.order_id = known.order_id
WHERE :store_ids::uuid[] IS NULL OR book.store_id = ANY (:store_ids::uuid[]);

-- lines: the lines of these orders, in their order; of kind 'return' are those of goods that came back of no order we know.
SELECT
    agreed.order_id, agreed.line, agreed.sku_id, agreed.sku_code, agreed.name, agreed.unit, agreed.quantity,
    agreed.list_price, agreed.unit_price, agreed.gross_minor, agreed.discount_minor, agreed.amount_minor,
    agreed.campaign_id, agreed.gift, agreed.service, agreed.cancelled, agreed.exchanged, agreed.returned,
    agreed.refunded, agreed.cancelled_minor, agreed.exchanged_minor, agreed.refunded_minor, book.currency,
    book.store_id, book.kind, book.placed_at, book.number AS order_number
FROM order_book_lines AS agreed JOIN order_book AS book ON book.order_id = agreed.order_id
WHERE agreed.order_id = ANY (:order_ids::uuid[])
    AND (:store_ids::uuid[] IS NULL OR book.store_id = ANY (:store_ids::uuid[]))
ORDER BY agreed.order_id, agreed.line;

-- parcels: the parcels of these orders; contents is a list of {line, sku_id, quantity}.
SELECT parcel.order_id, parcel.parcel_id, parcel.location_id, parcel.courier, parcel.waybill, parcel.packed_at,
    parcel.shipped_at, parcel.delivered_at, parcel.contents, parcel.tracking_status, parcel.tracked_at, parcel.news_by,
    parcel.lost
FROM order_book_parcels AS parcel JOIN order_book AS book ON book.order_id = parcel.order_id
WHERE parcel.order_id = ANY (:order_ids::uuid[])
    AND (:store_ids::uuid[] IS NULL OR book.store_id = ANY (:store_ids::uuid[]))
ORDER BY parcel.order_id, parcel.packed_at, parcel.parcel_id;

-- states: how many orders stand at each state, by store.
SELECT book.store_id, book.status, count(*) AS orders
FROM order_book AS book
WHERE :store_ids::uuid[] IS NULL OR book.store_id = ANY (:store_ids::uuid[])
GROUP BY 1, 2
ORDER BY 1, 2;

-- due: what is to be done before :due_before, soonest first: unpaid orders that expire, paid ones that are to ship, and
-- those with a parcel on its way of which something is to be heard.
SELECT book.order_id, book.store_id, book.status, 'expire' AS what, book.expires_at AS due_at
FROM order_book AS book
WHERE book.status = 'placed' AND book.expires_at < :due_before::timestamptz
    AND (:store_ids::uuid[] IS NULL OR book.store_id = ANY (:store_ids::uuid[]))
UNION ALL
SELECT book.order_id, book.store_id, book.status, 'ship', book.ship_by
FROM order_book AS book
WHERE book.status IN ('paid', 'confirmed', 'shortage', 'lost', 'packed') AND book.ship_by < :due_before::timestamptz
    -- An order of services alone has nothing to be sent.
    AND book.all_shipped IS NOT NULL
    AND (:store_ids::uuid[] IS NULL OR book.store_id = ANY (:store_ids::uuid[]))
UNION ALL
SELECT book.order_id, book.store_id, book.status, 'track', min(parcel.news_by)
FROM order_book_parcels AS parcel JOIN order_book AS book ON book.order_id = parcel.order_id
WHERE parcel.news_by < :due_before::timestamptz AND parcel.delivered_at IS NULL AND NOT parcel.lost
    AND book.cancelled_at IS NULL
    AND (:store_ids::uuid[] IS NULL OR book.store_id = ANY (:store_ids::uuid[]))
GROUP BY 1, 2, 3
ORDER BY due_at, order_id
LIMIT coalesce(:row_limit::bigint, 100);

-- top_skus: what sold most among paid orders placed in the window, by amount after discounts, called-off units excluded.
-- The amounts decide who is among the first; how they are called and in how many orders they are is asked of these alone.
WITH best AS MATERIALIZED (
    SELECT agreed.sku_id, book.currency, sum(agreed.quantity - agreed.cancelled - agreed.exchanged) AS units,
        sum(agreed.amount_minor - agreed.cancelled_minor - agreed.exchanged_minor)::bigint AS amount_minor
    FROM order_book_lines AS agreed JOIN order_book AS book ON book.order_id = agreed.order_id
    WHERE book.paid_at IS NOT NULL AND book.kind = 'sale'
        AND (:store_ids::uuid[] IS NULL OR book.store_id = ANY (:store_ids::uuid[]))
        AND (:placed_from::timestamptz IS NULL OR book.placed_at >= :placed_from::timestamptz)
        AND (:placed_before::timestamptz IS NULL OR book.placed_at < :placed_before::timestamptz)
    GROUP BY 1, 2
    ORDER BY amount_minor DESC
    FETCH FIRST (coalesce(:row_limit::bigint, 20)) ROWS WITH TIES
)
SELECT best.sku_id, min(agreed.sku_code) AS sku_code, min(agreed.name) AS name, best.currency, best.units,
    best.amount_minor, count(DISTINCT agreed.order_id) AS orders
FROM best
JOIN order_book_lines AS agreed ON agreed.sku_id = best.sku_id
JOIN order_book AS book ON book.order_id = agreed.order_id AND book.currency = best.currency
WHERE book.paid_at IS NOT NULL AND book.kind = 'sale'
    AND (:store_ids::uuid[] IS NULL OR book.store_id = ANY (:store_ids::uuid[]))
    AND (:placed_from::timestamptz IS NULL OR book.placed_at >= :placed_from::timestamptz)
    AND (:placed_before::timestamptz IS NULL OR book.placed_at < :placed_before::timestamptz)
GROUP BY best.sku_id, best.currency, best.units, best.amount_minor
ORDER BY best.amount_minor DESC, sku_code
LIMIT coalesce(:row_limit::bigint, 20);

-- every_order_was_placed: no event speaks of an order that nobody placed.
SELECT order_id, position FROM order_book WHERE store_id IS NULL OR status IS NULL;

-- lines_make_the_goods: the amounts of the lines, exchanges taken out where they were put in, are the order's goods.
SELECT book.order_id, book.goods_minor, sum(agreed.amount_minor - agreed.exchanged_minor) AS of_lines
FROM order_book AS book JOIN order_book_lines AS agreed USING (order_id)
WHERE book.kind = 'sale'
GROUP BY book.order_id
HAVING book.goods_minor <> sum(agreed.amount_minor - agreed.exchanged_minor);

-- what_is_found_by_was_placed: every reference, note and tag is of an order.
SELECT found.order_id, found.what
FROM (
    SELECT order_id, 'reference' AS what FROM order_book_payments
    UNION ALL SELECT order_id, 'note' FROM order_book_notes
    UNION ALL SELECT order_id, 'tag' FROM order_book_tags
) AS found
WHERE NOT EXISTS (SELECT FROM order_book AS book WHERE book.order_id = found.order_id);

-- total_is_goods_and_freight: what is to be paid is the goods and the freight.
SELECT order_id, total_minor, goods_minor, freight_minor FROM order_book WHERE total_minor <> goods_minor + freight_minor;

-- no_line_below_nothing: of no line more units were called off, exchanged or packed than it had.
SELECT agreed.order_id, agreed.line, agreed.quantity, agreed.cancelled, agreed.exchanged, agreed.returned, sent.packed
FROM order_book_lines AS agreed
LEFT JOIN (
    SELECT parcel.order_id, item.line, sum(item.quantity) AS packed
    FROM order_book_parcels AS parcel
    CROSS JOIN LATERAL jsonb_to_recordset(parcel.contents) AS item (line bigint, quantity numeric)
    GROUP BY 1, 2
) AS sent USING (order_id, line)
WHERE agreed.cancelled + agreed.exchanged > agreed.quantity OR sent.packed - agreed.gone - agreed.anew > agreed.quantity
    OR agreed.returned < 0;

-- no_more_lost_than_left: of no line more units are lost than left in lost parcels, nor fewer than none.
SELECT order_id, line, gone, lost FROM order_book_lines WHERE lost < 0 OR lost > gone;

-- returns_are_the_lines: what came back by returns is what came back of the lines.
SELECT order_id, of_lines.returned, of_returns.received
FROM (
    SELECT agreed.order_id, sum(agreed.returned + agreed.anew) AS returned
    FROM order_book_lines AS agreed JOIN order_book AS book ON book.order_id = agreed.order_id
    WHERE book.kind = 'sale'
    GROUP BY 1
) AS of_lines
FULL JOIN (SELECT order_id, sum(received) AS received FROM order_book_returns GROUP BY 1) AS of_returns USING (order_id)
WHERE coalesce(of_lines.returned, 0) <> coalesce(of_returns.received, 0);

-- orders_are_the_log: there are as many orders as were placed, and as much money as came in.
SELECT book.orders, log.orders AS placed, book.paid_minor, log.paid_minor AS received
FROM (SELECT count(*) FILTER (WHERE kind = 'sale') AS orders, coalesce(sum(paid_minor), 0) AS paid_minor FROM order_book) AS book
CROSS JOIN (
    SELECT (SELECT count(*) FROM order_placed) AS orders,
        (SELECT coalesce(sum(amount_minor), 0) FROM payment_received) AS paid_minor
) AS log
WHERE (book.orders, book.paid_minor) IS DISTINCT FROM (log.orders, log.paid_minor);

-- lines: what was agreed of the lines of new orders; and what came back of no order, with the money that goes back for it at
-- once. Nothing was ordered or sold with that.
INSERT INTO order_book_lines (
    order_id, line, sku_id, sku_code, name, unit, quantity, list_price, unit_price, gross_minor, discount_minor,
    amount_minor, campaign_id, gift, service, cancelled, cancelled_minor, exchanged, exchanged_minor, returned, refunded,
    refunded_minor
)
SELECT stream_id, line, sku_id, sku_code, name, unit, quantity, list_price, unit_price, gross_minor, discount_minor,
    amount_minor, campaign_id, gift, service, 0, 0, 0, 0, 0, 0, 0
FROM order_placed_lines
UNION ALL
SELECT stream_id, ordinal, sku_id, sku_code, sku_code, NULL, 0, NULL, NULL, 0, 0,
    0, campaign_id, false, false, 0, 0, 0, 0, quantity, quantity, amount_minor
FROM return_recorded_lines;

-- amended_lines: the last amendment of each line in the window gives its new figures.
UPDATE order_book_lines AS agreed
SET unit_price = amended.unit_price, gross_minor = amended.gross_minor, discount_minor = amended.discount_minor,
    amount_minor = amended.amount_minor
FROM (
    SELECT DISTINCT ON (stream_id, line) stream_id, line, unit_price, gross_minor, discount_minor, amount_minor
    FROM order_price_amended ORDER BY stream_id, line, position DESC
) AS amended
WHERE agreed.order_id = amended.stream_id AND agreed.line = amended.line;

-- exchanged: other goods for the same money become a line of their own, at the prices of the line they stand in for; no
-- campaign sells them.
-- What stands in may itself be exchanged in the same window; the walk goes from line to line.
WITH RECURSIVE given AS (
    SELECT stream_id AS order_id, line, from_line, sku_id, sku_code, name, unit, quantity, amount_minor, service
    FROM shortage_resolved_exchanges
    UNION ALL
    SELECT stream_id, line, from_line, sku_id, sku_code, name, unit, quantity, amount_minor, service
    FROM return_exchanged_exchanges
), stands_in AS (
    SELECT given.order_id, given.line, given.from_line, given.sku_id, given.sku_code, given.name, given.unit,
        given.quantity, given.amount_minor, given.service, origin.list_price, origin.unit_price, origin.gift
    FROM given
    JOIN order_book_lines AS origin ON origin.order_id = given.order_id AND origin.line = given.from_line
    UNION ALL
    SELECT given.order_id, given.line, given.from_line, given.sku_id, given.sku_code, given.name, given.unit,
        given.quantity, given.amount_minor, given.service, origin.list_price, origin.unit_price, origin.gift
    FROM stands_in AS origin
    JOIN given ON given.order_id = origin.order_id AND given.from_line = origin.line
)
INSERT INTO order_book_lines (
    order_id, line, sku_id, sku_code, name, unit, quantity, list_price, unit_price, gross_minor, discount_minor,
    amount_minor, campaign_id, gift, service, cancelled, cancelled_minor, exchanged, exchanged_minor, returned, refunded,
    refunded_minor
)
SELECT order_id, line, sku_id, sku_code, name, unit, quantity, list_price, unit_price, amount_minor, 0,
    amount_minor, NULL, gift, service, 0, 0, 0, 0, 0, 0, 0
FROM stands_in;

-- units: what was called off, exchanged, lost, sent back or refunded of each line, and when it was last reported short.
UPDATE order_book_lines AS agreed
SET cancelled = agreed.cancelled + done.cancelled, cancelled_minor = agreed.cancelled_minor + done.cancelled_minor,
    exchanged = agreed.exchanged + done.exchanged, exchanged_minor = agreed.exchanged_minor + done.exchanged_minor,
    returned = agreed.returned + done.returned, refunded = agreed.refunded + done.refunded,
    refunded_minor = agreed.refunded_minor + done.refunded_minor, gone = agreed.gone + done.gone,
    lost = agreed.lost + done.lost, anew = agreed.anew + done.anew,
    short_position = greatest(agreed.short_position, done.short_position)
FROM (
    SELECT order_id, line, sum_few(cancelled) AS cancelled, sum_few_minor(cancelled_minor) AS cancelled_minor,
        sum_few(exchanged) AS exchanged, sum_few_minor(exchanged_minor) AS exchanged_minor, sum_few(returned) AS returned,
        sum_few(refunded) AS refunded, sum_few_minor(refunded_minor) AS refunded_minor, sum_few(gone) AS gone,
        sum_few(lost) AS lost, sum_few(anew) AS anew,
        max(short_position) AS short_position
    FROM (
        SELECT stream_id AS order_id, line, quantity AS cancelled, amount_minor AS cancelled_minor, 0 AS exchanged,
            0 AS exchanged_minor, 0 AS returned, 0 AS refunded, 0 AS refunded_minor, 0 AS gone,
            -- What was called off before anything could be lost does not say so.
            -coalesce(lost, 0) AS lost, 0::numeric AS anew, NULL::bigint AS short_position
        FROM order_cancelled_lines
        UNION ALL SELECT stream_id, line, quantity, amount_minor, 0, 0, 0, 0, 0, 0, 0, 0, NULL FROM order_expired_lines
        UNION ALL SELECT stream_id, from_line, 0, 0, replaced_quantity, amount_minor, 0, 0, 0, 0, 0, 0, NULL
            FROM shortage_resolved_exchanges
        UNION ALL SELECT stream_id, from_line, 0, 0, replaced_quantity, amount_minor, -replaced_quantity, 0, 0, 0, 0,
            replaced_quantity, NULL
            FROM return_exchanged_exchanges
        UNION ALL SELECT stream_id, line, 0, 0, 0, 0, -quantity, 0, 0, 0, 0, quantity, NULL FROM return_exchanged_lines
        UNION ALL SELECT stream_id, line, 0, 0, 0, 0, quantity, 0, 0, 0, 0, 0, NULL FROM return_received_lines
        UNION ALL SELECT stream_id, line, 0, 0, 0, 0, 0, quantity, amount_minor, 0, 0, 0, NULL FROM order_refunded_lines
            WHERE line IS NOT NULL
        UNION ALL SELECT stream_id, line, 0, 0, 0, 0, 0, 0, 0, quantity, quantity, 0, NULL FROM parcel_lost_lines
        UNION ALL SELECT stream_id, line, 0, 0, 0, 0, 0, 0, 0, -quantity, -quantity, 0, NULL FROM parcel_traced_lines
        UNION ALL SELECT stream_id, line, 0, 0, 0, 0, 0, 0, 0, 0, -quantity, 0, NULL FROM lost_units_replaced_lines
        UNION ALL SELECT stream_id, line, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, position FROM shortage_reported_lines
    ) AS each
    GROUP BY 1, 2
) AS done
CROSS JOIN LATERAL (
    SELECT known.ctid AS row_id FROM order_book_lines AS known
    WHERE known.order_id = done.order_id AND known.line = done.line OFFSET 0
) AS found
WHERE agreed.ctid = found.row_id;

-- parcels: what left in one piece; one that was packed elsewhere becomes known, with its contents, when it leaves.
INSERT INTO order_book_parcels AS parcel
    (order_id, parcel_id, location_id, courier, waybill, packed_at, shipped_at, delivered_at, contents, news_by)
SELECT order_id, parcel_id, (array_agg(location_id ORDER BY position) FILTER (WHERE location_id IS NOT NULL))[1],
    max(courier), max(waybill), max(packed_at), max(shipped_at), max(delivered_at),
    (array_agg(contents ORDER BY position) FILTER (WHERE contents IS NOT NULL))[1], max(news_by)
FROM (
    SELECT position, stream_id AS order_id, parcel_id, location_id, NULL AS courier, NULL AS waybill,
        occurred_at AS packed_at, NULL::timestamptz AS shipped_at, NULL::timestamptz AS delivered_at, lines AS contents,
        NULL::timestamptz AS news_by
    FROM parcel_packed
    UNION ALL
    SELECT position, stream_id, parcel_id, location_id, courier, waybill, NULL, occurred_at, NULL, lines, news_by
    FROM order_shipped
    UNION ALL
    SELECT position, stream_id, parcel_id, NULL, NULL, NULL, NULL, NULL, occurred_at, NULL, NULL FROM order_delivered
    UNION ALL
    SELECT position, stream_id, parcel_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, news_by FROM parcel_tracked
    UNION ALL
    SELECT position, stream_id, parcel_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, news_by FROM parcel_traced
) AS each
GROUP BY 1, 2
ON CONFLICT (order_id, parcel_id) DO UPDATE SET
    location_id = coalesce(parcel.location_id, excluded.location_id),
    courier = coalesce(parcel.courier, excluded.courier),
    waybill = coalesce(parcel.waybill, excluded.waybill),
    packed_at = greatest(parcel.packed_at, excluded.packed_at),
    shipped_at = greatest(parcel.shipped_at, excluded.shipped_at),
    delivered_at = greatest(parcel.delivered_at, excluded.delivered_at),
    contents = coalesce(parcel.contents, excluded.contents),
    news_by = greatest(parcel.news_by, excluded.news_by);

-- tracked: the courier's latest word of a parcel, by its own time; what is heard late of before is in the log.
UPDATE order_book_parcels AS parcel SET tracking_status = said.status, tracked_at = said.occurred_at
FROM (
    SELECT DISTINCT ON (stream_id, parcel_id) stream_id, parcel_id, status, occurred_at
    FROM parcel_tracked ORDER BY stream_id, parcel_id, occurred_at DESC, position DESC
) AS said
CROSS JOIN LATERAL (
    SELECT known.ctid AS row_id FROM order_book_parcels AS known
    WHERE known.order_id = said.stream_id AND known.parcel_id = said.parcel_id OFFSET 0
) AS found
WHERE parcel.ctid = found.row_id AND (parcel.tracked_at IS NULL OR parcel.tracked_at <= said.occurred_at);

-- lost: parcels that are lost, and that were found again; the last word holds.
UPDATE order_book_parcels AS parcel SET lost = said.lost
FROM (
    SELECT DISTINCT ON (stream_id, parcel_id) stream_id, parcel_id, lost
    FROM (
        SELECT stream_id, parcel_id, position, true AS lost FROM parcel_lost
        UNION ALL SELECT stream_id, parcel_id, position, false FROM parcel_traced WHERE found
    ) AS each
    ORDER BY stream_id, parcel_id, position DESC
) AS said
CROSS JOIN LATERAL (
    SELECT known.ctid AS row_id FROM order_book_parcels AS known
    WHERE known.order_id = said.stream_id AND known.parcel_id = said.parcel_id OFFSET 0
) AS found
WHERE parcel.ctid = found.row_id;

-- unpacked: a parcel that was opened again is none; no parcel gets its name after it.
DELETE FROM order_book_parcels AS parcel USING parcel_unpacked AS opened
WHERE parcel.order_id = opened.stream_id AND parcel.parcel_id = opened.parcel_id;

-- returns: how far goods are on their way back. Nothing here depends on the order of events.
INSERT INTO order_book_returns AS known
    (order_id, return_id, reason, remedy, requested_at, approved_at, declined_at, cancelled_at, received, disposed)
SELECT order_id, return_id, max(reason), max(remedy), max(requested_at), max(approved_at), max(declined_at),
    max(cancelled_at), sum_few(received), sum_few(disposed)
FROM (
    SELECT stream_id AS order_id, return_id, reason, coalesce(remedy, 'refund') AS remedy, occurred_at AS requested_at,
        NULL::timestamptz AS approved_at, NULL::timestamptz AS declined_at, NULL::timestamptz AS cancelled_at,
        0::numeric AS received, 0::numeric AS disposed
    FROM return_requested
    UNION ALL SELECT stream_id, return_id, NULL, NULL, NULL, occurred_at, NULL, NULL, 0, 0 FROM return_approved
    UNION ALL SELECT stream_id, return_id, NULL, NULL, NULL, NULL, occurred_at, NULL, 0, 0 FROM return_declined
    UNION ALL SELECT stream_id, return_id, NULL, NULL, NULL, NULL, NULL, CASE WHEN whole THEN occurred_at END, 0, 0
        FROM return_cancelled
    UNION ALL SELECT back.stream_id, back.return_id, NULL, NULL, NULL, NULL, NULL, NULL, line.quantity, 0
        FROM return_received AS back JOIN return_received_lines AS line ON line.position = back.position
    UNION ALL SELECT done.stream_id, done.return_id, NULL, NULL, NULL, NULL, NULL, NULL, 0, line.quantity
        FROM return_disposed AS done JOIN return_disposed_lines AS line ON line.position = done.position
) AS each
GROUP BY 1, 2
ON CONFLICT (order_id, return_id) DO UPDATE SET
    reason = greatest(known.reason, excluded.reason), remedy = greatest(known.remedy, excluded.remedy),
    requested_at = greatest(known.requested_at, excluded.requested_at),
    approved_at = greatest(known.approved_at, excluded.approved_at),
    declined_at = greatest(known.declined_at, excluded.declined_at),
    cancelled_at = greatest(known.cancelled_at, excluded.cancelled_at),
    received = known.received + excluded.received,
    disposed = known.disposed + excluded.disposed;

-- sent_back: by whom goods of a return were sent off last.
UPDATE order_book_returns AS known
SET sent_at = said.occurred_at, courier = said.courier, waybill = said.waybill
FROM (
    SELECT DISTINCT ON (stream_id, return_id) stream_id, return_id, occurred_at, courier, waybill
    FROM return_shipped ORDER BY stream_id, return_id, position DESC
) AS said
WHERE known.order_id = said.stream_id AND known.return_id = said.return_id;

-- verified: why goods really come back, and whose fault that is. The last word holds.
UPDATE order_book_returns AS known SET verified_reason = said.reason, fault_party = said.fault_party
FROM (
    SELECT DISTINCT ON (stream_id, return_id) stream_id, return_id, reason, fault_party
    FROM return_verified ORDER BY stream_id, return_id, position DESC
) AS said
WHERE known.order_id = said.stream_id AND known.return_id = said.return_id;

-- disputed: what somebody complained about.
INSERT INTO order_book_disputes (order_id, dispute_id, kind, opened_at, status, changed_at)
SELECT stream_id, dispute_id, kind, occurred_at, 'opened', occurred_at FROM dispute_opened;

-- found_out: what is really wrong, and whose fault it is, which whoever arbitrates may see otherwise. The last word holds.
UPDATE order_book_disputes AS known
SET found_kind = coalesce(said.kind, known.found_kind), fault_party = coalesce(said.fault_party, known.fault_party)
FROM (
    SELECT stream_id, dispute_id,
        (array_agg(kind ORDER BY position DESC) FILTER (WHERE kind IS NOT NULL))[1] AS kind,
        (array_agg(fault_party ORDER BY position DESC) FILTER (WHERE fault_party IS NOT NULL))[1] AS fault_party
    FROM (
        SELECT stream_id, dispute_id, position, kind, fault_party FROM dispute_verified
        UNION ALL SELECT stream_id, dispute_id, position, NULL, fault_party FROM dispute_arbitrated
    ) AS each
    GROUP BY 1, 2
) AS said
CROSS JOIN LATERAL (
    SELECT one.ctid AS row_id FROM order_book_disputes AS one
    WHERE one.order_id = said.stream_id AND one.dispute_id = said.dispute_id OFFSET 0
) AS found
WHERE known.ctid = found.row_id;

-- dispute_steps: where a dispute stands after its last step; what is paid does not move it.
UPDATE order_book_disputes AS known SET status = last.status, changed_at = last.occurred_at
FROM (
    SELECT DISTINCT ON (step.dispute_id) step.stream_id, step.dispute_id, step.status, step.occurred_at
    FROM (
        SELECT stream_id, dispute_id, position, occurred_at, 'accepted' AS status FROM dispute_accepted
        UNION ALL SELECT stream_id, dispute_id, position, occurred_at, 'verified' FROM dispute_verified
        UNION ALL SELECT stream_id, dispute_id, position, occurred_at, 'negotiating' FROM dispute_negotiated
        UNION ALL SELECT stream_id, dispute_id, position, occurred_at, 'negotiating' FROM dispute_offer_declined
        UNION ALL SELECT stream_id, dispute_id, position, occurred_at, 'agreed' FROM dispute_agreed
        UNION ALL SELECT stream_id, dispute_id, position, occurred_at, 'arbitrated' FROM dispute_arbitrated
        UNION ALL SELECT stream_id, dispute_id, position, occurred_at, 'settled' FROM dispute_settled
        UNION ALL SELECT stream_id, dispute_id, position, occurred_at, CASE
            WHEN result = 'not_solved' THEN 'verified' WHEN done THEN 'followed_up' ELSE 'settled'
        END FROM dispute_followed_up
        UNION ALL SELECT stream_id, dispute_id, position, occurred_at, 'closed' FROM dispute_closed
        UNION ALL SELECT stream_id, dispute_id, position, occurred_at, 'withdrawn' FROM dispute_withdrawn
    ) AS step
    ORDER BY step.dispute_id, step.position DESC
) AS last
CROSS JOIN LATERAL (
    SELECT one.ctid AS row_id FROM order_book_disputes AS one
    WHERE one.order_id = last.stream_id AND one.dispute_id = last.dispute_id OFFSET 0
) AS found
WHERE known.ctid = found.row_id;

-- orders: everything that the window says about an order as a whole, in one row for each order.
-- Nothing here depends on the order of events: what is agreed once is taken once, moments are the latest, amounts add up.
-- How far its units are is counted over its lines and parcels, which stand already; the status follows from the row.
-- Each type is read by itself, because most say no more than when: the index by type answers that.
WITH said AS (
    SELECT event.order_id,
        coalesce(sum_few_minor(event.cancelled_minor), 0) AS cancelled_goods_minor,
        coalesce(sum_few_minor(event.freight_minor), 0) AS cancelled_freight_minor,
        coalesce(sum_few_minor(event.paid_minor), 0) AS paid_minor,
        coalesce(sum_few_minor(event.refunded_minor), 0) AS refunded_minor,
        max(event.ship_by) AS ship_by, max(event.ship_by_hard) AS ship_by_hard, max(event.paid_at) AS paid_at,
        max(event.confirmed_at) AS confirmed_at, max(event.shipped_at) AS shipped_at,
        max(event.delivered_at) AS delivered_at, max(event.completed_at) AS completed_at,
        max(event.cancelled_at) AS cancelled_at, coalesce(bool_or(event.expired), false) AS expired,
        max(event.resolved_position) AS resolved_position, max(event.position) AS position
    FROM (
        -- A column for each thing said: nulls are passed over for nothing, where a filter would look at every row.
        SELECT stream_id AS order_id, position, CASE WHEN whole THEN occurred_at END AS cancelled_at, false AS expired,
            goods_minor AS cancelled_minor, freight_minor, NULL::bigint AS paid_minor, NULL::bigint AS refunded_minor,
            NULL::timestamptz AS paid_at, NULL::timestamptz AS ship_by, NULL::timestamptz AS ship_by_hard,
            NULL::timestamptz AS confirmed_at, NULL::timestamptz AS shipped_at, NULL::timestamptz AS delivered_at,
            NULL::timestamptz AS completed_at, NULL::bigint AS resolved_position
        FROM order_cancelled
        UNION ALL
        SELECT stream_id, position, CASE WHEN whole THEN occurred_at END, whole, goods_minor, freight_minor,
            NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
        FROM order_expired
        UNION ALL
        SELECT stream_id, position, NULL, NULL, NULL, NULL, amount_minor, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
        FROM payment_received
        UNION ALL
        SELECT stream_id, position, NULL, NULL, NULL, NULL, NULL, amount_minor, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
        FROM order_refunded
        UNION ALL
        SELECT stream_id, position, NULL, NULL, NULL, NULL, NULL, NULL, occurred_at, ship_by, ship_by_hard, NULL, NULL, NULL,
            NULL, NULL
        FROM order_paid
        UNION ALL
        SELECT stream_id, position, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, occurred_at, NULL, NULL, NULL, NULL
        FROM order_confirmed
        UNION ALL
        SELECT stream_id, position, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, occurred_at, NULL, NULL, NULL
        FROM order_shipped
        UNION ALL
        SELECT stream_id, position, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, occurred_at, NULL, NULL
        FROM order_delivered
        UNION ALL
        SELECT stream_id, position, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, occurred_at, NULL
        FROM order_completed
        UNION ALL
        SELECT stream_id, position, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, position
        FROM shortage_resolved
        UNION ALL
        -- What changes nothing of this, but the lines or the parcels, or only when the order changed.
        SELECT touched.order_id, touched.position, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
            NULL
        FROM (
            SELECT stream_id AS order_id, position FROM order_placed
            UNION ALL SELECT stream_id, position FROM order_price_amended
            UNION ALL SELECT stream_id, position FROM shortage_reported
            UNION ALL SELECT stream_id, position FROM parcel_packed
            UNION ALL SELECT stream_id, position FROM parcel_unpacked
            UNION ALL SELECT stream_id, position FROM return_recorded
            UNION ALL SELECT stream_id, position FROM return_received
            UNION ALL SELECT stream_id, position FROM parcel_lost
            UNION ALL SELECT stream_id, position FROM parcel_traced
            UNION ALL SELECT stream_id, position FROM lost_units_replaced
            UNION ALL SELECT stream_id, position FROM return_requested
            UNION ALL SELECT stream_id, position FROM return_approved
            UNION ALL SELECT stream_id, position FROM return_declined
            UNION ALL SELECT stream_id, position FROM return_cancelled
            UNION ALL SELECT stream_id, position FROM return_disposed
            UNION ALL SELECT stream_id, position FROM dispute_opened
            UNION ALL SELECT stream_id, position FROM dispute_accepted
            UNION ALL SELECT stream_id, position FROM dispute_verified
            UNION ALL SELECT stream_id, position FROM dispute_negotiated
            UNION ALL SELECT stream_id, position FROM dispute_offer_declined
            UNION ALL SELECT stream_id, position FROM dispute_agreed
            UNION ALL SELECT stream_id, position FROM dispute_arbitrated
            UNION ALL SELECT stream_id, position FROM dispute_settled
            UNION ALL SELECT stream_id, position FROM dispute_followed_up
            UNION ALL SELECT stream_id, position FROM dispute_closed
            UNION ALL SELECT stream_id, position FROM dispute_withdrawn
            UNION ALL SELECT stream_id, position FROM compensation_paid
            UNION ALL SELECT stream_id, position FROM courier_claim_filed
            UNION ALL SELECT stream_id, position FROM courier_claim_settled
            UNION ALL SELECT stream_id, position FROM customer_contacted
            UNION ALL SELECT stream_id, position FROM order_contact_disclosed
            UNION ALL SELECT stream_id, position FROM guest_erased
            UNION ALL SELECT stream_id, position FROM order_noted
            UNION ALL SELECT stream_id, position FROM order_note_withdrawn
            UNION ALL SELECT stream_id, position FROM order_tagged
            UNION ALL SELECT stream_id, position FROM order_untagged
            UNION ALL SELECT stream_id, position FROM review_posted
            UNION ALL SELECT stream_id, position FROM review_supplemented
            UNION ALL SELECT stream_id, position FROM review_replied
            UNION ALL SELECT stream_id, position FROM review_flagged
            UNION ALL SELECT stream_id, position FROM review_decided
            UNION ALL SELECT stream_id, position FROM review_consent_set
            UNION ALL SELECT stream_id, position FROM order_assisted
            UNION ALL SELECT stream_id, position FROM parcel_tracked
            UNION ALL SELECT stream_id, position FROM receipt_confirmed
            UNION ALL SELECT stream_id, position FROM return_shipped
            UNION ALL SELECT stream_id, position FROM return_verified
            UNION ALL SELECT stream_id, position FROM return_freight_paid
            UNION ALL SELECT stream_id, position FROM return_exchanged
        ) AS touched
    ) AS event
    GROUP BY 1
), placed AS (
    SELECT stream_id AS order_id, store_id, kind, customer_id, channel, external_reference, currency, region, price_source,
        traffic_source, device, campaign_ids, coupon_code, surge, occurred_at AS placed_at, position, goods_minor, discount_minor, freight_minor,
        total_minor, expires_at
    FROM order_placed
    UNION ALL
    SELECT stream_id, store_id, kind, customer_id, channel, external_reference, currency, region, 'external', NULL, NULL, '{}'::uuid[],
        NULL, false, occurred_at, position, 0, 0, 0, 0, NULL
    FROM return_recorded
), amended AS (
    -- The last amendment of the window gives the new totals of the order.
    SELECT DISTINCT ON (stream_id) stream_id AS order_id, goods_minor, order_discount_minor, total_minor
    FROM order_price_amended ORDER BY stream_id, position DESC
), stand AS (
    SELECT line.order_id, count(*) AS lines, sum_few(line.live) FILTER (WHERE NOT line.service) AS units,
        -- Null while no unit is left that is to be sent.
        bool_and(line.packed >= line.live) FILTER (WHERE NOT line.service AND line.live > 0) AS all_packed,
        bool_and(line.shipped >= line.live) FILTER (WHERE NOT line.service AND line.live > 0) AS all_shipped,
        bool_and(line.delivered >= line.live) FILTER (WHERE NOT line.service AND line.live > 0) AS all_delivered,
        bool_or(line.lost > 0) FILTER (WHERE NOT line.service AND line.live > 0) AS any_lost,
        bool_or(line.anew > 0) AS any_anew,
        max(line.short_position) FILTER (WHERE line.live > line.packed + line.lost) AS short_position
    FROM (
        -- What is gone left in a parcel, and counts neither as packed nor as shipped; what is sent anew neither arrived.
        SELECT part.order_id, part.line, max(part.live) AS live, bool_or(part.service) AS service,
            max(part.short_position) AS short_position,
            coalesce(sum_few(part.packed), 0) - max(part.gone) - max(part.anew) AS packed,
            coalesce(sum_few(part.shipped), 0) - max(part.gone) - max(part.anew) AS shipped,
            coalesce(sum_few(part.delivered), 0) - max(part.anew) AS delivered, max(part.lost) AS lost,
            max(part.anew) AS anew
        FROM (
            -- Looked up order by order: read from end to end, what there was before would cost more in each window. Lines
            -- and contents meet in the grouping: nobody can know how many there are, and a join would have to guess.
            SELECT agreed.order_id, agreed.line, agreed.quantity - agreed.cancelled - agreed.exchanged AS live,
                coalesce(agreed.service, false) AS service, agreed.short_position, agreed.gone, agreed.lost, agreed.anew,
                NULL::numeric AS packed, NULL::numeric AS shipped, NULL::numeric AS delivered
            FROM said CROSS JOIN LATERAL (
                SELECT known.order_id, known.line, known.quantity, known.cancelled, known.exchanged, known.service,
                    known.short_position, known.gone, known.lost, known.anew
                FROM order_book_lines AS known WHERE known.order_id = said.order_id OFFSET 0
            ) AS agreed
            UNION ALL
            SELECT parcel.order_id, item.line, NULL, NULL, NULL, NULL, NULL, NULL, item.quantity,
                CASE WHEN parcel.shipped_at IS NOT NULL THEN item.quantity END,
                CASE WHEN parcel.delivered_at IS NOT NULL THEN item.quantity END
            FROM said CROSS JOIN LATERAL (
                SELECT known.order_id, known.shipped_at, known.delivered_at, known.contents
                FROM order_book_parcels AS known WHERE known.order_id = said.order_id OFFSET 0
            ) AS parcel
            CROSS JOIN LATERAL jsonb_to_recordset(parcel.contents) AS item (line bigint, quantity numeric)
        ) AS part
        GROUP BY 1, 2
    ) AS line
    WHERE line.service IS NOT NULL
    GROUP BY 1
)
INSERT INTO order_book AS book (
    order_id, store_id, kind, customer_id, channel, external_reference, currency, region, price_source, traffic_source,
    device, campaign_ids, coupon_code, surge, placed_at, placed_position, goods_minor, discount_minor, freight_minor, total_minor,
    cancelled_goods_minor, cancelled_freight_minor, paid_minor, refunded_minor, expires_at, ship_by, ship_by_hard, paid_at,
    confirmed_at, shipped_at, delivered_at, completed_at, cancelled_at, expired, short_position, resolved_position, lines,
    units, all_packed, all_shipped, all_delivered, any_lost, any_anew, position, changed_at
)
SELECT
    said.order_id, placed.store_id, placed.kind, placed.customer_id, placed.channel,
    placed.external_reference, placed.currency, placed.region, placed.price_source, placed.traffic_source, placed.device,
    placed.campaign_ids,
    placed.coupon_code, placed.surge, placed.placed_at, placed.position,
    coalesce(amended.goods_minor, placed.goods_minor), coalesce(amended.order_discount_minor, placed.discount_minor),
    placed.freight_minor, coalesce(amended.total_minor, placed.total_minor),
    said.cancelled_goods_minor, said.cancelled_freight_minor, said.paid_minor, said.refunded_minor, placed.expires_at,
    said.ship_by, said.ship_by_hard, said.paid_at, said.confirmed_at, said.shipped_at, said.delivered_at,
    said.completed_at, said.cancelled_at, said.expired, stand.short_position, said.resolved_position, stand.lines,
    stand.units, stand.all_packed, stand.all_shipped, stand.all_delivered, stand.any_lost, stand.any_anew, said.position,
    last.recorded_at
FROM said
-- The log records nothing earlier than what it has.
JOIN every_event AS last ON last.position = said.position
LEFT JOIN placed ON placed.order_id = said.order_id
LEFT JOIN amended ON amended.order_id = said.order_id
LEFT JOIN stand ON stand.order_id = said.order_id
ON CONFLICT (order_id) DO UPDATE SET
    goods_minor = coalesce(excluded.goods_minor, book.goods_minor),
    discount_minor = coalesce(excluded.discount_minor, book.discount_minor),
    total_minor = coalesce(excluded.total_minor, book.total_minor),
    cancelled_goods_minor = book.cancelled_goods_minor + excluded.cancelled_goods_minor,
    cancelled_freight_minor = book.cancelled_freight_minor + excluded.cancelled_freight_minor,
    paid_minor = book.paid_minor + excluded.paid_minor,
    refunded_minor = book.refunded_minor + excluded.refunded_minor,
    ship_by = greatest(book.ship_by, excluded.ship_by),
    ship_by_hard = greatest(book.ship_by_hard, excluded.ship_by_hard),
    paid_at = greatest(book.paid_at, excluded.paid_at),
    confirmed_at = greatest(book.confirmed_at, excluded.confirmed_at),
    shipped_at = greatest(book.shipped_at, excluded.shipped_at),
    delivered_at = greatest(book.delivered_at, excluded.delivered_at),
    completed_at = greatest(book.completed_at, excluded.completed_at),
    cancelled_at = greatest(book.cancelled_at, excluded.cancelled_at),
    expired = book.expired OR excluded.expired,
    short_position = excluded.short_position,
    resolved_position = greatest(book.resolved_position, excluded.resolved_position),
    lines = excluded.lines, units = excluded.units, all_packed = excluded.all_packed,
    all_shipped = excluded.all_shipped, all_delivered = excluded.all_delivered, any_lost = excluded.any_lost,
    any_anew = excluded.any_anew,
    position = excluded.position, changed_at = excluded.changed_at;

-- assisted: who of the staff helped the buyer. The last word holds, and may be that nobody did.
UPDATE order_book AS book SET agent = last.agent
FROM (
    SELECT DISTINCT ON (said.stream_id) said.stream_id, said.agent
    FROM order_assisted AS said ORDER BY said.stream_id, said.position DESC
) AS last
CROSS JOIN LATERAL (
    SELECT known.ctid AS row_id FROM order_book AS known WHERE known.order_id = last.stream_id OFFSET 0
) AS found
WHERE book.ctid = found.row_id;

-- references: what the payment provider calls money that came in, went back or was given.
INSERT INTO order_book_payments (position, order_id, reference)
SELECT position, stream_id, provider_reference FROM payment_received WHERE provider_reference IS NOT NULL
UNION ALL SELECT position, stream_id, provider_reference FROM order_refunded WHERE provider_reference IS NOT NULL
UNION ALL SELECT position, stream_id, provider_reference FROM compensation_paid WHERE provider_reference IS NOT NULL
UNION ALL SELECT position, stream_id, provider_reference FROM return_freight_paid WHERE provider_reference IS NOT NULL;

-- noted: what was written down; what it says stays in the log, sealed.
INSERT INTO order_book_notes (order_id, note_id, written_at)
SELECT stream_id, note_id, occurred_at FROM order_noted;

-- withdrawn: notes that do not hold any more; no other note gets the id of one.
DELETE FROM order_book_notes AS note USING order_note_withdrawn AS gone
WHERE note.order_id = gone.stream_id AND note.note_id = gone.note_id;

-- tagged: words that were put on orders.
INSERT INTO order_book_tags (order_id, tag)
SELECT stream_id, tag FROM order_tagged
ON CONFLICT (order_id, tag) DO NOTHING;

-- untagged: words that were taken off, and not put on again later in the window.
DELETE FROM order_book_tags AS known USING order_untagged AS off
WHERE known.order_id = off.stream_id AND known.tag = off.tag AND NOT EXISTS (
    SELECT FROM order_tagged AS put
    WHERE put.stream_id = off.stream_id AND put.tag = off.tag AND put.position > off.position
);

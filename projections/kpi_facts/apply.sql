-- origin: every order as it was placed, and every return of no order we know.
INSERT INTO origins (
    order_id, position, store_id, occurred_at, day, hour, currency, channel, source, device, customer_id, is_order
)
SELECT one.stream_id, one.position, one.store_id, one.occurred_at, (one.occurred_at AT TIME ZONE one.time_zone)::date,
    hour_of(one.occurred_at, one.time_zone), one.currency, one.channel, one.source, one.device, one.customer_id,
    one.is_order
FROM (
    SELECT position, stream_id, store_id, occurred_at, time_zone, currency, channel, traffic_source AS source, device,
        customer_id, true AS is_order
    FROM order_placed
    UNION ALL
    SELECT position, stream_id, store_id, occurred_at, time_zone, currency, channel, NULL, NULL, customer_id, false
    FROM return_recorded
) AS one;

-- lines: what was ordered, and which campaign each line counts for: the one whose price it has, else that of the largest discount.
INSERT INTO agreed_lines (order_id, line, sku_id, campaign_id, quantity, amount_minor, counted, service)
SELECT placed.stream_id, placed.line, placed.sku_id,
    CASE
        WHEN placed.campaign_id IS NOT NULL OR jsonb_array_length(placed.discounts) = 0 THEN placed.campaign_id
        WHEN rule.discount_attributes THEN (
            SELECT CASE WHEN given.value->>'source' = 'coupon' THEN placed.coupon_campaign_id
                ELSE (given.value->>'source_id')::uuid END
            FROM jsonb_array_elements(placed.discounts) WITH ORDINALITY AS given (value, rank)
            WHERE given.value->>'source' NOT IN ('tier', 'points', 'manual')
                AND CASE WHEN given.value->>'source' = 'coupon' THEN placed.coupon_campaign_id
                    ELSE (given.value->>'source_id')::uuid END IS NOT NULL
            ORDER BY (given.value->>'amount_minor')::bigint DESC, given.rank
            LIMIT 1
        )
    END,
    placed.quantity, placed.amount_minor, NOT placed.service AND (rule.gifts_are_units OR NOT placed.gift), placed.service
FROM order_placed_lines AS placed CROSS JOIN rules AS rule;

-- changes: what a line costs from each amendment on, and what was called off of it.
INSERT INTO agreed_changes (order_id, line, position, amount_minor, cancelled, cancelled_minor)
SELECT said.order_id, said.line, said.position, max(said.amount_minor), sum(said.cancelled), sum(said.cancelled_minor)
FROM (
    SELECT stream_id AS order_id, line, position, amount_minor, 0 AS cancelled, 0 AS cancelled_minor
    FROM order_price_amended
    UNION ALL SELECT stream_id, line, position, NULL, quantity, amount_minor FROM order_cancelled_lines
    UNION ALL SELECT stream_id, line, position, NULL, quantity, amount_minor FROM order_expired_lines
) AS said
GROUP BY 1, 2, 3;

-- waived: the freight that a campaign took over.
INSERT INTO waivers (order_id, place, campaign_id, amount_minor)
SELECT given.stream_id, given.ordinal, given.source_id, given.amount_minor
FROM order_placed_freight_waivers AS given WHERE given.source = 'free_shipping' AND given.source_id IS NOT NULL;

-- paid_lines: a line is sold when its order is paid, at what it costs at that position, on the store's own day.
INSERT INTO sold (
    position, line, order_id, store_id, occurred_at, day, hour, currency, channel, sku_id, campaign_id, customer_id,
    units, amount_minor, goods_minor
)
SELECT bill.position, line.line, line.order_id, bill.store_id, bill.occurred_at,
    (bill.occurred_at AT TIME ZONE bill.time_zone)::date, hour_of(bill.occurred_at, bill.time_zone),
    bill.currency, bill.channel, line.sku_id, line.campaign_id, bill.customer_id,
    CASE WHEN line.counted THEN line.quantity - coalesce(since.cancelled, 0) ELSE 0 END,
    coalesce(since.amount_minor, line.amount_minor) - coalesce(since.cancelled_minor, 0), bill.goods_minor
FROM order_paid AS bill
-- Looked up order by order, here and below (LATERAL with OFFSET 0, and rows by their ctid): read from end to end, what there
-- was before would cost more in each window.
CROSS JOIN LATERAL (
    SELECT known.order_id, known.line, known.sku_id, known.campaign_id, known.quantity, known.amount_minor, known.counted
    FROM agreed_lines AS known WHERE known.order_id = bill.stream_id OFFSET 0
) AS line
CROSS JOIN LATERAL (
    SELECT sum(change.cancelled) AS cancelled, sum(change.cancelled_minor) AS cancelled_minor,
        (array_agg(change.amount_minor ORDER BY change.position DESC) FILTER (WHERE change.amount_minor IS NOT NULL))[1]
            AS amount_minor
    FROM agreed_changes AS change
    WHERE change.order_id = line.order_id AND change.line = line.line AND change.position < bill.position
) AS since
WHERE line.quantity > coalesce(since.cancelled, 0);

-- paid_freight: where GMV counts freight, it is a line of no article.
INSERT INTO sold (
    position, line, order_id, store_id, occurred_at, day, hour, currency, channel, customer_id, units, amount_minor,
    goods_minor
)
SELECT bill.position, 0, bill.stream_id, bill.store_id, bill.occurred_at,
    (bill.occurred_at AT TIME ZONE bill.time_zone)::date, hour_of(bill.occurred_at, bill.time_zone),
    bill.currency, bill.channel, bill.customer_id, 0, bill.total_minor - bill.goods_minor, bill.goods_minor
FROM order_paid AS bill CROSS JOIN rules AS rule
WHERE rule.gmv_counts_freight AND bill.total_minor <> bill.goods_minor;

-- paid_orders: what was paid in all, and what was promised for it; a surge order has the hard promise only, and what
-- nothing is to be sent of has none.
INSERT INTO paid (
    order_id, position, store_id, occurred_at, time_zone, day, hour, currency, channel, customer_id, goods_minor,
    total_minor, due_at, hard_at, to_ship
)
SELECT bill.stream_id, bill.position, bill.store_id, bill.occurred_at, bill.time_zone,
    (bill.occurred_at AT TIME ZONE bill.time_zone)::date, hour_of(bill.occurred_at, bill.time_zone),
    bill.currency, bill.channel, bill.customer_id, bill.goods_minor, bill.total_minor,
    CASE WHEN bill.surge AND rule.surge_ships_by_hard_promise THEN bill.ship_by_hard ELSE bill.ship_by END,
    bill.ship_by_hard, goods.are_there
FROM order_paid AS bill CROSS JOIN rules AS rule
CROSS JOIN LATERAL (
    SELECT coalesce(bool_or(NOT line.service AND line.quantity > (
        SELECT coalesce(sum(change.cancelled), 0) FROM agreed_changes AS change
        WHERE change.order_id = line.order_id AND change.line = line.line AND change.position < bill.position
    )), false) AS are_there
    FROM agreed_lines AS line WHERE line.order_id = bill.stream_id
) AS goods;

-- left: a parcel left; the same parcel once.
INSERT INTO parcels (parcel_id, order_id, store_id, position, shipped_at, day, hour)
SELECT DISTINCT ON (gone.stream_id, gone.parcel_id) gone.parcel_id, gone.stream_id, gone.store_id, gone.position,
    gone.occurred_at, (gone.occurred_at AT TIME ZONE gone.time_zone)::date, hour_of(gone.occurred_at, gone.time_zone)
FROM order_shipped AS gone
ORDER BY gone.stream_id, gone.parcel_id, gone.position
ON CONFLICT (order_id, parcel_id) DO NOTHING;

-- shipped: an order has left when its last parcel did, or when what had not left yet was called off or became a service: then
-- it is owed no longer, though its last parcel left before. A parcel that left before the payment breaks no promise.
UPDATE paid AS bill SET shipped_at = gone.shipped_at, settled_at = greatest(gone.shipped_at, gone.called_off_at),
    settled_position = gone.position, settled_by = gone.event
FROM (
    SELECT DISTINCT ON (said.order_id) known.row_id, said.position, said.event, said.called_off_at, last.shipped_at
    FROM (
        SELECT stream_id AS order_id, position, 'OrderShipped' AS event, NULL::timestamptz AS called_off_at
        FROM order_shipped WHERE complete
        UNION ALL
        SELECT stream_id, position, 'OrderCancelled', occurred_at FROM order_cancelled WHERE rest_shipped
        UNION ALL
        SELECT stream_id, position, 'ShortageResolved', occurred_at FROM shortage_resolved WHERE rest_shipped
    ) AS said
    CROSS JOIN LATERAL (
        SELECT bill.ctid AS row_id FROM paid AS bill
        WHERE bill.order_id = said.order_id AND bill.position < said.position AND bill.settled_at IS NULL OFFSET 0
    ) AS known
    CROSS JOIN LATERAL (
        SELECT max(parcel.shipped_at) AS shipped_at FROM parcels AS parcel
        WHERE parcel.order_id = said.order_id AND parcel.position <= said.position OFFSET 0
    ) AS last
    WHERE last.shipped_at IS NOT NULL
    ORDER BY said.order_id, said.position
) AS gone
WHERE bill.ctid = gone.row_id;

-- completed: the sale is final.
UPDATE paid AS bill SET completed_at = done.occurred_at, completed_position = done.position
FROM (
    SELECT DISTINCT ON (final.stream_id) known.row_id, final.position, final.occurred_at
    FROM order_completed AS final CROSS JOIN LATERAL (
        SELECT bill.ctid AS row_id FROM paid AS bill
        WHERE bill.order_id = final.stream_id AND bill.position < final.position AND bill.completed_at IS NULL OFFSET 0
    ) AS known
    ORDER BY final.stream_id, final.position
) AS done
WHERE bill.ctid = done.row_id;

-- arrived: it was received; the first word of it counts.
UPDATE parcels AS parcel SET delivered_position = there.position, delivered_at = there.occurred_at
FROM (
    SELECT DISTINCT ON (heard.stream_id, heard.parcel_id) known.row_id, heard.position, heard.occurred_at
    FROM order_delivered AS heard CROSS JOIN LATERAL (
        SELECT sent.ctid AS row_id FROM parcels AS sent
        WHERE sent.order_id = heard.stream_id AND sent.parcel_id = heard.parcel_id AND sent.delivered_position IS NULL
        OFFSET 0
    ) AS known
    ORDER BY heard.stream_id, heard.parcel_id, heard.position
) AS there
WHERE parcel.ctid = there.row_id;

-- called_off: a paid order that was called off as a whole is no longer owed, nor is one of which nothing is left to be sent.
UPDATE paid AS bill SET cancelled_at = gone.occurred_at, cancelled_position = gone.position
FROM (
    SELECT DISTINCT ON (off.stream_id) off.stream_id, off.position, off.occurred_at
    FROM (
        SELECT stream_id, position, occurred_at, whole, rest_shipped FROM order_cancelled
        UNION ALL
        SELECT stream_id, position, occurred_at, false, rest_shipped FROM shortage_resolved
    ) AS off
    JOIN paid AS known ON known.order_id = off.stream_id
    WHERE off.position > known.position AND (off.whole OR off.rest_shipped AND NOT EXISTS (
        SELECT FROM parcels AS parcel WHERE parcel.order_id = off.stream_id AND parcel.position < off.position
    ))
    ORDER BY off.stream_id, off.position
) AS gone
WHERE bill.order_id = gone.stream_id AND bill.cancelled_at IS NULL;

-- dropped: an order that was called off as a whole before it was paid.
UPDATE origins AS origin SET dropped_position = gone.position, dropped_at = gone.occurred_at, dropped_by = gone.event
FROM (
    SELECT DISTINCT ON (off.stream_id) off.stream_id, off.position, off.occurred_at, off.event
    FROM (
        SELECT stream_id, position, occurred_at, 'OrderCancelled' AS event FROM order_cancelled WHERE whole
        UNION ALL
        SELECT stream_id, position, occurred_at, 'OrderExpired' FROM order_expired WHERE whole
    ) AS off
    ORDER BY off.stream_id, off.position
) AS gone
WHERE origin.order_id = gone.stream_id AND origin.dropped_position IS NULL
    AND NOT EXISTS (SELECT FROM paid AS bill WHERE bill.order_id = gone.stream_id AND bill.position < gone.position);

-- began: the earliest paid order of a customer in a store, by when it happened, as far as it was known; a back-dated one moves it.
WITH found AS (
    SELECT bill.customer_id, bill.store_id, bill.occurred_at AS first_at, bill.position AS first_position,
        (bill.occurred_at AT TIME ZONE bill.time_zone)::date AS day, false AS is_kept
    FROM order_paid AS bill WHERE bill.customer_id IS NOT NULL
    UNION ALL
    SELECT began.customer_id, began.store_id, began.first_at, began.first_position, began.day, true
    FROM first_orders AS began
    WHERE began.until_position = 9223372036854775807
        AND (began.customer_id, began.store_id) IN (SELECT bill.customer_id, bill.store_id FROM order_paid AS bill)
), compared AS (
    SELECT found.customer_id, found.store_id, found.first_at, found.first_position, found.day, found.is_kept,
        min(found.first_at) OVER (
            PARTITION BY found.customer_id, found.store_id ORDER BY found.first_position
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS earliest
    FROM found
), held AS (
    SELECT compared.customer_id, compared.store_id, compared.first_at, compared.first_position, compared.day,
        compared.is_kept, lead(compared.first_position, 1, 9223372036854775807) OVER (
            PARTITION BY compared.customer_id, compared.store_id ORDER BY compared.first_position
        ) AS until_position
    FROM compared WHERE compared.earliest IS NULL OR compared.first_at < compared.earliest
)
INSERT INTO first_orders (customer_id, store_id, first_at, first_position, day, until_position)
SELECT held.customer_id, held.store_id, held.first_at, held.first_position, held.day, held.until_position
FROM held WHERE NOT held.is_kept OR held.until_position < 9223372036854775807
ON CONFLICT (customer_id, store_id, first_position) DO UPDATE SET until_position = excluded.until_position;

-- stand_ins: which line was sold where another stands in for it, followed from exchange to exchange to the first one; a line
-- stands in for one with a lower number.
WITH RECURSIVE given AS (
    SELECT one.stream_id AS order_id, one.line, one.from_line AS sold_line FROM shortage_resolved_exchanges AS one
    UNION ALL SELECT one.stream_id, one.line, one.from_line FROM return_exchanged_exchanges AS one
), way AS (
    SELECT given.order_id, given.line, given.sold_line FROM given
    UNION ALL
    SELECT way.order_id, way.line, earlier.sold_line
    FROM way JOIN (
        SELECT given.order_id, given.line, given.sold_line FROM given
        UNION ALL
        SELECT known.order_id, known.line, known.sold_line FROM stand_ins AS known
    ) AS earlier ON earlier.order_id = way.order_id AND earlier.line = way.sold_line
)
INSERT INTO stand_ins (order_id, line, sold_line)
SELECT way.order_id, way.line, min(way.sold_line) FROM way GROUP BY 1, 2;

-- refunded: money that went back, on its own day and on the day of the sale; what no line accounts for stands at place 0.
-- What goes back of a line that stands in for another takes the sale of that other back: its article's, and its campaign's.
INSERT INTO refunds (
    position, place, order_id, store_id, occurred_at, day, hour, sold_day, sold_hour, currency, channel, sku_id,
    campaign_id, customer_id, goods_minor, net_minor, whole_minor
)
SELECT back.position, back.place, back.order_id, back.store_id, back.occurred_at,
    (back.occurred_at AT TIME ZONE back.time_zone)::date, hour_of(back.occurred_at, back.time_zone),
    bill.day, bill.hour, back.currency, origin.channel, coalesce(line.sku_id, back.sku_id),
    coalesce(line.campaign_id, back.campaign_id), back.customer_id, back.goods_minor, back.net_minor, back.whole_minor
FROM (
    SELECT part.position, part.ordinal AS place, part.stream_id AS order_id, part.store_id, part.occurred_at,
        part.time_zone, part.currency, part.line, part.sku_id, part.campaign_id, part.customer_id,
        part.amount_minor AS goods_minor, part.amount_minor AS net_minor, 0::bigint AS whole_minor
    FROM order_refunded_lines AS part
    UNION ALL
    SELECT whole.position, 0, whole.stream_id, whole.store_id, whole.occurred_at, whole.time_zone, whole.currency, NULL,
        NULL, NULL, whole.customer_id, whole.goods_minor - coalesce(parts.amount_minor, 0),
        whole.goods_minor - coalesce(parts.amount_minor, 0)
            + CASE WHEN rule.refund_counts_freight THEN whole.freight_minor ELSE 0 END,
        whole.amount_minor
    FROM order_refunded AS whole CROSS JOIN rules AS rule LEFT JOIN (
        SELECT part.position, sum(part.amount_minor)::bigint AS amount_minor FROM order_refunded_lines AS part GROUP BY 1
    ) AS parts ON parts.position = whole.position
) AS back
LEFT JOIN LATERAL (
    SELECT known.day, known.hour FROM paid AS known
    WHERE known.order_id = back.order_id AND known.position < back.position OFFSET 0
) AS bill ON true
LEFT JOIN LATERAL (
    SELECT known.channel FROM origins AS known WHERE known.order_id = back.order_id OFFSET 0
) AS origin ON true
LEFT JOIN LATERAL (
    SELECT known.sold_line FROM stand_ins AS known
    WHERE known.order_id = back.order_id AND known.line = back.line OFFSET 0
) AS given ON true
LEFT JOIN LATERAL (
    SELECT known.sku_id, known.campaign_id FROM agreed_lines AS known
    WHERE known.order_id = back.order_id AND known.line = coalesce(given.sold_line, back.line) OFFSET 0
) AS line ON true;

-- assisted: the last word on who helped a buyer holds.
WITH found AS (
    SELECT said.stream_id AS order_id, said.position, said.agent FROM order_assisted AS said
    UNION ALL
    SELECT kept.order_id, kept.position, kept.agent FROM assists AS kept
    WHERE kept.until_position = 9223372036854775807
        AND kept.order_id IN (SELECT said.stream_id FROM order_assisted AS said)
)
INSERT INTO assists (order_id, position, until_position, agent)
SELECT found.order_id, found.position,
    lead(found.position, 1, 9223372036854775807) OVER (PARTITION BY found.order_id ORDER BY found.position), found.agent
FROM found
ON CONFLICT (order_id, position) DO UPDATE SET until_position = excluded.until_position;

-- asked: somebody wants to send goods back.
INSERT INTO return_cases (return_id, order_id, store_id, position, asked_at, day, hour, reason)
SELECT wish.return_id, wish.stream_id, wish.store_id, wish.position, wish.occurred_at,
    (wish.occurred_at AT TIME ZONE wish.time_zone)::date, hour_of(wish.occurred_at, wish.time_zone), wish.reason
FROM return_requested AS wish
ON CONFLICT (return_id) DO NOTHING;

-- asked_lines: what they want to send back, and why.
INSERT INTO asked_back (position, place, order_id, store_id, occurred_at, day, hour, sku_id, reason, quantity)
SELECT line.position, line.ordinal, line.stream_id, line.store_id, line.occurred_at,
    (line.occurred_at AT TIME ZONE line.time_zone)::date,
    hour_of(line.occurred_at, line.time_zone), line.sku_id, wish.reason, line.quantity
FROM return_requested_lines AS line JOIN return_requested AS wish ON wish.position = line.position;

-- closed: it was decided what becomes of them, or that they stay where they are; the first decision counts.
UPDATE return_cases AS wish
SET closed_position = done.position, closed_at = done.occurred_at, closed_by = done.event
FROM (
    SELECT DISTINCT ON (said.return_id) said.return_id, said.position, said.occurred_at, said.event
    FROM (
        SELECT return_id, position, occurred_at, 'ReturnDisposed' AS event FROM return_disposed
        UNION ALL SELECT return_id, position, occurred_at, 'ReturnDeclined' FROM return_declined
        UNION ALL SELECT return_id, position, occurred_at, 'ReturnCancelled' FROM return_cancelled WHERE whole
    ) AS said
    ORDER BY said.return_id, said.position
) AS done
WHERE wish.return_id = done.return_id AND wish.closed_position IS NULL;

-- registered: somebody became a customer.
INSERT INTO users (customer_id, position, store_id, occurred_at, time_zone, day, hour, channel, campaign_id)
SELECT person.stream_id, person.position, person.store_id, person.occurred_at, person.time_zone,
    (person.occurred_at AT TIME ZONE person.time_zone)::date,
    hour_of(person.occurred_at, person.time_zone), person.channel, person.campaign_id
FROM customer_registered AS person;

-- merged: the record was another customer's; the first merger counts.
UPDATE users AS person SET merged_position = gone.position, merged_at = gone.occurred_at
FROM (
    SELECT DISTINCT ON (stream_id) stream_id, position, occurred_at
    FROM customer_merged_into ORDER BY stream_id, position
) AS gone
WHERE person.customer_id = gone.stream_id AND person.merged_position IS NULL;

-- mergers: which record was given up for which.
INSERT INTO mergers (customer_id, into_id, position)
SELECT DISTINCT ON (gone.stream_id) gone.stream_id, gone.into_id, gone.position
FROM customer_merged_into AS gone
ORDER BY gone.stream_id, gone.position
ON CONFLICT (customer_id) DO NOTHING;

-- persons: whose the records are that a merger touches, followed from record to record as far as each was known.
WITH RECURSIVE touched AS (
    SELECT gone.stream_id AS customer_id FROM customer_merged_into AS gone
    UNION SELECT gone.into_id FROM customer_merged_into AS gone
    UNION SELECT same.customer_id
    FROM persons AS same JOIN customer_merged_into AS gone ON gone.stream_id = same.person_id
), chain AS (
    SELECT touched.customer_id, touched.customer_id AS person_id, 0::bigint AS since_position,
        ARRAY[touched.customer_id] AS path
    FROM touched
    UNION ALL
    SELECT chain.customer_id, link.into_id, greatest(chain.since_position, link.position), chain.path || link.into_id
    FROM chain JOIN mergers AS link ON link.customer_id = chain.person_id
    WHERE link.into_id <> ALL (chain.path)
)
INSERT INTO persons (customer_id, person_id, since_position, until_position)
SELECT chain.customer_id, chain.person_id, chain.since_position, coalesce(later.position, 9223372036854775807)
FROM chain LEFT JOIN mergers AS later ON later.customer_id = chain.person_id
WHERE later.position IS NULL OR later.position > chain.since_position
ON CONFLICT (customer_id, since_position) DO UPDATE SET until_position = excluded.until_position;

-- granted: a coupon was put into somebody's hands; the same coupon once.
INSERT INTO coupons (coupon_id, customer_id, campaign_id, position, store_id, occurred_at, day, hour)
SELECT DISTINCT ON (given.coupon_id) given.coupon_id, given.stream_id, given.campaign_id, given.position, given.store_id,
    given.occurred_at, (given.occurred_at AT TIME ZONE given.time_zone)::date,
    hour_of(given.occurred_at, given.time_zone)
FROM coupon_granted AS given
ORDER BY given.coupon_id, given.position
ON CONFLICT (coupon_id) DO NOTHING;

-- used: it was used on an order.
INSERT INTO coupon_uses (position, coupon_id, order_id, customer_id, store_id, occurred_at, day, hour)
SELECT spent.position, spent.coupon_id, spent.order_id, spent.stream_id, spent.store_id, spent.occurred_at,
    (spent.occurred_at AT TIME ZONE spent.time_zone)::date, hour_of(spent.occurred_at, spent.time_zone)
FROM coupon_used AS spent;

-- given_back: it came back from that order, and was not used on it after all.
UPDATE coupon_uses AS spent SET until_position = gone.position
FROM (
    SELECT one.position AS used_at, min(back.position) AS position
    FROM coupon_returned AS back JOIN coupon_uses AS one
        ON one.coupon_id = back.coupon_id AND one.order_id = back.order_id AND one.position < back.position
    GROUP BY 1
) AS gone
WHERE spent.position = gone.used_at AND spent.until_position = 9223372036854775807;

-- budgeted: what a campaign may cost, as it was said last.
WITH found AS (
    SELECT said.stream_id AS campaign_id, said.position, said.store_id, said.occurred_at,
        (said.occurred_at AT TIME ZONE said.time_zone)::date AS day, said.currency, said.budget_minor AS amount_minor
    FROM campaign_budget_set AS said
    UNION ALL
    SELECT kept.campaign_id, kept.position, kept.store_id, kept.occurred_at, kept.day, kept.currency, kept.amount_minor
    FROM budgets AS kept
    WHERE kept.until_position = 9223372036854775807
        AND kept.campaign_id IN (SELECT said.stream_id FROM campaign_budget_set AS said)
)
INSERT INTO budgets (campaign_id, position, until_position, store_id, occurred_at, day, currency, amount_minor)
SELECT found.campaign_id, found.position,
    lead(found.position, 1, 9223372036854775807) OVER (PARTITION BY found.campaign_id ORDER BY found.position),
    found.store_id, found.occurred_at, found.day, found.currency, found.amount_minor
FROM found
ON CONFLICT (campaign_id, position) DO UPDATE SET until_position = excluded.until_position;

-- planned: what a store is to sell in a month, as it was said last.
WITH found AS (
    SELECT stream_id AS store_id, month, position, occurred_at, currency, measure, amount_minor FROM sales_target_set
    UNION ALL
    SELECT kept.store_id, kept.month, kept.position, kept.occurred_at, kept.currency, kept.measure, kept.amount_minor
    FROM sales_targets AS kept
    WHERE kept.until_position = 9223372036854775807
        AND kept.store_id IN (SELECT said.stream_id FROM sales_target_set AS said)
)
INSERT INTO sales_targets (store_id, month, position, until_position, occurred_at, currency, measure, amount_minor)
SELECT found.store_id, found.month, found.position,
    lead(found.position, 1, 9223372036854775807) OVER (
        PARTITION BY found.store_id, found.month ORDER BY found.position
    ),
    found.occurred_at, found.currency, found.measure, found.amount_minor
FROM found
ON CONFLICT (store_id, month, position) DO UPDATE SET until_position = excluded.until_position;

-- ad_windows: each adjustment ends the time in which the plan was to be adjusted; a pause and the end do so only when it was over.
INSERT INTO ad_windows (position, event, campaign_id, store_id, occurred_at, day, hour, kept)
SELECT said.position, said.event, said.campaign_id, said.store_id, said.occurred_at,
    (said.occurred_at AT TIME ZONE said.time_zone)::date,
    hour_of(said.occurred_at, said.time_zone), said.occurred_at < said.due_by
FROM (
    SELECT position, 'AdAdjusted' AS event, stream_id AS campaign_id, store_id, occurred_at, time_zone, due_by
    FROM ad_adjusted WHERE due_by IS NOT NULL
    UNION ALL
    SELECT position, 'AdPlanPaused', stream_id, store_id, occurred_at, time_zone, due_by
    FROM ad_plan_paused WHERE occurred_at >= due_by
    UNION ALL
    SELECT position, 'AdPlanEnded', stream_id, store_id, occurred_at, time_zone, due_by
    FROM ad_plan_ended WHERE occurred_at >= due_by
) AS said;

-- scheduled: when a campaign starts, as it was scheduled last.
WITH found AS (
    SELECT said.stream_id AS campaign_id, said.position, (said.starts_at AT TIME ZONE said.time_zone)::date AS day,
        hour_of(said.starts_at, said.time_zone) AS hour
    FROM campaign_scheduled AS said
    UNION ALL
    SELECT kept.campaign_id, kept.position, kept.day, kept.hour FROM schedules AS kept
    WHERE kept.until_position = 9223372036854775807
        AND kept.campaign_id IN (SELECT said.stream_id FROM campaign_scheduled AS said)
)
INSERT INTO schedules (campaign_id, position, until_position, day, hour)
SELECT found.campaign_id, found.position,
    lead(found.position, 1, 9223372036854775807) OVER (PARTITION BY found.campaign_id ORDER BY found.position),
    found.day, found.hour
FROM found
ON CONFLICT (campaign_id, position) DO UPDATE SET until_position = excluded.until_position;

-- expected: what a campaign is expected to bring, as it was said last.
WITH found AS (
    SELECT said.stream_id AS campaign_id, said.position, said.store_id, said.occurred_at, said.currency, said.visitors,
        said.conversion, said.units, said.gmv_minor
    FROM forecast_set AS said
    UNION ALL
    SELECT kept.campaign_id, kept.position, kept.store_id, kept.occurred_at, kept.currency, kept.visitors,
        kept.conversion, kept.units, kept.gmv_minor
    FROM forecasts AS kept
    WHERE kept.until_position = 9223372036854775807
        AND kept.campaign_id IN (SELECT said.stream_id FROM forecast_set AS said)
)
INSERT INTO forecasts (
    campaign_id, position, until_position, store_id, occurred_at, currency, visitors, conversion, units, gmv_minor
)
SELECT found.campaign_id, found.position,
    lead(found.position, 1, 9223372036854775807) OVER (PARTITION BY found.campaign_id ORDER BY found.position),
    found.store_id, found.occurred_at, found.currency, found.visitors, found.conversion, found.units, found.gmv_minor
FROM found
ON CONFLICT (campaign_id, position) DO UPDATE SET until_position = excluded.until_position;

-- moved: stock and quotas, freight, deposits and points; units that an unshipped order gives back to a quota are unsold again.
INSERT INTO moves (
    position, measure, event, store_id, occurred_at, day, hour, currency, sku_id, campaign_id, order_id, location_id,
    amount
)
SELECT said.position, said.measure, said.event, said.store_id, said.occurred_at,
    (said.occurred_at AT TIME ZONE said.time_zone)::date, hour_of(said.occurred_at, said.time_zone),
    said.currency, said.sku_id, said.campaign_id, said.order_id, counted.location_id, said.amount
FROM (
    SELECT position, 'quota_sold' AS measure, 'StockReserved' AS event, store_id, occurred_at, time_zone,
        NULL::text AS currency, stream_id AS sku_id, campaign_id, order_id, quantity AS amount
    FROM stock_reserved WHERE campaign_id IS NOT NULL
    UNION ALL
    SELECT position, 'quota_sold', 'ReservationReleased', store_id, occurred_at, time_zone, NULL, stream_id,
        campaign_id, order_id, -quantity
    FROM reservation_released WHERE campaign_id IS NOT NULL
    UNION ALL
    SELECT position, 'quota_allocated', 'CampaignStockAllocated', store_id, occurred_at, time_zone, NULL,
        stream_id, campaign_id, NULL, quantity
    FROM campaign_stock_allocated
    UNION ALL
    SELECT position, 'counted_off', 'StockCounted', store_id, occurred_at, time_zone, NULL, stream_id, NULL, NULL,
        abs(counted - book)
    FROM stock_counted
    UNION ALL
    SELECT position, 'counted_book', 'StockCounted', store_id, occurred_at, time_zone, NULL, stream_id, NULL, NULL, book
    FROM stock_counted
    UNION ALL
    SELECT position, 'received', 'StockReceived', store_id, occurred_at, time_zone, NULL, stream_id, NULL, NULL, quantity
    FROM stock_received
    UNION ALL
    SELECT position, 'written_off', 'StockWrittenOff', store_id, occurred_at, time_zone, NULL, stream_id, NULL, NULL, quantity
    FROM stock_written_off
    UNION ALL
    SELECT position, 'shortage', 'ShortageReported', store_id, occurred_at, time_zone, NULL, NULL, NULL, stream_id, 1
    FROM shortage_reported
    UNION ALL
    SELECT spent.position, 'freight_paid', 'ExpenseRecorded', spent.store_id, spent.occurred_at, spent.time_zone,
        spent.currency, NULL, spent.campaign_id, NULL, spent.amount_minor
    FROM expense_recorded AS spent JOIN rules AS rule ON rule.freight_category = spent.category
    UNION ALL
    SELECT position, 'freight_charged', 'OrderPaid', store_id, occurred_at, time_zone, currency, NULL, NULL, stream_id,
        freight_minor
    FROM order_paid WHERE freight_minor <> 0
    UNION ALL
    SELECT position, 'freight_charged', 'OrderRefunded', store_id, occurred_at, time_zone, currency, NULL, NULL,
        stream_id, -freight_minor
    FROM order_refunded WHERE freight_minor <> 0
    UNION ALL
    SELECT position, 'points_earned', 'PointsEarned', store_id, occurred_at, time_zone, NULL, NULL, NULL, NULL, amount
    FROM points_earned
    UNION ALL
    SELECT position, 'points_spent', 'PointsSpent', store_id, occurred_at, time_zone, NULL, NULL, NULL, order_id, amount
    FROM points_spent
    UNION ALL
    SELECT position, 'points_spent', 'PointsReturned', store_id, occurred_at, time_zone, NULL, NULL, NULL, order_id,
        -amount
    FROM points_returned
    UNION ALL
    SELECT position, 'points_reversed', 'PointsReversed', store_id, occurred_at, time_zone, NULL, NULL, NULL, NULL,
        amount
    FROM points_reversed
    UNION ALL
    SELECT position, 'points_expired', 'PointsExpired', store_id, occurred_at, time_zone, NULL, NULL, NULL, NULL, amount
    FROM points_expired
    UNION ALL
    -- A merger hands points from store to store, if the records are at home in two.
    SELECT head.position, 'points_merged', 'CustomersMerged', head.store_id, head.occurred_at, head.time_zone, NULL,
        NULL, NULL, NULL, coalesce(lot.amount, 0) - head.owed
    FROM customers_merged AS head LEFT JOIN (
        SELECT part.position, sum(part.amount) AS amount FROM customers_merged_lots AS part GROUP BY 1
    ) AS lot ON lot.position = head.position
    UNION ALL
    SELECT head.position, 'points_merged', 'CustomerMergedInto', head.store_id, head.occurred_at, head.time_zone, NULL,
        NULL, NULL, NULL, head.owed - coalesce(lot.amount, 0)
    FROM customer_merged_into AS head LEFT JOIN (
        SELECT part.position, sum(part.amount) AS amount FROM customer_merged_into_lots AS part GROUP BY 1
    ) AS lot ON lot.position = head.position
    UNION ALL
    SELECT claim.position, 'budget_claimed', 'CampaignBudgetClaimed', claim.store_id, claim.occurred_at, claim.time_zone,
        claim.currency, NULL, claim.stream_id, claim.order_id, claim.amount_minor
    FROM campaign_budget_claimed AS claim
    UNION ALL
    SELECT back.position, 'budget_claimed', 'CampaignBudgetReleased', back.store_id, back.occurred_at, back.time_zone,
        back.currency, NULL, back.stream_id, back.order_id, -back.amount_minor
    FROM campaign_budget_released AS back
    UNION ALL
    SELECT position, 'deposit', 'DepositFrozen', store_id, occurred_at, time_zone, currency, NULL, NULL, NULL,
        amount_minor
    FROM deposit_frozen
    UNION ALL
    SELECT position, 'deposit', 'DepositReleased', store_id, occurred_at, time_zone, currency, NULL, NULL, NULL,
        -amount_minor
    FROM deposit_released
    UNION ALL
    SELECT position, 'deposit', 'DepositDeducted', store_id, occurred_at, time_zone, currency, NULL, NULL, NULL,
        -amount_minor
    FROM deposit_deducted
) AS said
LEFT JOIN stock_counted AS counted ON counted.position = said.position;

-- opened: the currency of a store; it never changes.
INSERT INTO currencies (store_id, position, currency)
SELECT DISTINCT ON (store.stream_id) store.stream_id, store.position, store.currency
FROM store_applied AS store
ORDER BY store.stream_id, store.position
ON CONFLICT (store_id) DO NOTHING;

-- valued: what a store takes a point for, from a moment on.
INSERT INTO point_values (position, store_id, occurred_at, effective_from, day, value_minor)
SELECT said.position, said.store_id, said.occurred_at, said.effective_from,
    (said.effective_from AT TIME ZONE said.time_zone)::date,
    coalesce((said.params ->> 'value_minor')::bigint, rule.point_value_minor)
FROM policy_set AS said CROSS JOIN rules AS rule
WHERE said.kind = 'points';

-- joined: which tier a customer is in; each word of it ends the tier before, and a record that was given up has none.
WITH found AS (
    SELECT said.customer_id, said.position, said.store_id, said.occurred_at,
        (said.occurred_at AT TIME ZONE said.time_zone)::date AS day,
        hour_of(said.occurred_at, said.time_zone) AS hour, said.event, said.source,
        said.tier
    FROM (
        SELECT stream_id AS customer_id, position, store_id, occurred_at, time_zone, 'MembershipJoined' AS event,
            source, tier
        FROM membership_joined
        UNION ALL
        SELECT stream_id, position, store_id, occurred_at, time_zone, 'TierChanged', NULL, to_tier FROM tier_changed
        UNION ALL
        -- The record that stays takes the other's tier over, if it had none.
        SELECT stream_id, position, store_id, occurred_at, time_zone, 'CustomersMerged', NULL, tier
        FROM customers_merged WHERE tier IS NOT NULL
        UNION ALL
        SELECT stream_id, position, store_id, occurred_at, time_zone, 'CustomerMergedInto', NULL, NULL
        FROM customer_merged_into
    ) AS said
    UNION ALL
    SELECT kept.customer_id, kept.position, kept.store_id, kept.occurred_at, kept.day, kept.hour, kept.event,
        kept.source, kept.tier
    FROM (
        SELECT stream_id FROM membership_joined UNION SELECT stream_id FROM tier_changed
        UNION SELECT stream_id FROM customers_merged WHERE tier IS NOT NULL
        UNION SELECT stream_id FROM customer_merged_into
    ) AS touched
    CROSS JOIN LATERAL (
        SELECT last.customer_id, last.position, last.store_id, last.occurred_at, last.day, last.hour, last.event,
            last.source, last.tier
        FROM tiers AS last
        WHERE last.customer_id = touched.stream_id AND last.until_position = 9223372036854775807 OFFSET 0
    ) AS kept
)
INSERT INTO tiers (
    customer_id, position, store_id, occurred_at, day, hour, event, source, tier, until_position, until_at, until_day,
    until_hour, until_event
)
SELECT found.customer_id, found.position, found.store_id, found.occurred_at, found.day, found.hour, found.event,
    found.source, found.tier, lead(found.position, 1, 9223372036854775807) OVER later,
    lead(found.occurred_at) OVER later, lead(found.day) OVER later, lead(found.hour) OVER later,
    lead(found.event) OVER later
FROM found
WINDOW later AS (PARTITION BY found.customer_id ORDER BY found.position)
ON CONFLICT (customer_id, position) DO UPDATE
SET until_position = excluded.until_position, until_at = excluded.until_at, until_day = excluded.until_day,
    until_hour = excluded.until_hour, until_event = excluded.until_event;

-- referred: a customer was brought by another; the first word of it counts.
INSERT INTO referrals (customer_id, position, store_id, occurred_at, day, hour, event)
SELECT DISTINCT ON (said.stream_id) said.stream_id, said.position, said.store_id, said.occurred_at,
    (said.occurred_at AT TIME ZONE said.time_zone)::date, hour_of(said.occurred_at, said.time_zone), said.event
FROM (
    SELECT stream_id, position, store_id, occurred_at, time_zone, 'CustomerRegistered' AS event
    FROM customer_registered WHERE referrer_id IS NOT NULL
    UNION ALL
    SELECT stream_id, position, store_id, occurred_at, time_zone, 'ReferralMade' FROM referral_made
) AS said
ORDER BY said.stream_id, said.position
ON CONFLICT (customer_id) DO NOTHING;

-- price_checked: what a buyer would have read was compared with the plan.
INSERT INTO price_checks (position, campaign_id, store_id, occurred_at, day, hour, passed, is_first)
SELECT look.position, look.campaign_id, look.store_id, look.occurred_at,
    (look.occurred_at AT TIME ZONE look.time_zone)::date, hour_of(look.occurred_at, look.time_zone), look.passed,
    early.campaign_id IS NULL AND look.position = min(look.position) OVER (PARTITION BY look.campaign_id)
FROM (
    SELECT stream_id AS campaign_id, position, store_id, occurred_at, time_zone, true AS passed FROM price_check_passed
    UNION ALL
    SELECT stream_id, position, store_id, occurred_at, time_zone, false FROM price_check_failed
) AS look
LEFT JOIN LATERAL (
    SELECT known.campaign_id FROM price_checks AS known WHERE known.campaign_id = look.campaign_id LIMIT 1
) AS early ON true;

-- took_part: an article takes part in a campaign from the first word of it until it is taken out; it may come again.
WITH said AS (
    SELECT line.stream_id AS campaign_id, line.sku_id, line.position, true AS part FROM campaign_line_added AS line
    UNION ALL
    SELECT gone.stream_id, gone.sku_id, gone.position, false FROM campaign_line_removed AS gone
    UNION ALL
    SELECT kept.campaign_id, kept.sku_id, kept.position, true FROM campaign_lines AS kept
    WHERE kept.until_position = 9223372036854775807
        AND kept.campaign_id IN (
            SELECT line.stream_id FROM campaign_line_added AS line
            UNION ALL SELECT gone.stream_id FROM campaign_line_removed AS gone
        )
), turned AS (
    SELECT found.campaign_id, found.sku_id, found.position, found.part
    FROM (
        SELECT said.campaign_id, said.sku_id, said.position, said.part,
            lag(said.part, 1, false) OVER (PARTITION BY said.campaign_id, said.sku_id ORDER BY said.position) AS before
        FROM said
    ) AS found
    WHERE found.part <> found.before
), stretches AS (
    SELECT turned.campaign_id, turned.sku_id, turned.position, turned.part,
        lead(turned.position, 1, 9223372036854775807)
            OVER (PARTITION BY turned.campaign_id, turned.sku_id ORDER BY turned.position) AS until_position
    FROM turned
)
INSERT INTO campaign_lines (campaign_id, sku_id, position, until_position)
SELECT stretch.campaign_id, stretch.sku_id, stretch.position, stretch.until_position
FROM stretches AS stretch WHERE stretch.part
ON CONFLICT (campaign_id, sku_id, position) DO UPDATE SET until_position = excluded.until_position;

-- turned: a campaign started or ended.
INSERT INTO campaign_turns (position, campaign_id, store_id, occurred_at, day, hour, ended)
SELECT said.position, said.campaign_id, said.store_id, said.occurred_at,
    (said.occurred_at AT TIME ZONE said.time_zone)::date, hour_of(said.occurred_at, said.time_zone), said.ended
FROM (
    SELECT stream_id AS campaign_id, position, store_id, occurred_at, time_zone, false AS ended FROM campaign_started
    UNION ALL
    SELECT stream_id, position, store_id, occurred_at, time_zone, true FROM campaign_ended
) AS said;

-- disputed: somebody complained.
INSERT INTO disputes (dispute_id, order_id, store_id, position, opened_at, day, hour)
SELECT said.dispute_id, said.stream_id, said.store_id, said.position, said.occurred_at,
    (said.occurred_at AT TIME ZONE said.time_zone)::date, hour_of(said.occurred_at, said.time_zone)
FROM dispute_opened AS said;

-- disputed_units: about which articles; about the order as a whole where none is named.
INSERT INTO disputed_units (position, place, order_id, store_id, occurred_at, day, hour, sku_id)
SELECT said.position, coalesce(line.ordinal, 0), said.stream_id, said.store_id, said.occurred_at,
    (said.occurred_at AT TIME ZONE said.time_zone)::date, hour_of(said.occurred_at, said.time_zone), line.sku_id
FROM dispute_opened AS said LEFT JOIN dispute_opened_lines AS line ON line.position = said.position;

-- dispute_steps: who complained was answered, had offers to think about, went to an arbiter, and was done with; of each the
-- first word counts.
UPDATE disputes AS known
SET accepted_position = coalesce(known.accepted_position, said.accepted_position),
    accepted_at = coalesce(known.accepted_at, said.accepted_at),
    waited = known.waited + said.waited,
    arbitrated_position = coalesce(known.arbitrated_position, said.arbitrated_position),
    arbitrated_at = coalesce(known.arbitrated_at, said.arbitrated_at),
    decided_for = coalesce(known.decided_for, said.decided_for),
    closed_position = coalesce(known.closed_position, said.closed_position),
    closed_at = coalesce(known.closed_at, said.closed_at),
    closed_by = coalesce(known.closed_by, said.closed_by)
FROM (
    SELECT step.dispute_id, min(step.position) FILTER (WHERE step.event = 'accepted') AS accepted_position,
        (array_agg(step.occurred_at ORDER BY step.position) FILTER (WHERE step.event = 'accepted'))[1] AS accepted_at,
        coalesce(sum(extract(epoch FROM step.occurred_at - step.offered_at)), 0) AS waited,
        min(step.position) FILTER (WHERE step.event = 'arbitrated') AS arbitrated_position,
        (array_agg(step.occurred_at ORDER BY step.position) FILTER (WHERE step.event = 'arbitrated'))[1]
            AS arbitrated_at,
        (array_agg(step.decided_for ORDER BY step.position) FILTER (WHERE step.event = 'arbitrated'))[1] AS decided_for,
        min(step.position) FILTER (WHERE step.ended) AS closed_position,
        (array_agg(step.occurred_at ORDER BY step.position) FILTER (WHERE step.ended))[1] AS closed_at,
        (array_agg(step.event ORDER BY step.position) FILTER (WHERE step.ended))[1] AS closed_by
    FROM (
        SELECT dispute_id, position, occurred_at, 'accepted' AS event, NULL::timestamptz AS offered_at,
            NULL::text AS decided_for, false AS ended
        FROM dispute_accepted
        UNION ALL SELECT dispute_id, position, occurred_at, 'declined', offered_at, NULL, false
            FROM dispute_offer_declined
        UNION ALL SELECT dispute_id, position, occurred_at, 'agreed', offered_at, NULL, false FROM dispute_agreed
        UNION ALL SELECT dispute_id, position, occurred_at, 'arbitrated', NULL, decided_for, false
            FROM dispute_arbitrated
        UNION ALL SELECT dispute_id, position, occurred_at, 'DisputeClosed', NULL, NULL, true FROM dispute_closed
        UNION ALL SELECT dispute_id, position, occurred_at, 'DisputeWithdrawn', NULL, NULL, true FROM dispute_withdrawn
    ) AS step
    GROUP BY 1
) AS said
CROSS JOIN LATERAL (
    SELECT one.ctid AS row_id FROM disputes AS one WHERE one.dispute_id = said.dispute_id OFFSET 0
) AS found
WHERE known.ctid = found.row_id;

-- reviewed: a buyer said what they think of a line.
INSERT INTO reviews (order_id, line, store_id, position, posted_at, day, hour, sku_id, score, reply_by)
SELECT said.stream_id, said.line, said.store_id, said.position, said.occurred_at,
    (said.occurred_at AT TIME ZONE said.time_zone)::date,
    hour_of(said.occurred_at, said.time_zone), said.sku_id, said.score, said.reply_by
FROM review_posted AS said;

-- review_steps: somebody answered, the first word of it counts; it was found malicious.
UPDATE reviews AS known
SET replied_position = coalesce(known.replied_position, said.replied_position),
    replied_at = coalesce(known.replied_at, said.replied_at),
    hidden_position = coalesce(known.hidden_position, said.hidden_position),
    hidden_at = coalesce(known.hidden_at, said.hidden_at)
FROM (
    SELECT step.stream_id, step.line, min(step.position) FILTER (WHERE step.reply) AS replied_position,
        (array_agg(step.occurred_at ORDER BY step.position) FILTER (WHERE step.reply))[1] AS replied_at,
        min(step.position) FILTER (WHERE NOT step.reply) AS hidden_position,
        (array_agg(step.occurred_at ORDER BY step.position) FILTER (WHERE NOT step.reply))[1] AS hidden_at
    FROM (
        SELECT stream_id, line, position, occurred_at, true AS reply FROM review_replied
        UNION ALL SELECT stream_id, line, position, occurred_at, false FROM review_decided WHERE upheld
    ) AS step
    GROUP BY 1, 2
) AS said
CROSS JOIN LATERAL (
    SELECT one.ctid AS row_id FROM reviews AS one
    WHERE one.order_id = said.stream_id AND one.line = said.line OFFSET 0
) AS found
WHERE known.ctid = found.row_id;

-- compensated: money was given on top of an order.
INSERT INTO compensations (position, order_id, store_id, occurred_at, day, hour, currency, borne_by, amount_minor)
SELECT given.position, given.stream_id, given.store_id, given.occurred_at,
    (given.occurred_at AT TIME ZONE given.time_zone)::date, hour_of(given.occurred_at, given.time_zone),
    given.currency, given.borne_by, given.amount_minor
FROM compensation_paid AS given;

-- lost: a parcel is lost, or was found.
INSERT INTO losses (position, order_id, parcel_id, event, occurred_at, amount)
SELECT position, stream_id, parcel_id, 'ParcelLost', occurred_at, 1 FROM parcel_lost
UNION ALL
SELECT position, stream_id, parcel_id, 'ParcelTraced', occurred_at, -1 FROM parcel_traced WHERE found;

-- claimed: money was claimed for it; once for each parcel.
INSERT INTO courier_claims (order_id, parcel_id, position, store_id, filed_at, day, hour, currency, amount_minor)
SELECT said.stream_id, said.parcel_id, said.position, said.store_id, said.occurred_at,
    (said.occurred_at AT TIME ZONE said.time_zone)::date, hour_of(said.occurred_at, said.time_zone),
    said.currency, said.amount_minor
FROM courier_claim_filed AS said;

-- recovered: what the courier paid for it.
UPDATE courier_claims AS known
SET settled_position = said.position, settled_at = said.occurred_at, recovered_minor = said.amount_minor
FROM courier_claim_settled AS said
CROSS JOIN LATERAL (
    SELECT one.ctid AS row_id FROM courier_claims AS one
    WHERE one.order_id = said.stream_id AND one.parcel_id = said.parcel_id OFFSET 0
) AS found
WHERE known.ctid = found.row_id;

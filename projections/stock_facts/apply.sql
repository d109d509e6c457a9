-- articles: where an article is at home.
INSERT INTO articles (sku_id, store_id, currency, scale)
SELECT sku.stream_id, sku.store_id, sku.currency, 10::numeric ^ currency_digits(sku.currency)
FROM sku_registered AS sku;

-- changes: each stock event with what it changed. A transfer between locations leaves when it is sent and is there when it arrives.
INSERT INTO unit_changes (
    position, sku_id, store_id, event, occurred_at, day, hour, order_id, location_id, batch, unit_cost,
    on_hand, reserved, allocated, quarantined, damaged
)
SELECT moved.position, moved.sku_id, sku.store_id, moved.event, moved.occurred_at,
    (moved.occurred_at AT TIME ZONE moved.time_zone)::date,
    extract(hour FROM moved.occurred_at AT TIME ZONE moved.time_zone)::bigint, moved.order_id,
    moved.location_id, moved.batch, moved.unit_cost, moved.on_hand, moved.reserved, moved.allocated, moved.quarantined,
    moved.damaged
FROM (
    SELECT position, stream_id AS sku_id, 'StockReceived' AS event, occurred_at, time_zone, NULL::uuid AS order_id,
        location_id, batch, unit_cost, quantity AS on_hand, 0::numeric AS reserved, 0::numeric AS allocated,
        CASE WHEN condition = 'quarantined' THEN quantity ELSE 0 END AS quarantined,
        CASE WHEN condition NOT IN ('good', 'quarantined') THEN quantity ELSE 0 END AS damaged
    FROM stock_received
    UNION ALL
    -- Out of a campaign's quota, units that were allocated become reserved.
    SELECT position, stream_id, 'StockReserved', occurred_at, time_zone, order_id, location_id, NULL, NULL, 0, quantity,
        CASE WHEN campaign_id IS NULL THEN 0 ELSE -quantity END, 0, 0
    FROM stock_reserved
    UNION ALL
    SELECT position, stream_id, 'ReservationReleased', occurred_at, time_zone, order_id, location_id, NULL, NULL, 0,
        -quantity, CASE WHEN to_quota AND campaign_id IS NOT NULL THEN quantity ELSE 0 END, 0, 0
    FROM reservation_released
    UNION ALL
    SELECT position, stream_id, 'StockShipped', occurred_at, time_zone, order_id, location_id, batch, NULL, -quantity,
        -quantity, 0, 0, 0
    FROM stock_shipped
    UNION ALL
    SELECT position, stream_id, 'StockReturned', occurred_at, time_zone, order_id, location_id, batch, NULL,
        quantity, 0, 0, CASE WHEN condition = 'quarantined' THEN quantity ELSE 0 END,
        CASE WHEN condition NOT IN ('good', 'quarantined') THEN quantity ELSE 0 END
    FROM stock_returned
    UNION ALL
    SELECT position, stream_id, 'StockWrittenOff', occurred_at, time_zone, NULL, location_id, batch, NULL,
        -quantity, 0, 0, CASE WHEN condition = 'quarantined' THEN -quantity ELSE 0 END,
        CASE WHEN condition NOT IN ('good', 'quarantined') THEN -quantity ELSE 0 END
    FROM stock_written_off
    UNION ALL
    SELECT position, stream_id, 'StockReclassified', occurred_at, time_zone, NULL, location_id, batch, NULL, 0, 0, 0,
        CASE 'quarantined' WHEN to_state THEN quantity WHEN from_state THEN -quantity ELSE 0 END,
        CASE 'damaged' WHEN to_state THEN quantity WHEN from_state THEN -quantity ELSE 0 END
    FROM stock_reclassified
    UNION ALL
    SELECT position, stream_id, 'SampleIssued', occurred_at, time_zone, NULL, location_id, batch, NULL,
        -quantity, 0, 0, 0, 0
    FROM sample_issued
    UNION ALL
    SELECT position, stream_id, 'StockAdjusted', occurred_at, time_zone, NULL, location_id, batch, NULL,
        difference, 0, 0, 0, 0
    FROM stock_adjusted
    UNION ALL
    SELECT position, stream_id, 'StockTransferredOut', occurred_at, time_zone, NULL, location_id, batch, NULL,
        -quantity, 0, 0, 0, 0
    FROM stock_transferred_out
    UNION ALL
    SELECT position, stream_id, 'StockTransferredIn', occurred_at, time_zone, NULL, location_id, batch, NULL,
        quantity, 0, 0, 0, 0
    FROM stock_transferred_in
    UNION ALL
    SELECT position, stream_id, 'CampaignStockAllocated', occurred_at, time_zone, NULL, location_id, NULL, NULL,
        0, 0, quantity, 0, 0
    FROM campaign_stock_allocated
    UNION ALL
    SELECT position, stream_id, 'CampaignStockReleased', occurred_at, time_zone, NULL, location_id, NULL, NULL,
        0, 0, -quantity, 0, 0
    FROM campaign_stock_released
) AS moved JOIN articles AS sku ON sku.sku_id = moved.sku_id;

-- by_day: what these changes add up to by the day; the same in whatever order they come, and however late for their day.
WITH line AS (
    SELECT one.position, one.sku_id, one.store_id, one.event, one.day, one.on_hand, one.reserved, one.allocated,
        one.quarantined, one.damaged
    FROM unit_changes AS one WHERE one.position > :window_from AND one.position <= :window_to
), of_articles AS (
    INSERT INTO article_days AS kept (sku_id, day, store_id, on_hand, came, position)
    SELECT line.sku_id, line.day, line.store_id, sum(line.on_hand), sum(greatest(line.on_hand, 0)), max(line.position)
    FROM line WHERE line.on_hand <> 0
    GROUP BY 1, 2, 3
    ON CONFLICT (sku_id, day) DO UPDATE SET
        on_hand = kept.on_hand + excluded.on_hand, came = kept.came + excluded.came, position = excluded.position
)
INSERT INTO store_days AS kept (
    store_id, day, on_hand, reserved, allocated, quarantined, damaged, received, shipped, returned_good
)
SELECT line.store_id, line.day, sum(line.on_hand) FILTER (WHERE line.on_hand <> 0),
    sum(line.reserved) FILTER (WHERE line.reserved <> 0), sum(line.allocated) FILTER (WHERE line.allocated <> 0),
    sum(line.quarantined) FILTER (WHERE line.quarantined <> 0), sum(line.damaged) FILTER (WHERE line.damaged <> 0),
    sum(line.on_hand) FILTER (WHERE line.event = 'StockReceived' AND line.on_hand <> 0),
    sum(-line.on_hand) FILTER (WHERE line.event = 'StockShipped' AND line.on_hand <> 0),
    sum(line.on_hand) FILTER (
        WHERE line.event = 'StockReturned' AND line.damaged = 0 AND line.quarantined = 0 AND line.on_hand <> 0
    )
FROM line
GROUP BY 1, 2
ON CONFLICT (store_id, day) DO UPDATE SET
    on_hand = coalesce(kept.on_hand + excluded.on_hand, kept.on_hand, excluded.on_hand),
    reserved = coalesce(kept.reserved + excluded.reserved, kept.reserved, excluded.reserved),
    allocated = coalesce(kept.allocated + excluded.allocated, kept.allocated, excluded.allocated),
    quarantined = coalesce(kept.quarantined + excluded.quarantined, kept.quarantined, excluded.quarantined),
    damaged = coalesce(kept.damaged + excluded.damaged, kept.damaged, excluded.damaged),
    received = coalesce(kept.received + excluded.received, kept.received, excluded.received),
    shipped = coalesce(kept.shipped + excluded.shipped, kept.shipped, excluded.shipped),
    returned_good = coalesce(kept.returned_good + excluded.returned_good, kept.returned_good, excluded.returned_good);

-- listed: on sale, sold out, or off sale, in the order of the log; an article that is retired is off sale everywhere.
WITH said AS (
    SELECT stream_id AS sku_id, store_id, position, 'on_sale' AS state, 'SkuListed' AS event, occurred_at AS since_at,
        time_zone
    FROM sku_listed
    UNION ALL
    SELECT stream_id, store_id, position, CASE WHEN reason = 'out_of_stock' THEN 'sold_out' ELSE 'off_sale' END,
        'SkuDelisted', occurred_at, time_zone
    FROM sku_delisted
), over AS (
    SELECT gone.stream_id AS sku_id, gone.position, gone.occurred_at, gone.time_zone FROM sku_retired AS gone
), found AS (
    SELECT said.sku_id, said.store_id, said.position, said.state, said.event, said.since_at, said.time_zone,
        false AS is_kept
    FROM said
    UNION ALL
    SELECT over.sku_id, place.store_id, over.position, 'off_sale', 'SkuRetired', over.occurred_at, over.time_zone, false
    FROM over JOIN (
        SELECT said.sku_id, said.store_id, said.position FROM said
        UNION ALL SELECT kept.sku_id, kept.store_id, kept.position FROM listings AS kept
    ) AS place ON place.sku_id = over.sku_id AND place.position < over.position
    GROUP BY 1, 2, 3, 6, 7
    UNION ALL
    SELECT kept.sku_id, kept.store_id, kept.position, kept.state, kept.event, kept.since_at, kept.time_zone, true
    FROM listings AS kept
    WHERE kept.until_position = 9223372036854775807
        AND kept.sku_id IN (SELECT said.sku_id FROM said UNION SELECT over.sku_id FROM over)
), held AS (
    SELECT found.sku_id, found.store_id, found.position, found.state, found.event, found.since_at, found.time_zone,
        found.is_kept,
        lead(found.position, 1, 9223372036854775807) OVER later AS until_position,
        lead(found.since_at) OVER later AS until_at, lead(found.event) OVER later AS until_event
    FROM found
    WINDOW later AS (PARTITION BY found.sku_id, found.store_id ORDER BY found.position)
)
INSERT INTO listings (
    sku_id, store_id, position, state, event, since_at, time_zone, until_position, until_at, until_event
)
SELECT held.sku_id, held.store_id, held.position, held.state, held.event, held.since_at, held.time_zone,
    held.until_position, held.until_at, held.until_event
FROM held WHERE NOT held.is_kept OR held.until_at IS NOT NULL
ON CONFLICT (sku_id, store_id, position) DO UPDATE SET
    until_position = excluded.until_position, until_at = excluded.until_at, until_event = excluded.until_event;

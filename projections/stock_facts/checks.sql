-- units_are_the_log: what was received and shipped of each article is what the log says, counted anew.
SELECT sku_id, kept.received, log.received AS received_in_log, kept.shipped, log.shipped AS shipped_in_log
FROM (
    SELECT sku_id, coalesce(sum(on_hand) FILTER (WHERE event = 'StockReceived'), 0) AS received,
        coalesce(-sum(on_hand) FILTER (WHERE event = 'StockShipped'), 0) AS shipped
    FROM unit_changes WHERE event IN ('StockReceived', 'StockShipped') GROUP BY 1
) AS kept
FULL JOIN (
    SELECT each.sku_id, sum(each.received) AS received, sum(each.shipped) AS shipped
    FROM (
        SELECT stream_id AS sku_id, quantity AS received, 0 AS shipped FROM stock_received
        UNION ALL SELECT stream_id, 0, quantity FROM stock_shipped
    ) AS each GROUP BY 1
) AS log USING (sku_id)
WHERE (kept.received, kept.shipped) IS DISTINCT FROM (log.received, log.shipped);

-- one_state_at_a_time: an article is on sale, sold out or off sale in a store, one after the other.
SELECT early.sku_id, early.store_id, early.position, early.until_position, early.later
FROM (
    SELECT shelf.sku_id, shelf.store_id, shelf.position, shelf.until_position,
        lead(shelf.position, 1, 9223372036854775807) OVER (
            PARTITION BY shelf.sku_id, shelf.store_id ORDER BY shelf.position
        ) AS later
    FROM listings AS shelf
) AS early
WHERE early.until_position <> early.later;

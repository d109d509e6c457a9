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

-- days_of_stores_are_sums: what is kept by the day of each store is what the changes of the day add up to.
SELECT store_id, day, kept.on_hand, line.on_hand AS changed, kept.reserved, line.reserved AS changed_reserved,
    kept.allocated, line.allocated AS changed_allocated, kept.quarantined, line.quarantined AS changed_quarantined,
    kept.damaged, line.damaged AS changed_damaged
FROM store_days AS kept
FULL JOIN (
    SELECT store_id, day, sum(on_hand) AS on_hand, sum(reserved) AS reserved, sum(allocated) AS allocated,
        sum(quarantined) AS quarantined, sum(damaged) AS damaged
    FROM unit_changes GROUP BY 1, 2
) AS line USING (store_id, day)
WHERE (
    coalesce(kept.on_hand, 0), coalesce(kept.reserved, 0), coalesce(kept.allocated, 0), coalesce(kept.quarantined, 0),
    coalesce(kept.damaged, 0)
) IS DISTINCT FROM (line.on_hand, line.reserved, line.allocated, line.quarantined, line.damaged);

-- days_of_articles_are_sums: what is kept by the day of each article is what its changes of the day add up to.
SELECT sku_id, day, kept.on_hand, line.on_hand AS changed, kept.came, line.came AS changed_came, kept.position,
    line.position AS changed_last
FROM article_days AS kept
FULL JOIN (
    SELECT sku_id, day, sum(on_hand) AS on_hand, sum(greatest(on_hand, 0)) AS came, max(position) AS position
    FROM unit_changes WHERE on_hand <> 0 GROUP BY 1, 2
) AS line USING (sku_id, day)
WHERE (kept.on_hand, kept.came, kept.position) IS DISTINCT FROM (line.on_hand, line.came, line.position);

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

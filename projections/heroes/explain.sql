-- hero_lists: the list as it was named.
SELECT said.position, 'HeroSkusSet' AS event, said.occurred_at, said.month, said.sku_ids
FROM hero_skus_set AS said
WHERE said.position = :position::bigint AND (:store_ids::uuid[] IS NULL OR said.store_id = ANY (:store_ids::uuid[]));

-- hero_sold: the list that made a hero of the article, and what happened to the line until it was paid for: `amount_minor` is what
-- it costs from an event on, `cancelled_minor` what was called off of it.
SELECT found.position, found.event, found.occurred_at, found.amount_minor, found.cancelled_minor
FROM (
    SELECT list.position, 'HeroSkusSet' AS event, list.occurred_at, 0::bigint AS amount_minor,
        0::bigint AS cancelled_minor, list.store_id
    FROM hero_skus_set AS list
    WHERE list.position = (
        SELECT sale.list_position FROM hero_sold AS sale
        WHERE sale.position = :position::bigint AND sale.line = :line::bigint
    )
    UNION ALL
    SELECT said.position, said.event, said.occurred_at, said.amount_minor, said.cancelled_minor, said.store_id
    FROM (
        SELECT position, 'OrderPlaced' AS event, occurred_at, amount_minor, 0::bigint AS cancelled_minor, store_id,
            stream_id, line
        FROM order_placed_lines
        UNION ALL SELECT position, 'OrderPriceAmended', occurred_at, amount_minor, 0, store_id, stream_id, line
        FROM order_price_amended
        UNION ALL SELECT position, 'OrderCancelled', occurred_at, 0, amount_minor, store_id, stream_id, line
        FROM order_cancelled_lines
        UNION ALL SELECT position, 'OrderExpired', occurred_at, 0, amount_minor, store_id, stream_id, line
        FROM order_expired_lines
        UNION ALL SELECT position, 'OrderPaid', occurred_at, 0, 0, store_id, stream_id, :line::bigint FROM order_paid
    ) AS said
    JOIN hero_sold AS sale ON sale.order_id = said.stream_id AND sale.line = said.line
        AND sale.position >= said.position
    WHERE sale.position = :position::bigint AND sale.line = :line::bigint
) AS found
WHERE :store_ids::uuid[] IS NULL OR found.store_id = ANY (:store_ids::uuid[]);

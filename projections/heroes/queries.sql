-- hero_lists: the hero articles that these stores named, the latest word first.
SELECT list.position, list.store_id, list.month, list.holds_from, list.occurred_at, list.sku_ids
FROM hero_lists AS list
WHERE (:store_ids::uuid[] IS NULL OR list.store_id = ANY (:store_ids::uuid[]))
ORDER BY list.position DESC
LIMIT coalesce(:row_limit::bigint, 1000);

-- fact_rows: what was sold of hero articles, line by line, as known at position :as_of (always to be given).
SELECT sale.position, sale.line AS place, 'OrderPaid' AS event, sale.occurred_at, 'hero_sold' AS measure, sale.store_id,
    sale.day, NULL::bigint AS hour, sale.currency, sale.order_id, NULL::uuid AS who, sale.channel,
    sale.amount_minor::numeric AS amount,
    CASE :by::text
        WHEN 'store' THEN sale.store_id::text WHEN 'channel' THEN sale.channel WHEN 'sku' THEN sale.sku_id::text
    END AS slice
FROM hero_sold AS sale
WHERE (:store_ids::uuid[] IS NULL OR sale.store_id = ANY (:store_ids::uuid[]))
    AND (:measures::text[] IS NULL OR 'hero_sold' = ANY (:measures::text[]))
    AND (:from_day::date IS NULL OR sale.day >= :from_day::date) AND (:to_day::date IS NULL OR sale.day <= :to_day::date)
    AND (:channel::text IS NULL OR sale.channel = :channel::text)
    AND (:sku_id::uuid IS NULL OR sale.sku_id = :sku_id::uuid)
    AND sale.position <= :as_of::bigint;

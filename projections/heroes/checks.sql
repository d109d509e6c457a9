-- lists_are_the_log: every list of the log is there, with its articles.
SELECT coalesce(kept.position, said.position) AS position, kept.sku_ids, said.sku_ids AS in_log
FROM hero_lists AS kept FULL JOIN hero_skus_set AS said ON said.position = kept.position
WHERE (kept.store_id, kept.month, kept.sku_ids) IS DISTINCT FROM (said.store_id, said.month, said.sku_ids);

-- three_to_five: a store has so many hero articles at a time, each once.
SELECT list.position, cardinality(list.sku_ids) AS articles
FROM hero_lists AS list
WHERE cardinality(list.sku_ids) NOT BETWEEN 3 AND 5
    OR cardinality(list.sku_ids) <> (SELECT count(DISTINCT one.sku_id) FROM unnest(list.sku_ids) AS one (sku_id));

-- sold_on_the_day_of_payment: what was sold of heroes was paid for then, in that store and currency, and placed after its list.
SELECT sale.position, sale.line, sale.order_id, sale.list_position
FROM hero_sold AS sale
LEFT JOIN order_paid AS bill ON bill.position = sale.position AND bill.stream_id = sale.order_id
    AND bill.store_id = sale.store_id AND bill.currency = sale.currency
LEFT JOIN order_placed AS placed ON placed.stream_id = sale.order_id AND placed.position > sale.list_position
WHERE bill.position IS NULL OR placed.position IS NULL;

-- no_more_than_the_goods: heroes are part of the goods that were paid for.
SELECT bill.position, bill.goods_minor, sum(sale.amount_minor) AS heroes_minor
FROM order_paid AS bill JOIN hero_sold AS sale ON sale.position = bill.position
GROUP BY 1, 2 HAVING sum(sale.amount_minor) > bill.goods_minor;

-- heroes_are_the_lists: a line of a hero is of an article of the list that made one of it.
SELECT hero.order_id, hero.line, hero.sku_id, hero.list_position
FROM hero_lines AS hero LEFT JOIN hero_lists AS list ON list.position = hero.list_position
WHERE hero.sku_id = ANY (list.sku_ids) IS NOT TRUE;

-- prices: what each of these articles costs in a store and what others ask for it, as it was said last; where the store never
-- priced it, what its home store says holds.
SELECT DISTINCT ON (said.stream_id) said.stream_id AS sku_id, (said.data->>'list_price')::numeric AS list_price,
    (said.data->>'market_price')::numeric AS market_price
FROM events AS said JOIN events AS began ON began.stream_id = said.stream_id AND began.version = 1
WHERE said.type = 'SkuPriced' AND said.stream_id = ANY (:sku_ids::uuid[])
    AND said.store_id IN (:store_id::uuid, began.store_id)
ORDER BY said.stream_id, said.store_id = :store_id::uuid DESC, said.position DESC;

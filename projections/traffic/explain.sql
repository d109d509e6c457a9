-- traffic_reports: the report that holds for a slice of a day; what it replaced adds nothing.
SELECT told.position, 'TrafficReported' AS event, told.occurred_at, told.revision,
    CASE WHEN told.position = held.position THEN told.page_views ELSE 0 END AS page_views,
    CASE WHEN told.position = held.position THEN told.visitors END AS visitors,
    CASE WHEN told.position = held.position THEN told.visits END AS visits
FROM traffic_reported AS told JOIN traffic_reports AS held
    ON held.store_id = told.store_id AND held.day = told.day AND held.channel = told.channel
    AND held.device = told.device AND held.campaign_id IS NOT DISTINCT FROM told.campaign_id
    AND held.sku_id IS NOT DISTINCT FROM told.sku_id AND held.hour IS NOT DISTINCT FROM told.hour
WHERE told.store_id = :store_id::uuid AND told.day = :day::date AND told.channel = :channel::text
    AND told.device = :device::text AND told.campaign_id IS NOT DISTINCT FROM :campaign_id::uuid
    AND told.sku_id IS NOT DISTINCT FROM :sku_id::uuid AND told.hour IS NOT DISTINCT FROM :hour::bigint
    AND (:store_ids::uuid[] IS NULL OR told.store_id = ANY (:store_ids::uuid[]));

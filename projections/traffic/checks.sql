-- highest_revision_holds: no report of a slice in the log is newer than the one that is kept.
SELECT told.store_id, told.day, told.position, told.revision, held.revision AS kept
FROM traffic_reported AS told LEFT JOIN traffic_reports AS held
    ON held.store_id = told.store_id AND held.day = told.day AND held.channel = told.channel
    AND held.source = coalesce(told.traffic_source, 'all') AND held.device = told.device AND held.campaign_id IS NOT DISTINCT FROM told.campaign_id
    AND held.sku_id IS NOT DISTINCT FROM told.sku_id AND held.hour IS NOT DISTINCT FROM told.hour
    AND held.until_position = 9223372036854775807
WHERE held.position IS NULL OR (told.revision, told.position) > (held.revision, held.position);

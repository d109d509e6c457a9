-- reported: a higher revision replaces a lower one whenever it arrives; of two equal ones the later holds.
INSERT INTO traffic_reports AS held (
    store_id, day, channel, device, campaign_id, sku_id, hour, revision, position, occurred_at, page_views, visitors,
    visits, single_page_visits, ip, dwell_seconds, exits, shares, favourites, cart_adds
)
SELECT DISTINCT ON (told.store_id, told.day, told.channel, told.device, told.campaign_id, told.sku_id, told.hour)
    told.store_id, told.day, told.channel, told.device, told.campaign_id, told.sku_id, told.hour, told.revision,
    told.position, told.occurred_at, told.page_views, told.visitors, told.visits, told.single_page_visits, told.ip,
    told.dwell_seconds, told.exits, told.shares, told.favourites, told.cart_adds
FROM traffic_reported AS told
ORDER BY told.store_id, told.day, told.channel, told.device, told.campaign_id, told.sku_id, told.hour,
    told.revision DESC, told.position DESC
ON CONFLICT (store_id, day, channel, device, campaign_id, sku_id, hour) DO UPDATE SET
    revision = excluded.revision, position = excluded.position, occurred_at = excluded.occurred_at,
    page_views = excluded.page_views, visitors = excluded.visitors, visits = excluded.visits,
    single_page_visits = excluded.single_page_visits, ip = excluded.ip, dwell_seconds = excluded.dwell_seconds,
    exits = excluded.exits, shares = excluded.shares, favourites = excluded.favourites,
    cart_adds = excluded.cart_adds
WHERE (excluded.revision, excluded.position) > (held.revision, held.position);

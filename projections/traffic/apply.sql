-- reported: a higher revision replaces a lower one whenever it arrives; of two equal ones the later holds.
WITH found AS (
    SELECT told.store_id, told.day, told.channel, coalesce(told.traffic_source, 'all') AS source, told.device,
        told.campaign_id, told.sku_id, told.hour, told.revision, told.position, told.occurred_at, told.page_views, told.visitors, told.visits, told.single_page_visits,
        told.ip, told.dwell_seconds, told.exits, told.shares, told.favourites, told.cart_adds, false AS is_kept
    FROM traffic_reported AS told
    UNION ALL
    SELECT held.store_id, held.day, held.channel, held.source, held.device, held.campaign_id, held.sku_id, held.hour,
        held.revision, held.position, held.occurred_at, held.page_views, held.visitors, held.visits, held.single_page_visits,
        held.ip, held.dwell_seconds, held.exits, held.shares, held.favourites, held.cart_adds, true
    FROM traffic_reports AS held
    WHERE held.until_position = 9223372036854775807
        AND (held.store_id, held.day) IN (SELECT told.store_id, told.day FROM traffic_reported AS told)
), compared AS (
    SELECT found.store_id, found.day, found.channel, found.source, found.device, found.campaign_id, found.sku_id,
        found.hour, found.revision, found.position, found.occurred_at, found.page_views, found.visitors, found.visits,
        found.single_page_visits, found.ip, found.dwell_seconds, found.exits, found.shares, found.favourites,
        found.cart_adds, found.is_kept, max(found.revision) OVER (
            PARTITION BY found.store_id, found.day, found.channel, found.source, found.device, found.campaign_id,
                found.sku_id, found.hour
            ORDER BY found.position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS highest
    FROM found
), holding AS (
    SELECT compared.store_id, compared.day, compared.channel, compared.source, compared.device, compared.campaign_id,
        compared.sku_id, compared.hour, compared.revision, compared.position, compared.occurred_at, compared.page_views,
        compared.visitors, compared.visits, compared.single_page_visits, compared.ip, compared.dwell_seconds,
        compared.exits, compared.shares, compared.favourites, compared.cart_adds, compared.is_kept,
        lead(compared.position, 1, 9223372036854775807) OVER (
            PARTITION BY compared.store_id, compared.day, compared.channel, compared.source, compared.device,
                compared.campaign_id, compared.sku_id, compared.hour
            ORDER BY compared.position
        ) AS until_position
    FROM compared WHERE compared.highest IS NULL OR compared.revision >= compared.highest
)
INSERT INTO traffic_reports (
    store_id, day, channel, source, device, campaign_id, sku_id, hour, revision, position, occurred_at, page_views,
    visitors, visits, single_page_visits, ip, dwell_seconds, exits, shares, favourites, cart_adds, until_position
)
SELECT holding.store_id, holding.day, holding.channel, holding.source, holding.device, holding.campaign_id, holding.sku_id,
    holding.hour, holding.revision, holding.position, holding.occurred_at, holding.page_views, holding.visitors, holding.visits,
    holding.single_page_visits, holding.ip, holding.dwell_seconds, holding.exits, holding.shares, holding.favourites,
    holding.cart_adds, holding.until_position
FROM holding WHERE NOT holding.is_kept OR holding.until_position < 9223372036854775807
-- What is replaced makes room before what replaces it comes.
ORDER BY holding.position
ON CONFLICT (position) DO UPDATE SET until_position = excluded.until_position;

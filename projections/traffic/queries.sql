-- fact_rows: what was reported, as the highest revision known at position :as_of (always to be given) says; the widest slice counts.
WITH matching AS (
    SELECT told.position, told.occurred_at, told.store_id, told.day, told.hour, told.page_views, told.visitors,
        told.visits, told.single_page_visits, told.ip, told.dwell_seconds, told.exits, told.shares, told.favourites,
        told.cart_adds, told.channel, told.source, told.device, told.sku_id, told.campaign_id,
        -- The widest slice that was reported counts; parts are added only where nobody reported the whole.
        (told.hour IS NULL)::int * 8 + (told.channel = 'all')::int * 4 + (told.source = 'all')::int * 2
            + (told.device = 'all')::int AS width
    FROM traffic_reports AS told
    WHERE told.position <= :as_of::bigint AND told.until_position > :as_of::bigint
        AND (:store_ids::uuid[] IS NULL OR told.store_id = ANY (:store_ids::uuid[]))
        AND (:from_day::date IS NULL OR told.day >= :from_day::date) AND (:to_day::date IS NULL OR told.day <= :to_day::date)
        AND (:channel::text IS NULL OR told.channel = :channel::text)
        AND (:source::text IS NULL OR told.source = :source::text)
        AND (:device::text IS NULL OR told.device = :device::text)
        -- Broken down by articles, campaigns, channels, sources or devices, their own reports count and not those of the whole.
        AND CASE WHEN :by::text = 'sku' THEN told.sku_id IS NOT NULL
            ELSE told.sku_id IS NOT DISTINCT FROM :sku_id::uuid END
        AND CASE WHEN :by::text = 'campaign' THEN told.campaign_id IS NOT NULL
            ELSE told.campaign_id IS NOT DISTINCT FROM :campaign_id::uuid END
        AND (:by::text IS DISTINCT FROM 'channel' OR told.channel <> 'all')
        AND (:by::text IS DISTINCT FROM 'source' OR told.source <> 'all')
        AND (:by::text IS DISTINCT FROM 'device' OR told.device <> 'all')
        AND (:grain::text IS DISTINCT FROM 'hour' OR told.hour IS NOT NULL)
), ranked AS (
    SELECT slice.position, slice.occurred_at, slice.store_id, slice.day, slice.hour, slice.page_views, slice.visitors,
        slice.visits, slice.single_page_visits, slice.ip, slice.dwell_seconds, slice.exits, slice.shares,
        slice.favourites, slice.cart_adds, slice.channel, slice.part, slice.width, max(slice.width) OVER (
            PARTITION BY slice.store_id, slice.day, slice.part, CASE WHEN :grain::text = 'hour' THEN slice.hour END
        ) AS widest
    FROM (
        SELECT each.position, each.occurred_at, each.store_id, each.day, each.hour, each.page_views, each.visitors,
            each.visits, each.single_page_visits, each.ip, each.dwell_seconds, each.exits, each.shares, each.favourites,
            each.cart_adds, each.channel, each.width, CASE :by::text
                WHEN 'store' THEN each.store_id::text WHEN 'sku' THEN each.sku_id::text
                WHEN 'campaign' THEN each.campaign_id::text WHEN 'channel' THEN each.channel
                WHEN 'source' THEN each.source WHEN 'device' THEN each.device
            END AS part
        FROM matching AS each
    ) AS slice
)
SELECT slice.position, said.place::bigint AS place, 'TrafficReported' AS event, slice.occurred_at, said.measure,
    slice.store_id, slice.day, slice.hour, NULL::text AS currency, NULL::uuid AS order_id, NULL::uuid AS who,
    slice.channel, said.amount::numeric AS amount, slice.part AS slice
FROM ranked AS slice CROSS JOIN LATERAL (VALUES
    (1, 'page_views', slice.page_views), (2, 'visitors', slice.visitors), (3, 'visits', slice.visits),
    (4, 'single_page_visits', slice.single_page_visits), (5, 'ip', slice.ip),
    (6, 'dwell_seconds', slice.dwell_seconds), (7, 'exits', slice.exits), (8, 'shares', slice.shares),
    (9, 'favourites', slice.favourites), (10, 'cart_adds', slice.cart_adds)
) AS said (place, measure, amount)
WHERE slice.width = slice.widest AND said.amount IS NOT NULL
    AND (:measures::text[] IS NULL OR said.measure = ANY (:measures::text[]))
UNION ALL
-- The channels themselves, whether or not the whole was reported: of each the widest slice counts.
SELECT slice.position, 11, 'TrafficReported', slice.occurred_at, 'visitors_of_channel', slice.store_id, slice.day,
    slice.hour, NULL, NULL, NULL, slice.channel, slice.visitors::numeric, CASE :by::text
        WHEN 'store' THEN slice.store_id::text WHEN 'sku' THEN slice.sku_id::text
        WHEN 'campaign' THEN slice.campaign_id::text
    END
FROM (
    SELECT part.position, part.occurred_at, part.store_id, part.day, part.hour, part.channel, part.visitors, part.width,
        part.sku_id, part.campaign_id, max(part.width) OVER (
            PARTITION BY part.store_id, part.day, part.channel, part.sku_id, part.campaign_id, CASE WHEN :grain::text = 'hour' THEN part.hour END
        ) AS widest
    FROM matching AS part WHERE part.channel <> 'all'
) AS slice
WHERE slice.width = slice.widest AND slice.visitors IS NOT NULL
    AND (:measures::text[] IS NULL OR 'visitors_of_channel' = ANY (:measures::text[]));

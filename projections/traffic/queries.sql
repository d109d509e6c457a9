-- cells: one side of a key figure (:how over :measures, those of :less taken off) for each window of :grain and currency.
WITH matching AS (
    SELECT told.position, told.occurred_at, told.store_id, told.day, told.hour, told.page_views, told.visitors,
        told.visits, told.single_page_visits, told.ip, told.dwell_seconds, told.exits, told.shares, told.favourites,
        told.cart_adds,
        -- The widest slice that was reported counts; parts are added only where nobody reported the whole.
        (told.hour IS NULL)::int * 4 + (told.channel = 'all')::int * 2 + (told.device = 'all')::int AS width
    FROM traffic_reports AS told
    WHERE (:store_ids::uuid[] IS NULL OR told.store_id = ANY (:store_ids::uuid[]))
        AND (:from_day::date IS NULL OR told.day >= :from_day::date) AND (:to_day::date IS NULL OR told.day <= :to_day::date)
        AND (:channel::text IS NULL OR told.channel = :channel::text)
        AND told.sku_id IS NOT DISTINCT FROM :sku_id::uuid AND told.campaign_id IS NOT DISTINCT FROM :campaign_id::uuid
        AND (:grain::text IS DISTINCT FROM 'hour' OR told.hour IS NOT NULL)
), ranked AS (
    SELECT slice.position, slice.occurred_at, slice.store_id, slice.day, slice.hour, slice.page_views, slice.visitors,
        slice.visits, slice.single_page_visits, slice.ip, slice.dwell_seconds, slice.exits, slice.shares,
        slice.favourites, slice.cart_adds, slice.width, max(slice.width) OVER (
            PARTITION BY slice.store_id, slice.day, CASE WHEN :grain::text = 'hour' THEN slice.hour END
        ) AS widest
    FROM matching AS slice
), wanted AS (
    SELECT slice.position, said.place::bigint AS place, 'TrafficReported' AS event, slice.occurred_at, said.measure,
        slice.store_id, slice.day, slice.hour, NULL::text AS currency, NULL::uuid AS order_id, NULL::uuid AS who,
        said.amount::numeric AS amount
    FROM ranked AS slice CROSS JOIN LATERAL (VALUES
        (1, 'page_views', slice.page_views), (2, 'visitors', slice.visitors), (3, 'visits', slice.visits),
        (4, 'single_page_visits', slice.single_page_visits), (5, 'ip', slice.ip),
        (6, 'dwell_seconds', slice.dwell_seconds), (7, 'exits', slice.exits), (8, 'shares', slice.shares),
        (9, 'favourites', slice.favourites), (10, 'cart_adds', slice.cart_adds)
    ) AS said (place, measure, amount)
    WHERE slice.width = slice.widest AND said.amount IS NOT NULL
        AND (:measures::text[] IS NULL OR said.measure = ANY (:measures::text[]))
), fact AS (
    SELECT
        CASE WHEN :grain::text = 'total' THEN :from_day::date
            ELSE greatest(date_trunc(
                CASE WHEN :grain::text = 'hour' THEN 'day' ELSE :grain::text END, one.day::timestamp
            )::date, :from_day::date) END AS starts_on,
        CASE WHEN :grain::text = 'hour' THEN one.hour END AS hour,
        CASE WHEN :by_currency::boolean THEN one.currency END AS currency,
        one.day, one.order_id, one.who,
        CASE WHEN one.measure = ANY (:less::text[]) THEN -one.amount ELSE one.amount END AS amount
    FROM wanted AS one
)
SELECT fact.starts_on, fact.hour, fact.currency, sum(fact.amount) AS value, count(*) AS rows
FROM fact WHERE :how::text = 'sum' GROUP BY 1, 2, 3
UNION ALL
SELECT fact.starts_on, fact.hour, fact.currency, CASE WHEN count(*) = 1 THEN sum(fact.amount) END, count(*)
FROM fact WHERE :how::text = 'only' GROUP BY 1, 2, 3
UNION ALL
SELECT fact.starts_on, fact.hour, fact.currency, count(DISTINCT fact.order_id), count(*)
FROM fact WHERE :how::text = 'orders' GROUP BY 1, 2, 3
UNION ALL
SELECT fact.starts_on, fact.hour, fact.currency, count(DISTINCT fact.who), count(*)
FROM fact WHERE :how::text = 'people' GROUP BY 1, 2, 3
UNION ALL
SELECT again.starts_on, again.hour, again.currency, count(*) FILTER (WHERE again.days > 1), sum(again.rows)
FROM (
    SELECT fact.starts_on, fact.hour, fact.currency, fact.who, count(DISTINCT fact.day) AS days, count(*) AS rows
    FROM fact WHERE :how::text = 'people_again' AND fact.who IS NOT NULL GROUP BY 1, 2, 3, 4
) AS again GROUP BY 1, 2, 3
UNION ALL
SELECT fact.starts_on, fact.hour, fact.currency, percentile_disc(0.5) WITHIN GROUP (ORDER BY fact.amount), count(*)
FROM fact WHERE :how::text = 'median' GROUP BY 1, 2, 3
UNION ALL
SELECT fact.starts_on, fact.hour, fact.currency, percentile_disc(0.9) WITHIN GROUP (ORDER BY fact.amount), count(*)
FROM fact WHERE :how::text = 'p90' GROUP BY 1, 2, 3
ORDER BY starts_on, hour, currency;

-- facts: the rows behind such a side, oldest event first, after (:after_position, :after_place); the figure is :how over them.
WITH matching AS (
    SELECT told.position, told.occurred_at, told.store_id, told.day, told.hour, told.page_views, told.visitors,
        told.visits, told.single_page_visits, told.ip, told.dwell_seconds, told.exits, told.shares, told.favourites,
        told.cart_adds,
        -- The widest slice that was reported counts; parts are added only where nobody reported the whole.
        (told.hour IS NULL)::int * 4 + (told.channel = 'all')::int * 2 + (told.device = 'all')::int AS width
    FROM traffic_reports AS told
    WHERE (:store_ids::uuid[] IS NULL OR told.store_id = ANY (:store_ids::uuid[]))
        AND (:from_day::date IS NULL OR told.day >= :from_day::date) AND (:to_day::date IS NULL OR told.day <= :to_day::date)
        AND (:channel::text IS NULL OR told.channel = :channel::text)
        AND told.sku_id IS NOT DISTINCT FROM :sku_id::uuid AND told.campaign_id IS NOT DISTINCT FROM :campaign_id::uuid
        AND (:grain::text IS DISTINCT FROM 'hour' OR told.hour IS NOT NULL)
), ranked AS (
    SELECT slice.position, slice.occurred_at, slice.store_id, slice.day, slice.hour, slice.page_views, slice.visitors,
        slice.visits, slice.single_page_visits, slice.ip, slice.dwell_seconds, slice.exits, slice.shares,
        slice.favourites, slice.cart_adds, slice.width, max(slice.width) OVER (
            PARTITION BY slice.store_id, slice.day, CASE WHEN :grain::text = 'hour' THEN slice.hour END
        ) AS widest
    FROM matching AS slice
), wanted AS (
    SELECT slice.position, said.place::bigint AS place, 'TrafficReported' AS event, slice.occurred_at, said.measure,
        slice.store_id, slice.day, slice.hour, NULL::text AS currency, NULL::uuid AS order_id, NULL::uuid AS who,
        said.amount::numeric AS amount
    FROM ranked AS slice CROSS JOIN LATERAL (VALUES
        (1, 'page_views', slice.page_views), (2, 'visitors', slice.visitors), (3, 'visits', slice.visits),
        (4, 'single_page_visits', slice.single_page_visits), (5, 'ip', slice.ip),
        (6, 'dwell_seconds', slice.dwell_seconds), (7, 'exits', slice.exits), (8, 'shares', slice.shares),
        (9, 'favourites', slice.favourites), (10, 'cart_adds', slice.cart_adds)
    ) AS said (place, measure, amount)
    WHERE slice.width = slice.widest AND said.amount IS NOT NULL
        AND (:measures::text[] IS NULL OR said.measure = ANY (:measures::text[]))
)
SELECT one.position, one.place, one.event, one.occurred_at, one.measure, one.store_id, one.day, one.hour, one.currency,
    one.order_id, one.who, CASE WHEN one.measure = ANY (:less::text[]) THEN -one.amount ELSE one.amount END AS amount
FROM wanted AS one
WHERE (one.position, one.place) > (coalesce(:after_position::bigint, 0), coalesce(:after_place::bigint, 0))
    AND (:as_of::bigint IS NULL OR one.position <= :as_of::bigint)
    AND (:of_hour::bigint IS NULL OR one.hour = :of_hour::bigint)
    AND (:of_currency::text IS NULL OR one.currency = :of_currency::text)
ORDER BY one.position, one.place
LIMIT coalesce(:row_limit::bigint, 100);

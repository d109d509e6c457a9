-- cells: one side of a key figure (:how over :measures, those of :less taken off) for each window of :grain and currency.
WITH wanted AS (
    SELECT fact.position, fact.place, fact.event, fact.occurred_at, fact.measure, fact.store_id, fact.day, fact.hour,
        fact.currency, fact.order_id, fact.who, fact.amount
    FROM facts AS fact
    WHERE (:store_ids::uuid[] IS NULL OR fact.store_id = ANY (:store_ids::uuid[]))
        AND (:measures::text[] IS NULL OR fact.measure = ANY (:measures::text[]))
        AND (:from_day::date IS NULL OR fact.day >= :from_day::date) AND (:to_day::date IS NULL OR fact.day <= :to_day::date)
        AND (:channel::text IS NULL OR fact.channel = :channel::text)
        AND (:sku_id::uuid IS NULL OR fact.sku_id = :sku_id::uuid)
        AND (:campaign_id::uuid IS NULL OR fact.campaign_id = :campaign_id::uuid)
        -- A promise that is not due yet is neither kept nor broken.
        AND (:now::timestamptz IS NULL OR fact.due_at IS NULL OR fact.due_at <= :now::timestamptz)
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
WITH wanted AS (
    SELECT fact.position, fact.place, fact.event, fact.occurred_at, fact.measure, fact.store_id, fact.day, fact.hour,
        fact.currency, fact.order_id, fact.who, fact.amount
    FROM facts AS fact
    WHERE (:store_ids::uuid[] IS NULL OR fact.store_id = ANY (:store_ids::uuid[]))
        AND (:measures::text[] IS NULL OR fact.measure = ANY (:measures::text[]))
        AND (:from_day::date IS NULL OR fact.day >= :from_day::date) AND (:to_day::date IS NULL OR fact.day <= :to_day::date)
        AND (:channel::text IS NULL OR fact.channel = :channel::text)
        AND (:sku_id::uuid IS NULL OR fact.sku_id = :sku_id::uuid)
        AND (:campaign_id::uuid IS NULL OR fact.campaign_id = :campaign_id::uuid)
        -- A promise that is not due yet is neither kept nor broken.
        AND (:now::timestamptz IS NULL OR fact.due_at IS NULL OR fact.due_at <= :now::timestamptz)
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

-- cohorts: of the customers whose first paid order in these stores fell into a month, how many paid in each month after it.
WITH began AS (
    SELECT began.customer_id, min(began.day) AS day
    FROM first_orders AS began
    WHERE :store_ids::uuid[] IS NULL OR began.store_id = ANY (:store_ids::uuid[])
    GROUP BY 1
), cohort AS (
    SELECT began.customer_id, date_trunc('month', began.day::timestamp)::date AS starts_on
    FROM began
    WHERE (:from_day::date IS NULL OR began.day >= :from_day::date) AND (:to_day::date IS NULL OR began.day <= :to_day::date)
), active AS (
    SELECT DISTINCT cohort.starts_on, cohort.customer_id,
        (extract(year FROM bill.day) * 12 + extract(month FROM bill.day)
            - extract(year FROM cohort.starts_on) * 12 - extract(month FROM cohort.starts_on))::bigint AS months_later
    FROM cohort JOIN paid AS bill ON bill.customer_id = cohort.customer_id
    WHERE :store_ids::uuid[] IS NULL OR bill.store_id = ANY (:store_ids::uuid[])
)
SELECT active.starts_on, active.months_later, count(*) AS active_customers,
    max(count(*)) OVER (PARTITION BY active.starts_on) AS customers
FROM active
GROUP BY 1, 2
ORDER BY 1, 2;

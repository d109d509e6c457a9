-- report: what each article (:sku_ids, NULL for all) is worth now, beside the exact value of its layers; richest first.
-- `unit_cost` is the average, or under FIFO the cost last paid; `mean_cost` what one of the units that are there cost.
SELECT state.sku_id, sku.code, sku.name, sku.store_id, sku.unit, sku.currency, state.quantity, state.method,
    state.unit_cost, exact.mean_cost, state.value_minor, exact.minor AS exact_minor, state.value_minor - exact.minor AS rounding_minor,
    cardinality(state.layer_sizes) AS layers, state.last_at, state.position
FROM valuation_state AS state
JOIN valued_skus AS sku ON sku.sku_id = state.sku_id
CROSS JOIN LATERAL (
    SELECT
        trim_scale(10::numeric ^ sku.minor_digits * coalesce(layers.amount, state.quantity * state.unit_cost, 0)) AS minor,
        CASE WHEN layers.amount IS NULL OR state.unit_cost IS NULL THEN state.unit_cost
            ELSE mean_cost(layers.amount, state.quantity, rule.average_places::integer)
        END AS mean_cost
    FROM rules AS rule CROSS JOIN (
        SELECT sum(layer.size * layer.cost) AS amount
        FROM unnest(state.layer_sizes, state.layer_costs) AS layer (size, cost)
    ) AS layers
) AS exact
WHERE (:store_ids::uuid[] IS NULL OR sku.store_id = ANY (:store_ids::uuid[]))
    AND (:sku_ids::uuid[] IS NULL OR state.sku_id = ANY (:sku_ids::uuid[]))
ORDER BY state.value_minor DESC, state.sku_id
LIMIT coalesce(:row_limit::bigint, 1000);

-- totals: units and value of these stores' stock now, for each store and currency.
SELECT sku.store_id, sku.currency, count(*) AS skus, sum(state.value_minor)::bigint AS value_minor
FROM valuation_state AS state JOIN valued_skus AS sku ON sku.sku_id = state.sku_id
WHERE :store_ids::uuid[] IS NULL OR sku.store_id = ANY (:store_ids::uuid[])
GROUP BY 1, 2
ORDER BY 1, 2;

-- layers: the units in stock of articles (:sku_ids, NULL for all) by what they cost, oldest first; under a moving average
-- all cost the same.
SELECT sku.sku_id, layer.number, layer.size AS quantity, layer.cost AS unit_cost, sku.currency
FROM valuation_state AS state
JOIN valued_skus AS sku ON sku.sku_id = state.sku_id
CROSS JOIN LATERAL unnest(
    CASE WHEN state.method = 'fifo' THEN state.layer_sizes ELSE ARRAY[state.quantity] END,
    CASE WHEN state.method = 'fifo' THEN state.layer_costs ELSE ARRAY[state.unit_cost] END
) WITH ORDINALITY AS layer (size, cost, number)
WHERE layer.size > 0 AND (:sku_ids::uuid[] IS NULL OR state.sku_id = ANY (:sku_ids::uuid[]))
    AND (:store_ids::uuid[] IS NULL OR sku.store_id = ANY (:store_ids::uuid[]))
ORDER BY sku.code, sku.sku_id, layer.number;

-- places: units of each batch ('' for none) at each location now, of these articles (NULL for all).
SELECT place.sku_id, sku.code, place.location_id, place.batch, place.on_hand, place.in_transit
FROM valued_places AS place JOIN valued_skus AS sku ON sku.sku_id = place.sku_id
WHERE (:store_ids::uuid[] IS NULL OR sku.store_id = ANY (:store_ids::uuid[]))
    AND (:sku_ids::uuid[] IS NULL OR place.sku_id = ANY (:sku_ids::uuid[]))
ORDER BY sku.code, place.sku_id, place.location_id, place.batch;

-- value_at: units (in transit included) and value of articles at :occurred_at (NULL: now), as known at :position (NULL: now).
SELECT sku.sku_id, sku.code, sku.store_id, sku.currency, sum(found.quantity) AS quantity,
    sum(found.value_minor)::bigint AS value_minor
FROM valued_skus AS sku
CROSS JOIN LATERAL (
    -- Days and blocks of the log that lie wholly before both are added up as they are, the last ones line by line.
    SELECT done.change AS quantity, done.change_minor AS value_minor
    FROM valuation_blocks AS done
    WHERE done.sku_id = sku.sku_id
        AND done.day < coalesce((:occurred_at::timestamptz AT TIME ZONE 'UTC')::date, 'infinity')
        AND (:position::bigint IS NULL OR done.block < :position::bigint >> 14)
    UNION ALL
    SELECT line.quantity, line.value_minor + line.revalued_minor
    FROM valued_movements AS line
    WHERE line.sku_id = sku.sku_id AND line.occurred_at <= :occurred_at::timestamptz
        AND line.occurred_at >= date_trunc('day', :occurred_at::timestamptz, 'UTC')
        AND (:position::bigint IS NULL OR line.position <= :position::bigint)
    UNION ALL
    SELECT 0, more.value_minor + more.revalued_minor
    FROM value_adjustments AS more
    WHERE more.sku_id = sku.sku_id AND more.occurred_at <= :occurred_at::timestamptz
        AND more.occurred_at >= date_trunc('day', :occurred_at::timestamptz, 'UTC')
        AND (:position::bigint IS NULL OR more.cause_position <= :position::bigint)
    UNION ALL
    SELECT line.quantity, line.value_minor + line.revalued_minor
    FROM valued_movements AS line
    WHERE line.sku_id = sku.sku_id
        AND line.position >= :position::bigint >> 14 << 14 AND line.position <= :position::bigint
        AND line.occurred_at < coalesce(date_trunc('day', :occurred_at::timestamptz, 'UTC'), 'infinity')
    UNION ALL
    SELECT 0, more.value_minor + more.revalued_minor
    FROM value_adjustments AS more
    WHERE more.sku_id = sku.sku_id
        AND more.cause_position >= :position::bigint >> 14 << 14 AND more.cause_position <= :position::bigint
        AND more.occurred_at < coalesce(date_trunc('day', :occurred_at::timestamptz, 'UTC'), 'infinity')
) AS found
WHERE (:store_ids::uuid[] IS NULL OR sku.store_id = ANY (:store_ids::uuid[]))
    AND (:sku_ids::uuid[] IS NULL OR sku.sku_id = ANY (:sku_ids::uuid[]))
GROUP BY 1, 2, 3, 4
ORDER BY sku.code, sku.sku_id;

-- movements: the movements of articles (:sku_id, NULL for all), each as it was recorded and what was learnt about it by
-- :position (NULL: until now).
SELECT line.sku_id, line.position, line.occurred_at, line.recorded_at, line.kind, line.location_id, line.store_id,
    line.order_id, line.batch, line.document, line.quantity, line.given_cost, line.counted, line.unit_cost,
    line.layer_sizes, line.layer_costs, line.method, line.value_minor, line.revalued_minor, coalesce(more.value_minor, 0) AS adjusted_minor,
    coalesce(more.revalued_minor, 0) AS adjusted_revalued_minor, coalesce(more.adjustments, 0) AS adjustments,
    line.running_quantity, line.running_value_minor, sku.currency, sku.unit
FROM valued_movements AS line
JOIN valued_skus AS sku ON sku.sku_id = line.sku_id
LEFT JOIN LATERAL (
    SELECT sum(found.value_minor)::bigint AS value_minor, sum(found.revalued_minor)::bigint AS revalued_minor,
        count(*) AS adjustments
    FROM value_adjustments AS found
    WHERE found.sku_id = line.sku_id AND found.occurred_at = line.occurred_at AND found.position = line.position
        AND (:position::bigint IS NULL OR found.cause_position <= :position::bigint)
) AS more ON true
WHERE (:store_ids::uuid[] IS NULL OR sku.store_id = ANY (:store_ids::uuid[]))
    AND (:sku_id::uuid IS NULL OR line.sku_id = :sku_id::uuid)
    AND (:position::bigint IS NULL OR line.position <= :position::bigint);

-- cogs: cost of goods sold for each :grain of :time_zone from :from_time to before :until_time, as known at :position.
-- What came back lowers it when it came back. `corrected_minor` is what was learnt afterwards, in the period that it is
-- booked in; `variance_minor` is what units cost more that had left before they were there, or before their cost was known.
SELECT date_trunc(:grain::text, each.occurred_at AT TIME ZONE :time_zone::text)::date AS starts_on, sku.currency,
    -sum(each.shipped)::bigint AS shipped_minor, -sum(each.returned)::bigint AS returned_minor,
    sum(each.corrected)::bigint AS corrected_minor,
    (sum(each.corrected) - sum(each.shipped) - sum(each.returned))::bigint AS cogs_minor,
    -sum(each.variance)::bigint AS variance_minor, sum(each.lost)::bigint AS other_minor
FROM (
    SELECT line.sku_id, line.occurred_at,
        CASE WHEN line.kind = 'shipped' THEN line.value_minor ELSE 0 END AS shipped,
        CASE WHEN line.kind = 'returned' THEN line.value_minor ELSE 0 END AS returned,
        0 AS corrected, line.revalued_minor AS variance,
        CASE WHEN line.kind IN ('shipped', 'returned', 'received') THEN 0 ELSE line.value_minor END AS lost
    FROM valued_movements AS line
    WHERE line.occurred_at >= :from_time::timestamptz AND line.occurred_at < :until_time::timestamptz
        AND (:position::bigint IS NULL OR line.position <= :position::bigint)
    UNION ALL
    SELECT more.sku_id, more.occurred_at, 0, 0, more.cogs_minor, more.revalued_minor,
        CASE WHEN more.kind IN ('shipped', 'returned', 'received', 'closed_period') THEN 0 ELSE more.value_minor END
    FROM value_adjustments AS more
    WHERE more.occurred_at >= :from_time::timestamptz AND more.occurred_at < :until_time::timestamptz
        AND (:position::bigint IS NULL OR more.cause_position <= :position::bigint)
) AS each JOIN valued_skus AS sku ON sku.sku_id = each.sku_id
WHERE (:store_ids::uuid[] IS NULL OR sku.store_id = ANY (:store_ids::uuid[]))
    AND (:sku_ids::uuid[] IS NULL OR each.sku_id = ANY (:sku_ids::uuid[]))
GROUP BY 1, 2
ORDER BY 1, 2;

-- adjustments: what was learnt afterwards, by cause; of one article or one cause, or all. Position 0: of closed periods.
SELECT more.cause_position, more.position, more.sku_id, sku.code, more.kind, more.occurred_at, more.recorded_at,
    more.value_minor, more.revalued_minor, more.cogs_minor, sku.currency
FROM value_adjustments AS more JOIN valued_skus AS sku ON sku.sku_id = more.sku_id
WHERE (:store_ids::uuid[] IS NULL OR sku.store_id = ANY (:store_ids::uuid[]))
    AND (:sku_id::uuid IS NULL OR more.sku_id = :sku_id::uuid)
    AND (:cause_position::bigint IS NULL OR more.cause_position = :cause_position::bigint);

-- fact_rows: what changed the value of stock, and what goods cost that were sold, as known at :as_of (always to be given).
-- Value is its home store's, the cost of goods sold is the store's that sold them. What was learnt afterwards stands at the
-- record that it was learnt by. An article that is on two lines of an order counts wholly for the campaign of one of them.
-- All branches have the very same types and no window function of their own, so that conditions reach each of them.
SELECT fact.position, fact.place, fact.event, fact.occurred_at, fact.measure, fact.store_id, fact.day, fact.hour,
    fact.currency, fact.order_id, NULL::uuid AS who, NULL::text AS channel, fact.amount, CASE :by::text
        WHEN 'store' THEN fact.store_id::text WHEN 'sku' THEN fact.sku_id::text WHEN 'channel' THEN bought.channel
        WHEN 'campaign' THEN part.campaign_id::text
    END AS slice
FROM (
    SELECT line.position, 1::bigint AS place, event_of(line.kind) AS event, line.occurred_at, 'value' AS measure, sku.store_id,
        (line.occurred_at AT TIME ZONE coalesce(zone.time_zone, sku.time_zone))::date AS day,
        extract(hour FROM line.occurred_at AT TIME ZONE coalesce(zone.time_zone, sku.time_zone))::bigint AS hour,
        sku.currency, line.order_id, line.sku_id, (line.value_minor + line.revalued_minor)::numeric AS amount
    FROM valued_movements AS line
    JOIN valued_skus AS sku ON sku.sku_id = line.sku_id
    LEFT JOIN moved_zones AS zone ON zone.position = line.position
    WHERE line.value_minor + line.revalued_minor <> 0
        AND (:from_day::date IS NULL OR line.occurred_at >= (:from_day::date - 1)::timestamp AT TIME ZONE 'UTC')
        AND (:to_day::date IS NULL OR line.occurred_at < (:to_day::date + 2)::timestamp AT TIME ZONE 'UTC')
    UNION ALL
    SELECT line.position, 2::bigint, event_of(line.kind), line.occurred_at, 'cogs', line.store_id,
        (line.occurred_at AT TIME ZONE coalesce(zone.time_zone, sku.time_zone))::date,
        extract(hour FROM line.occurred_at AT TIME ZONE coalesce(zone.time_zone, sku.time_zone))::bigint,
        sku.currency, line.order_id, line.sku_id, -line.value_minor::numeric
    FROM valued_movements AS line
    JOIN valued_skus AS sku ON sku.sku_id = line.sku_id
    LEFT JOIN moved_zones AS zone ON zone.position = line.position
    WHERE line.kind IN ('shipped', 'returned') AND line.value_minor <> 0
        AND (:from_day::date IS NULL OR line.occurred_at >= (:from_day::date - 1)::timestamp AT TIME ZONE 'UTC')
        AND (:to_day::date IS NULL OR line.occurred_at < (:to_day::date + 2)::timestamp AT TIME ZONE 'UTC')
    UNION ALL
    SELECT line.position, 3::bigint, event_of(line.kind), line.occurred_at, 'cogs_in_campaigns', line.store_id,
        (line.occurred_at AT TIME ZONE coalesce(zone.time_zone, sku.time_zone))::date,
        extract(hour FROM line.occurred_at AT TIME ZONE coalesce(zone.time_zone, sku.time_zone))::bigint,
        sku.currency, line.order_id, line.sku_id, -line.value_minor::numeric
    FROM valued_movements AS line
    JOIN valued_skus AS sku ON sku.sku_id = line.sku_id
    JOIN order_campaigns AS counts ON counts.order_id = line.order_id AND counts.sku_id = line.sku_id
    LEFT JOIN moved_zones AS zone ON zone.position = line.position
    WHERE line.kind IN ('shipped', 'returned') AND line.value_minor <> 0
        AND (:from_day::date IS NULL OR line.occurred_at >= (:from_day::date - 1)::timestamp AT TIME ZONE 'UTC')
        AND (:to_day::date IS NULL OR line.occurred_at < (:to_day::date + 2)::timestamp AT TIME ZONE 'UTC')
    UNION ALL
    SELECT more.cause_position, 100 + 10 * more.number + said.place, event_of(more.cause_kind), more.occurred_at,
        said.measure, CASE said.measure WHEN 'value' THEN sku.store_id ELSE more.store_id END,
        (more.occurred_at AT TIME ZONE coalesce(zone.time_zone, sku.time_zone))::date,
        extract(hour FROM more.occurred_at AT TIME ZONE coalesce(zone.time_zone, sku.time_zone))::bigint,
        sku.currency, more.order_id, more.sku_id, said.amount
    FROM (
        SELECT each.cause_position, each.position, each.sku_id, each.occurred_at, each.value_minor, each.revalued_minor,
            each.cogs_minor, each.store_id, each.order_id, each.cause_kind,
            row_number() OVER (
                PARTITION BY each.cause_position ORDER BY each.position, each.sku_id, each.occurred_at
            ) AS number
        FROM value_adjustments AS each
    ) AS more
    JOIN valued_skus AS sku ON sku.sku_id = more.sku_id
    LEFT JOIN order_campaigns AS counts ON counts.order_id = more.order_id AND counts.sku_id = more.sku_id
    LEFT JOIN moved_zones AS zone ON zone.position = more.cause_position
    CROSS JOIN LATERAL (VALUES
        (1, 'value', (more.value_minor + more.revalued_minor)::numeric), (2, 'cogs', more.cogs_minor::numeric),
        (3, 'cogs_in_campaigns', CASE WHEN counts.order_id IS NOT NULL THEN more.cogs_minor::numeric END)
    ) AS said (place, measure, amount)
    WHERE said.amount <> 0
) AS fact
LEFT JOIN order_channels AS bought ON bought.order_id = fact.order_id
LEFT JOIN order_campaigns AS counts ON counts.order_id = fact.order_id AND counts.sku_id = fact.sku_id
LEFT JOIN LATERAL unnest(CASE WHEN :by::text = 'campaign' THEN counts.campaign_ids END) AS part (campaign_id) ON true
WHERE (:store_ids::uuid[] IS NULL OR fact.store_id = ANY (:store_ids::uuid[]))
    AND (:measures::text[] IS NULL OR fact.measure = ANY (:measures::text[]))
    AND (:from_day::date IS NULL OR fact.day >= :from_day::date) AND (:to_day::date IS NULL OR fact.day <= :to_day::date)
    AND (:sku_id::uuid IS NULL OR fact.sku_id = :sku_id::uuid)
    AND fact.position <= :as_of::bigint
    AND (:channel::text IS NULL OR bought.channel = :channel::text)
    AND (:campaign_id::uuid IS NULL OR :campaign_id::uuid = ANY (counts.campaign_ids));

-- fact_sums: what fact_rows come to in each store and on each day, for figures that are sums of them.
SELECT fact.measure, fact.store_id, fact.day, fact.hour, fact.currency, fact.amount, fact.slice
FROM (
    -- What whole stores have by the day, as it is known now, is kept.
    SELECT kept.measure, kept.store_id, kept.day, NULL::bigint AS hour, kept.currency, kept.amount_minor AS amount,
        CASE :by::text WHEN 'store' THEN kept.store_id::text END AS slice
    FROM value_days AS kept
    WHERE :as_of::bigint = 9223372036854775806 AND :grain::text IS DISTINCT FROM 'hour'
        AND (:by::text IS NULL OR :by::text = 'store')
        AND :sku_id::uuid IS NULL AND :channel::text IS NULL AND :campaign_id::uuid IS NULL
    UNION ALL
    SELECT said.measure, said.store_id, (line.occurred_at AT TIME ZONE coalesce(zone.time_zone, sku.time_zone))::date,
        CASE WHEN :grain::text = 'hour' THEN
            extract(hour FROM line.occurred_at AT TIME ZONE coalesce(zone.time_zone, sku.time_zone))::bigint
        END,
        sku.currency, said.amount,
        CASE :by::text
            WHEN 'store' THEN said.store_id::text WHEN 'sku' THEN line.sku_id::text WHEN 'channel' THEN bought.channel
            WHEN 'campaign' THEN part.campaign_id::text
        END
    FROM value_changes AS line
    JOIN valued_skus AS sku ON sku.sku_id = line.sku_id
    LEFT JOIN moved_zones AS zone ON zone.position = line.position
    LEFT JOIN order_channels AS bought ON bought.order_id = line.order_id
    LEFT JOIN order_campaigns AS counts ON counts.order_id = line.order_id AND counts.sku_id = line.sku_id
    LEFT JOIN LATERAL unnest(CASE WHEN :by::text = 'campaign' THEN counts.campaign_ids END) AS part (campaign_id) ON true
    CROSS JOIN LATERAL (VALUES
        ('value', sku.store_id, line.worth), ('cogs', line.store_id, line.cost_of_sales)
    ) AS said (measure, store_id, amount)
    WHERE said.amount <> 0 AND (:measures::text[] IS NULL OR :measures::text[] && ARRAY['value', 'cogs'])
        AND NOT (
            :as_of::bigint = 9223372036854775806 AND :grain::text IS DISTINCT FROM 'hour'
            AND (:by::text IS NULL OR :by::text = 'store')
            AND :sku_id::uuid IS NULL AND :channel::text IS NULL AND :campaign_id::uuid IS NULL
        )
        AND line.position <= :as_of::bigint
        AND (:from_day::date IS NULL OR line.occurred_at >= (:from_day::date - 1)::timestamp AT TIME ZONE 'UTC')
        AND (:to_day::date IS NULL OR line.occurred_at < (:to_day::date + 2)::timestamp AT TIME ZONE 'UTC')
        AND (:sku_id::uuid IS NULL OR line.sku_id = :sku_id::uuid)
        AND (:channel::text IS NULL OR bought.channel = :channel::text)
        AND (:campaign_id::uuid IS NULL OR :campaign_id::uuid = ANY (counts.campaign_ids))
    UNION ALL
    -- Few orders are of a campaign: their goods are looked up.
    SELECT 'cogs_in_campaigns', line.store_id, (line.occurred_at AT TIME ZONE coalesce(zone.time_zone, sku.time_zone))::date,
        CASE WHEN :grain::text = 'hour' THEN
            extract(hour FROM line.occurred_at AT TIME ZONE coalesce(zone.time_zone, sku.time_zone))::bigint
        END,
        sku.currency, line.cost_of_sales,
        CASE :by::text
            WHEN 'store' THEN line.store_id::text WHEN 'sku' THEN line.sku_id::text WHEN 'channel' THEN bought.channel
            WHEN 'campaign' THEN part.campaign_id::text
        END
    FROM order_campaigns AS counts
    JOIN value_changes AS line ON line.order_id = counts.order_id AND line.sku_id = counts.sku_id
    JOIN valued_skus AS sku ON sku.sku_id = line.sku_id
    LEFT JOIN moved_zones AS zone ON zone.position = line.position
    LEFT JOIN order_channels AS bought ON bought.order_id = line.order_id
    LEFT JOIN LATERAL unnest(CASE WHEN :by::text = 'campaign' THEN counts.campaign_ids END) AS part (campaign_id) ON true
    WHERE line.cost_of_sales <> 0
        AND line.position <= :as_of::bigint
        AND (:from_day::date IS NULL OR line.occurred_at >= (:from_day::date - 1)::timestamp AT TIME ZONE 'UTC')
        AND (:to_day::date IS NULL OR line.occurred_at < (:to_day::date + 2)::timestamp AT TIME ZONE 'UTC')
        AND (:sku_id::uuid IS NULL OR line.sku_id = :sku_id::uuid)
        AND (:channel::text IS NULL OR bought.channel = :channel::text)
        AND (:campaign_id::uuid IS NULL OR :campaign_id::uuid = ANY (counts.campaign_ids))
) AS fact
WHERE (:store_ids::uuid[] IS NULL OR fact.store_id = ANY (:store_ids::uuid[]))
    AND (:measures::text[] IS NULL OR fact.measure = ANY (:measures::text[]))
    AND (:from_day::date IS NULL OR fact.day >= :from_day::date) AND (:to_day::date IS NULL OR fact.day <= :to_day::date);

-- values_after: of each of these movements (:positions of the ledger), what it changed the value of its article's stock by, as
-- booked when it was recorded, what it has been corrected by since, and what the article's stock was worth after it.
SELECT asked.position, line.position IS NOT NULL AS is_valued, line.unit_cost, coalesce(line.value_minor + line.revalued_minor, 0) AS value_minor,
    coalesce(learnt.minor, 0) AS adjusted_minor,
    coalesce(last.running_value_minor, 0) + coalesce(more.minor, 0) AS running_value_minor
FROM unnest(:positions::bigint[], :sku_ids::uuid[]) AS asked (position, sku_id)
JOIN valued_skus AS sku ON sku.sku_id = asked.sku_id
LEFT JOIN valued_movements AS line ON line.sku_id = asked.sku_id AND line.position = asked.position
LEFT JOIN LATERAL (
    SELECT sum(found.value_minor + found.revalued_minor)::bigint AS minor FROM value_adjustments AS found
    WHERE found.sku_id = line.sku_id AND found.occurred_at = line.occurred_at AND found.position = line.position
) AS learnt ON true
LEFT JOIN LATERAL (
    SELECT before.position, before.running_value_minor FROM valued_movements AS before
    WHERE before.sku_id = asked.sku_id AND before.position <= asked.position
    ORDER BY before.position DESC LIMIT 1
) AS last ON true
LEFT JOIN LATERAL (
    -- A policy that held from before corrects by itself, with no movement of its own.
    SELECT sum(found.value_minor + found.revalued_minor)::bigint AS minor FROM value_adjustments AS found
    WHERE found.sku_id = asked.sku_id AND found.cause_position > last.position
        AND found.cause_position <= asked.position
) AS more ON true
WHERE :store_ids::uuid[] IS NULL OR sku.store_id = ANY (:store_ids::uuid[]);

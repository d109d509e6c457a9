-- valuation_state: the movements of an article and what was learnt about them, each with what it changed.
SELECT line.position, line.kind, line.occurred_at, line.quantity, line.value_minor + line.revalued_minor AS value_minor,
    NULL::bigint AS adjusts
FROM valued_movements AS line
WHERE line.sku_id = :sku_id::uuid AND line.position > :window_from AND line.position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR EXISTS (
        SELECT FROM valued_skus AS sku WHERE sku.sku_id = line.sku_id AND sku.store_id = ANY (:store_ids::uuid[])
    ))
UNION ALL
SELECT more.cause_position, more.kind, more.occurred_at, 0, more.value_minor + more.revalued_minor, more.position
FROM value_adjustments AS more
WHERE more.sku_id = :sku_id::uuid AND more.cause_position > :window_from AND more.cause_position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR EXISTS (
        SELECT FROM valued_skus AS sku WHERE sku.sku_id = more.sku_id AND sku.store_id = ANY (:store_ids::uuid[])
    ));

-- valuation_days: what changed an article's units and value on one UTC day.
SELECT line.position, line.kind, line.occurred_at, line.quantity, line.value_minor + line.revalued_minor AS value_minor,
    NULL::bigint AS adjusts
FROM valued_movements AS line
WHERE line.sku_id = :sku_id::uuid AND line.position > :window_from AND line.position <= :window_to
    AND line.occurred_at >= (:day::date)::timestamp AT TIME ZONE 'UTC'
    AND line.occurred_at < (:day::date + 1)::timestamp AT TIME ZONE 'UTC'
    AND (:store_ids::uuid[] IS NULL OR EXISTS (
        SELECT FROM valued_skus AS sku WHERE sku.sku_id = line.sku_id AND sku.store_id = ANY (:store_ids::uuid[])
    ))
UNION ALL
SELECT more.cause_position, more.kind, more.occurred_at, 0, more.value_minor + more.revalued_minor, more.position
FROM value_adjustments AS more
WHERE more.sku_id = :sku_id::uuid AND more.cause_position > :window_from AND more.cause_position <= :window_to
    AND more.occurred_at >= (:day::date)::timestamp AT TIME ZONE 'UTC'
    AND more.occurred_at < (:day::date + 1)::timestamp AT TIME ZONE 'UTC'
    AND (:store_ids::uuid[] IS NULL OR EXISTS (
        SELECT FROM valued_skus AS sku WHERE sku.sku_id = more.sku_id AND sku.store_id = ANY (:store_ids::uuid[])
    ));

-- valued_movements: one movement as it was recorded, and every later record that changed its value.
SELECT line.position, line.kind, line.occurred_at, line.quantity, line.unit_cost,
    line.value_minor + line.revalued_minor AS value_minor
FROM valued_movements AS line
WHERE line.sku_id = :sku_id::uuid AND line.position = :position::bigint
    AND line.position > :window_from AND line.position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR EXISTS (
        SELECT FROM valued_skus AS sku WHERE sku.sku_id = line.sku_id AND sku.store_id = ANY (:store_ids::uuid[])
    ))
UNION ALL
SELECT more.cause_position, 'adjustment', more.occurred_at, 0, NULL, more.value_minor + more.revalued_minor
FROM value_adjustments AS more
WHERE more.sku_id = :sku_id::uuid AND more.position = :position::bigint
    AND more.cause_position > :window_from AND more.cause_position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR EXISTS (
        SELECT FROM valued_skus AS sku WHERE sku.sku_id = more.sku_id AND sku.store_id = ANY (:store_ids::uuid[])
    ));

-- value_adjustments: one difference: the record that caused it.
SELECT more.cause_position AS position, more.kind, more.occurred_at, more.value_minor, more.revalued_minor,
    more.cogs_minor
FROM value_adjustments AS more
WHERE more.sku_id = :sku_id::uuid AND more.position = :position::bigint
    AND more.cause_position = :cause_position::bigint
    AND more.cause_position > :window_from AND more.cause_position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR EXISTS (
        SELECT FROM valued_skus AS sku WHERE sku.sku_id = more.sku_id AND sku.store_id = ANY (:store_ids::uuid[])
    ));

-- order_campaigns: the order as it was placed, and what was agreed to be sent instead.
SELECT placed.position, 'OrderPlaced' AS event, placed.occurred_at, placed.channel, placed.campaign_ids
FROM order_placed AS placed
WHERE placed.stream_id = :order_id::uuid AND (:store_ids::uuid[] IS NULL OR placed.store_id = ANY (:store_ids::uuid[]))
UNION ALL
SELECT agreed.position, 'ShortageResolved', agreed.occurred_at, NULL, NULL
FROM shortage_resolved AS agreed
WHERE agreed.stream_id = :order_id::uuid AND (:store_ids::uuid[] IS NULL OR agreed.store_id = ANY (:store_ids::uuid[]))
UNION ALL
SELECT agreed.position, 'ReturnExchanged', agreed.occurred_at, NULL, NULL
FROM return_exchanged AS agreed
WHERE agreed.stream_id = :order_id::uuid AND (:store_ids::uuid[] IS NULL OR agreed.store_id = ANY (:store_ids::uuid[]));

-- value_days: what changed the value of a store's stock, or the cost of what it sold, on one of its days, of a share of articles.
SELECT one.position, one.occurred_at, one.sku_id, said.amount AS amount_minor
FROM value_changes AS one
JOIN valued_skus AS sku ON sku.sku_id = one.sku_id
LEFT JOIN moved_zones AS zone ON zone.position = one.position
CROSS JOIN LATERAL (VALUES
    ('value', sku.store_id, one.worth), ('cogs', one.store_id, one.cost_of_sales)
) AS said (measure, store_id, amount)
WHERE said.store_id = :store_id::uuid AND said.measure = :measure::text AND said.amount <> 0
    AND sku.currency = :currency::text AND share_of(one.sku_id) = :share::integer
    AND one.occurred_at >= (:day::date - 1)::timestamp AT TIME ZONE 'UTC'
    AND one.occurred_at < (:day::date + 2)::timestamp AT TIME ZONE 'UTC'
    AND (one.occurred_at AT TIME ZONE coalesce(zone.time_zone, sku.time_zone))::date = :day::date
    AND one.position > :window_from AND one.position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR said.store_id = ANY (:store_ids::uuid[]));

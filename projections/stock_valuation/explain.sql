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

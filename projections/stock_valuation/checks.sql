-- value_is_kept: an article's units and value are the sums of its movements and of what was learnt about them.
SELECT state.sku_id, state.quantity, moved.quantity AS moved, state.value_minor,
    moved.value_minor + coalesce(more.value_minor, 0) AS booked
FROM valuation_state AS state
LEFT JOIN (
    SELECT sku_id, sum(quantity) AS quantity, sum(value_minor + revalued_minor) AS value_minor
    FROM valued_movements GROUP BY 1
) AS moved USING (sku_id)
LEFT JOIN (
    SELECT sku_id, sum(value_minor + revalued_minor) AS value_minor FROM value_adjustments GROUP BY 1
) AS more USING (sku_id)
WHERE (state.quantity, state.value_minor)
    IS DISTINCT FROM (moved.quantity, moved.value_minor + coalesce(more.value_minor, 0));

-- days_are_movements: the days of an article add up to what it stands at, and the last of them ends where it stands.
SELECT state.sku_id, state.quantity, found.quantity AS of_days, state.value_minor, found.value_minor AS value_of_days
FROM valuation_state AS state
LEFT JOIN (
    SELECT sku_id, sum(change) AS quantity, sum(change_minor) AS value_minor FROM valuation_days GROUP BY 1
) AS found USING (sku_id)
LEFT JOIN LATERAL (
    SELECT done.end_quantity, done.end_value, done.end_cost, done.end_sizes FROM valuation_days AS done
    WHERE done.sku_id = state.sku_id AND done.end_position IS NOT NULL ORDER BY done.day DESC LIMIT 1
) AS final ON true
WHERE (state.quantity, state.value_minor, state.quantity, state.value_minor, state.unit_cost, state.layer_sizes)
    IS DISTINCT FROM (
        found.quantity, found.value_minor, final.end_quantity, final.end_value, final.end_cost, final.end_sizes
    );

-- places_are_movements: the batches at all locations, and what is under way, are the units that are valued.
SELECT state.sku_id, state.quantity, found.quantity AS at_places
FROM valuation_state AS state
LEFT JOIN (SELECT sku_id, sum(on_hand + in_transit) AS quantity FROM valued_places GROUP BY 1) AS found USING (sku_id)
WHERE state.quantity IS DISTINCT FROM found.quantity;

-- layers_hold_what_is_there: under FIFO the layers are the units, none of them empty or below nothing.
SELECT state.sku_id, state.quantity, state.layer_sizes
FROM valuation_state AS state
WHERE cardinality(state.layer_sizes) <> cardinality(state.layer_costs)
    OR EXISTS (SELECT FROM unnest(state.layer_sizes) AS layer (size) WHERE layer.size <= 0)
    OR state.method = 'fifo' AND greatest(state.quantity, 0) <> coalesce(
        (SELECT sum(layer.size) FROM unnest(state.layer_sizes) AS layer (size)), 0
    )
    OR state.method <> 'fifo' AND cardinality(state.layer_sizes) > 0;

-- average_lies_between: no unit is valued below the lowest or above the highest cost that was ever paid for one.
SELECT state.sku_id, state.unit_cost, paid.lowest, paid.highest
FROM valuation_state AS state
LEFT JOIN (
    SELECT sku_id, min(given_cost) AS lowest, max(given_cost) AS highest FROM valued_movements GROUP BY 1
) AS paid USING (sku_id)
WHERE state.unit_cost IS NOT NULL AND (
    state.unit_cost NOT BETWEEN paid.lowest AND paid.highest
    OR EXISTS (
        SELECT FROM unnest(state.layer_costs) AS layer (cost) WHERE layer.cost NOT BETWEEN paid.lowest AND paid.highest
    )
);

-- no_stock_no_value: when no unit is left, no value is.
SELECT sku_id, value_minor FROM valuation_state WHERE quantity = 0 AND value_minor <> 0;

-- nothing_is_passed_over: every receipt, shipment and return of the log is valued, once, with its units.
SELECT log.sku_id, log.quantity AS in_log, found.quantity AS valued
FROM (
    SELECT stream_id AS sku_id, sum(quantity) AS quantity FROM (
        SELECT stream_id, quantity FROM stock_received
        UNION ALL SELECT stream_id, -quantity FROM stock_shipped
        UNION ALL SELECT stream_id, quantity FROM stock_returned
    ) AS each GROUP BY 1
) AS log LEFT JOIN (
    SELECT sku_id, sum(quantity) AS quantity FROM valued_movements WHERE kind IN ('received', 'shipped', 'returned')
    GROUP BY 1
) AS found USING (sku_id)
WHERE log.quantity IS DISTINCT FROM found.quantity;

-- truth_is_booked: what a movement is valued at now is its row and what was learnt, unless its period was closed before.
SELECT truth.sku_id, truth.position, truth.value_minor, booked.value_minor AS booked_minor
FROM true_costs AS truth
JOIN valued_skus AS sku ON sku.sku_id = truth.sku_id
JOIN valued_movements AS line ON line.sku_id = truth.sku_id AND line.occurred_at = truth.occurred_at
    AND line.position = truth.position
CROSS JOIN LATERAL (
    SELECT line.value_minor + coalesce(sum(more.value_minor), 0) AS value_minor,
        line.revalued_minor + coalesce(sum(more.revalued_minor), 0) AS revalued_minor
    FROM value_adjustments AS more
    WHERE more.sku_id = line.sku_id AND more.occurred_at = line.occurred_at AND more.position = line.position
) AS booked
WHERE (truth.value_minor, truth.revalued_minor) IS DISTINCT FROM (booked.value_minor, booked.revalued_minor)
    AND NOT EXISTS (
        SELECT FROM closed_periods AS period
        WHERE period.store_id = sku.store_id AND period.open_from > truth.occurred_at
    );

-- articles: what is known of an article when it is registered.
INSERT INTO valued_skus (sku_id, store_id, code, name, unit, currency, minor_digits, time_zone)
SELECT sku.stream_id, sku.store_id, sku.code, sku.name, sku.unit, sku.currency, digits_of(sku.currency), sku.time_zone
FROM sku_registered AS sku;

-- methods: from when on a store's stock is valued by which method.
INSERT INTO costing_policies (store_id, effective_from, position, method)
SELECT policy.store_id, policy.effective_from, policy.position, policy.params ->> 'method'
FROM policy_set AS policy WHERE policy.kind = 'costing'
ON CONFLICT DO NOTHING;

-- closes: from when on the books of a store are open.
INSERT INTO closed_periods (store_id, position, open_from)
SELECT period.store_id, period.position, period.open_from FROM period_closed AS period
ON CONFLICT DO NOTHING;

-- values: articles whose movements came in order of time are valued all at once; the others one by one, by revalue.
-- At one time, what was recorded first happened first.
WITH moved AS MATERIALIZED (
    SELECT position, stream_id AS sku_id, occurred_at, recorded_at, time_zone, store_id, location_id, location_id AS transit_id,
        'received' AS kind, NULL::uuid AS order_id, batch, document, quantity AS on_hand, 0::numeric AS in_transit,
        unit_cost AS given_cost, NULL::numeric AS counted
    FROM stock_received
    UNION ALL
    SELECT position, stream_id, occurred_at, recorded_at, time_zone, store_id, location_id, location_id,
        'shipped', order_id, batch, document, -quantity, 0, NULL, NULL
    FROM stock_shipped
    UNION ALL
    SELECT position, stream_id, occurred_at, recorded_at, time_zone, store_id, location_id, location_id,
        'returned', order_id, batch, document, quantity, 0, NULL, NULL
    FROM stock_returned
    UNION ALL
    SELECT position, stream_id, occurred_at, recorded_at, time_zone, store_id, location_id, location_id,
        'written_off', NULL, batch, document, -quantity, 0, NULL, NULL
    FROM stock_written_off
    UNION ALL
    SELECT position, stream_id, occurred_at, recorded_at, time_zone, store_id, location_id, location_id,
        'sample', NULL, batch, document, -quantity, 0, NULL, NULL
    FROM sample_issued
    UNION ALL
    SELECT position, stream_id, occurred_at, recorded_at, time_zone, store_id, location_id, location_id,
        'adjusted', NULL, batch, document, difference, 0, unit_cost, counted
    FROM stock_adjusted
    UNION ALL
    -- What is under way is still ours: a transfer changes no value, only what is lost on the way does.
    SELECT position, stream_id, occurred_at, recorded_at, time_zone, store_id, location_id, to_location_id,
        'transferred_out', NULL, batch, document, -quantity, quantity, NULL, NULL
    FROM stock_transferred_out
    UNION ALL
    SELECT position, stream_id, occurred_at, recorded_at, time_zone, store_id, location_id, location_id,
        'transferred_in', NULL, batch, document, quantity, -(quantity + lost), NULL, NULL
    FROM stock_transferred_in
), recorded AS (
    SELECT position, sku_id, occurred_at, recorded_at, store_id, location_id, kind, order_id, batch, document, on_hand,
        in_transit, on_hand + in_transit AS quantity, given_cost, counted, false AS is_policy
    FROM moved
    UNION ALL
    -- A policy set while an article moves is looked at in its place: it may hold from before movements that are known.
    SELECT policy.position, sku.sku_id, policy.effective_from, policy.recorded_at, sku.store_id, NULL, 'costing', NULL,
        NULL, NULL, 0, 0, 0, NULL, NULL, true
    FROM policy_set AS policy
    JOIN valued_skus AS sku ON sku.store_id = policy.store_id
    LEFT JOIN valuation_state AS state ON state.sku_id = sku.sku_id
    WHERE policy.kind = 'costing' AND in_part(sku.sku_id) AND (
        state.last_at >= policy.effective_from OR sku.sku_id IN (SELECT moved.sku_id FROM moved)
    )
), grouped AS (
    SELECT entry.sku_id, bool_or(entry.is_late) AS is_late,
        array_agg(entry.position ORDER BY entry.position) AS positions,
        array_agg(entry.occurred_at ORDER BY entry.position) AS times,
        array_agg(entry.kind ORDER BY entry.position) AS kinds,
        array_agg(entry.quantity ORDER BY entry.position) AS changes,
        array_agg(entry.given_cost ORDER BY entry.position) AS given,
        array_agg(entry.order_id ORDER BY entry.position) AS orders,
        array_agg(entry.counted ORDER BY entry.position) AS counts
    FROM (
        SELECT recorded.sku_id, recorded.position, recorded.occurred_at, recorded.kind, recorded.quantity,
            recorded.given_cost, recorded.order_id, recorded.counted,
            recorded.is_policy OR coalesce(
                recorded.occurred_at < lag(recorded.occurred_at) OVER (
                    PARTITION BY recorded.sku_id ORDER BY recorded.position
                ), false
            ) AS is_late
        FROM recorded
    ) AS entry
    GROUP BY 1
), keyed AS MATERIALIZED (
    SELECT grouped.sku_id, grouped.is_late OR coalesce(grouped.times[1] < state.last_at, false) AS is_late,
        grouped.positions, grouped.times, grouped.kinds, grouped.changes, grouped.given, grouped.orders, grouped.counts
    FROM grouped LEFT JOIN valuation_state AS state ON state.sku_id = grouped.sku_id
), schedule AS MATERIALIZED (
    SELECT policy.store_id, array_agg(policy.effective_from ORDER BY policy.effective_from, policy.position) AS turns,
        array_agg(policy.method ORDER BY policy.effective_from, policy.position) AS turned_to
    FROM costing_policies AS policy WHERE policy.position <= :window_to GROUP BY 1
), folded AS MATERIALIZED (
    SELECT keyed.sku_id, line.fold_position, line.own, line.revalued, line.unit, line.part_sizes, line.part_costs,
        line.quantity, line.worth, line.method, line.ends, line.cost, line.end_layers, line.end_prices
    FROM keyed
    CROSS JOIN rules AS rule
    JOIN valued_skus AS sku ON sku.sku_id = keyed.sku_id
    LEFT JOIN valuation_state AS state ON state.sku_id = keyed.sku_id
    LEFT JOIN schedule ON schedule.store_id = sku.store_id
    CROSS JOIN LATERAL fold_costs(
        keyed.sku_id, 'infinity', 10::numeric ^ sku.minor_digits, rule.average_places::integer,
        rule.return_at_original_cost, rule.default_method, schedule.turns, schedule.turned_to,
        state.quantity, state.value_minor, state.method, state.unit_cost, state.layer_sizes, state.layer_costs,
        keyed.positions, keyed.times, keyed.kinds, keyed.changes, keyed.given, keyed.orders, keyed.counts
    ) AS line
    WHERE NOT keyed.is_late
), kept AS (
    INSERT INTO valued_movements (
        sku_id, occurred_at, position, location_id, store_id, kind, recorded_at, order_id, batch, document, on_hand,
        in_transit, quantity, given_cost, counted, unit_cost, layer_sizes, layer_costs, method, value_minor,
        revalued_minor, running_quantity, running_value_minor
    )
    SELECT moved.sku_id, moved.occurred_at, moved.position, moved.location_id, moved.store_id, moved.kind,
        moved.recorded_at, moved.order_id, moved.batch, moved.document, moved.on_hand, moved.in_transit,
        moved.on_hand + moved.in_transit, moved.given_cost, moved.counted, folded.unit, folded.part_sizes,
        folded.part_costs, folded.method, folded.own, folded.revalued, folded.quantity, folded.worth
    FROM folded JOIN moved ON moved.position = folded.fold_position
), daily AS (
    INSERT INTO valuation_days AS done (
        sku_id, day, change, change_minor, end_position, end_quantity, end_value, end_method, end_cost, end_sizes,
        end_costs
    )
    SELECT each.sku_id, each.day, each.change, each.change_minor, folded.fold_position, folded.quantity, folded.worth,
        folded.method, folded.cost, folded.end_layers, folded.end_prices
    FROM (
        SELECT moved.sku_id, (moved.occurred_at AT TIME ZONE 'UTC')::date AS day, max(moved.position) AS position,
            sum(moved.on_hand + moved.in_transit) AS change, sum(folded.own + folded.revalued) AS change_minor
        FROM folded JOIN moved ON moved.position = folded.fold_position
        GROUP BY 1, 2
    ) AS each JOIN folded ON folded.fold_position = each.position
    ON CONFLICT (sku_id, day) DO UPDATE SET
        change = done.change + excluded.change, change_minor = done.change_minor + excluded.change_minor,
        end_position = excluded.end_position, end_quantity = excluded.end_quantity, end_value = excluded.end_value,
        end_method = excluded.end_method, end_cost = excluded.end_cost, end_sizes = excluded.end_sizes,
        end_costs = excluded.end_costs
), blocks AS (
    INSERT INTO valuation_blocks AS done (sku_id, day, block, change, change_minor)
    SELECT moved.sku_id, (moved.occurred_at AT TIME ZONE 'UTC')::date, moved.position >> 14,
        sum(moved.on_hand + moved.in_transit), sum(folded.own + folded.revalued)
    FROM folded JOIN moved ON moved.position = folded.fold_position
    GROUP BY 1, 2, 3
    ON CONFLICT (sku_id, day, block) DO UPDATE SET
        change = done.change + excluded.change, change_minor = done.change_minor + excluded.change_minor
), states AS (
    INSERT INTO valuation_state AS state (
        sku_id, last_at, position, quantity, value_minor, method, unit_cost, layer_sizes, layer_costs
    )
    SELECT folded.sku_id, each.last_at, folded.fold_position, folded.quantity, folded.worth, folded.method, folded.cost,
        folded.end_layers, folded.end_prices
    FROM (
        SELECT keyed.positions[cardinality(keyed.positions)] AS position, keyed.times[cardinality(keyed.times)] AS last_at
        FROM keyed WHERE NOT keyed.is_late
    ) AS each JOIN folded ON folded.fold_position = each.position
    ON CONFLICT (sku_id) DO UPDATE SET
        last_at = excluded.last_at, position = excluded.position, quantity = excluded.quantity,
        value_minor = excluded.value_minor, method = excluded.method, unit_cost = excluded.unit_cost,
        layer_sizes = excluded.layer_sizes, layer_costs = excluded.layer_costs
), zones AS (
    -- By which clock something happened to an article, where that is not the usual one.
    INSERT INTO moved_zones (position, time_zone)
    SELECT moved.position, moved.time_zone
    FROM moved JOIN valued_skus AS sku ON sku.sku_id = moved.sku_id
    WHERE moved.time_zone <> sku.time_zone
), places AS (
    INSERT INTO valued_places AS place (sku_id, location_id, batch, on_hand, in_transit)
    SELECT each.sku_id, each.location_id, each.batch, sum(each.on_hand), sum(each.in_transit)
    FROM (
        SELECT moved.sku_id, moved.location_id, coalesce(moved.batch, '') AS batch, moved.on_hand, 0 AS in_transit
        FROM moved
        UNION ALL
        SELECT moved.sku_id, moved.transit_id, coalesce(moved.batch, ''), 0, moved.in_transit
        FROM moved WHERE moved.in_transit <> 0
    ) AS each
    GROUP BY 1, 2, 3
    ON CONFLICT (sku_id, location_id, batch) DO UPDATE SET
        on_hand = place.on_hand + excluded.on_hand, in_transit = place.in_transit + excluded.in_transit
), late AS (
    SELECT entry.sku_id, array_agg(entry.position ORDER BY entry.position) AS positions,
        array_agg(entry.occurred_at ORDER BY entry.position) AS times,
        array_agg(entry.kind ORDER BY entry.position) AS kinds,
        array_agg(entry.quantity ORDER BY entry.position) AS changes,
        array_agg(entry.given_cost ORDER BY entry.position) AS given,
        array_agg(entry.order_id ORDER BY entry.position) AS orders,
        array_agg(entry.location_id ORDER BY entry.position) AS locations,
        array_agg(entry.store_id ORDER BY entry.position) AS stores,
        array_agg(entry.recorded_at ORDER BY entry.position) AS recorded_ats,
        array_agg(entry.batch ORDER BY entry.position) AS batches,
        array_agg(entry.document ORDER BY entry.position) AS documents,
        array_agg(entry.on_hand ORDER BY entry.position) AS on_hands,
        array_agg(entry.in_transit ORDER BY entry.position) AS in_transits,
        array_agg(entry.counted ORDER BY entry.position) AS counts
    FROM recorded AS entry JOIN keyed ON keyed.sku_id = entry.sku_id AND keyed.is_late
    GROUP BY 1
)
SELECT sum(
    revalue(
        late.sku_id, sku.store_id, 10::numeric ^ sku.minor_digits, rule.average_places::integer,
        rule.return_at_original_cost, rule.default_method,
        late.positions, late.times, late.kinds, late.changes, late.given, late.orders, late.locations, late.stores,
        late.recorded_ats, late.batches, late.documents, late.on_hands, late.in_transits, late.counts
    )
)
FROM late CROSS JOIN rules AS rule JOIN valued_skus AS sku ON sku.sku_id = late.sku_id;

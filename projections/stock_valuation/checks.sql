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

-- days_of_stores_are_sums: what is kept by the day of each store is what its movements and what was learnt add up to.
SELECT store_id, measure, day, currency, kept.amount_minor, line.amount AS changed
FROM (
    SELECT one.store_id, one.measure, one.day, one.currency, sum(one.amount_minor) AS amount_minor
    FROM value_days AS one GROUP BY 1, 2, 3, 4
) AS kept
FULL JOIN (
    SELECT said.store_id, said.measure,
        (one.occurred_at AT TIME ZONE coalesce(zone.time_zone, sku.time_zone))::date AS day, sku.currency,
        sum(said.amount) AS amount
    FROM value_changes AS one
    JOIN valued_skus AS sku ON sku.sku_id = one.sku_id
    LEFT JOIN moved_zones AS zone ON zone.position = one.position
    CROSS JOIN LATERAL (VALUES
        ('value', sku.store_id, one.worth), ('cogs', one.store_id, one.cost_of_sales)
    ) AS said (measure, store_id, amount)
    WHERE said.amount <> 0
    GROUP BY 1, 2, 3, 4
) AS line USING (store_id, measure, day, currency)
WHERE kept.amount_minor IS DISTINCT FROM line.amount;

-- blocks_are_days: a day changed by what was recorded about it, block by block.
SELECT sku_id, day, done.change, found.change AS of_blocks, done.change_minor, found.change_minor AS minor_of_blocks
FROM valuation_days AS done FULL JOIN (
    SELECT sku_id, day, sum(change) AS change, sum(change_minor) AS change_minor FROM valuation_blocks GROUP BY 1, 2
) AS found USING (sku_id, day)
WHERE (coalesce(done.change, 0), coalesce(done.change_minor, 0)) IS DISTINCT FROM (found.change, found.change_minor)
    AND (done.change <> 0 OR done.change_minor <> 0 OR found.sku_id IS NOT NULL);

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

-- average_lies_between: no unit that is there is valued below the lowest or above the highest cost of what came in since
-- there was last nothing: costs of units that are gone do not count.
WITH run AS (
    SELECT line.sku_id, line.occurred_at, line.position, line.kind, line.order_id, line.quantity, line.counted,
        CASE WHEN known.position IS NULL THEN coalesce(line.layer_costs, ARRAY[line.unit_cost])
            ELSE coalesce(known.layer_costs, ARRAY[known.unit_cost]) END AS costs,
        sum(line.quantity) OVER (PARTITION BY line.sku_id ORDER BY line.occurred_at, line.position) AS running
    FROM valued_movements AS line
    LEFT JOIN true_costs AS known ON known.sku_id = line.sku_id AND known.occurred_at = line.occurred_at
        AND known.position = line.position
), emptied AS (
    SELECT DISTINCT ON (run.sku_id) run.sku_id, run.occurred_at, run.position
    FROM run WHERE run.running <= 0
    ORDER BY run.sku_id, run.occurred_at DESC, run.position DESC
), arrived AS (
    SELECT run.sku_id, run.occurred_at, run.position, run.kind, run.order_id, run.costs
    FROM run LEFT JOIN emptied ON emptied.sku_id = run.sku_id
    WHERE (run.quantity > 0 OR run.counted IS NOT NULL)
        AND (emptied.sku_id IS NULL OR (run.occurred_at, run.position) > (emptied.occurred_at, emptied.position))
), came AS (
    SELECT arrived.sku_id, part.cost FROM arrived CROSS JOIN LATERAL unnest(arrived.costs) AS part (cost)
    UNION ALL
    -- What comes back has the costs at which it left, and what did not leave by the order, the one last paid.
    SELECT arrived.sku_id, part.cost
    FROM arrived JOIN run AS sent ON sent.sku_id = arrived.sku_id AND sent.order_id = arrived.order_id
    CROSS JOIN LATERAL unnest(sent.costs) AS part (cost)
    WHERE arrived.kind = 'returned' AND sent.quantity < 0
    UNION ALL
    SELECT arrived.sku_id, last.given_cost
    FROM arrived CROSS JOIN LATERAL (
        SELECT paid.given_cost FROM valued_movements AS paid
        WHERE paid.sku_id = arrived.sku_id AND paid.given_cost IS NOT NULL
            AND (paid.occurred_at, paid.position) < (arrived.occurred_at, arrived.position)
        ORDER BY paid.occurred_at DESC, paid.position DESC LIMIT 1
    ) AS last
    WHERE arrived.kind = 'returned'
), there AS (
    SELECT came.sku_id, min(came.cost) AS lowest, max(came.cost) AS highest FROM came GROUP BY 1
)
SELECT state.sku_id, state.method, state.unit_cost, state.layer_costs, there.lowest, there.highest
FROM valuation_state AS state LEFT JOIN there ON there.sku_id = state.sku_id
WHERE state.quantity > 0 AND state.unit_cost IS NOT NULL AND (
    there.lowest IS NULL
    OR state.method <> 'fifo' AND state.unit_cost NOT BETWEEN there.lowest AND there.highest
    OR EXISTS (
        SELECT FROM unnest(state.layer_costs) AS layer (cost) WHERE layer.cost NOT BETWEEN there.lowest AND there.highest
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

-- orders_are_the_log: an order came through its channel, and its lines count for the campaigns that the log says, read anew.
WITH RECURSIVE attributed AS (
    SELECT placed.stream_id AS order_id, placed.line, placed.sku_id, coalesce(placed.campaign_id, largest.campaign_id) AS campaign_id
    FROM order_placed_lines AS placed
    LEFT JOIN LATERAL (
        SELECT CASE WHEN given.value->>'source' = 'coupon' THEN placed.coupon_campaign_id
            ELSE (given.value->>'source_id')::uuid END AS campaign_id
        FROM rules AS rule
        CROSS JOIN jsonb_array_elements(placed.discounts) WITH ORDINALITY AS given (value, rank)
        WHERE rule.discount_attributes AND given.value->>'source' NOT IN ('tier', 'points', 'manual')
            AND CASE WHEN given.value->>'source' = 'coupon' THEN placed.coupon_campaign_id
                ELSE (given.value->>'source_id')::uuid END IS NOT NULL
        ORDER BY (given.value->>'amount_minor')::bigint DESC, given.rank
        LIMIT 1
    ) AS largest ON true
    WHERE coalesce(placed.campaign_id, largest.campaign_id) IS NOT NULL
    UNION ALL
    SELECT origin.order_id, given.line, given.sku_id, origin.campaign_id
    FROM attributed AS origin
    JOIN (
        SELECT stream_id, line, from_line, sku_id FROM shortage_resolved_exchanges
        UNION ALL SELECT stream_id, line, from_line, sku_id FROM return_exchanged_exchanges
    ) AS given ON given.stream_id = origin.order_id AND given.from_line = origin.line
)
SELECT order_id, kept.channel, log.channel AS in_log, kept.campaigns, log.campaigns AS campaigns_in_log
FROM (
    SELECT bought.order_id, bought.channel, counts.campaigns
    FROM order_channels AS bought LEFT JOIN (
        SELECT one.order_id, jsonb_object_agg(one.sku_id, one.campaign_ids) AS campaigns FROM order_campaigns AS one GROUP BY 1
    ) AS counts ON counts.order_id = bought.order_id
) AS kept
FULL JOIN (
    SELECT bought.stream_id AS order_id, bought.channel, counts.campaigns
    FROM order_placed AS bought LEFT JOIN (
        SELECT line.order_id, jsonb_object_agg(line.sku_id, line.campaign_ids) AS campaigns
        FROM (
            SELECT attributed.order_id, attributed.sku_id, array_agg(DISTINCT attributed.campaign_id) AS campaign_ids
            FROM attributed GROUP BY 1, 2
        ) AS line GROUP BY 1
    ) AS counts ON counts.order_id = bought.stream_id
) AS log USING (order_id)
WHERE (kept.channel, kept.campaigns) IS DISTINCT FROM (log.channel, log.campaigns);

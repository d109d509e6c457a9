-- articles: what is known of an article when it is registered.
INSERT INTO valued_skus (sku_id, store_id, code, name, unit, currency, minor_digits, time_zone)
SELECT sku.stream_id, sku.store_id, sku.code, sku.name, sku.unit, sku.currency, digits_of(sku.currency), sku.time_zone
FROM sku_registered AS sku;

-- amended: what was said last of an article stands.
UPDATE valued_skus AS sku SET name = said.name
FROM (
    SELECT DISTINCT ON (stream_id) stream_id, name FROM sku_amended ORDER BY stream_id, position DESC
) AS said
WHERE sku.sku_id = said.stream_id;

-- methods: from when on a store's stock is valued by which method.
INSERT INTO costing_policies (store_id, effective_from, position, method)
SELECT policy.store_id, policy.effective_from, policy.position, policy.params ->> 'method'
FROM policy_set AS policy WHERE policy.kind = 'costing'
ON CONFLICT DO NOTHING;

-- closes: from when on the books of a store are open.
INSERT INTO closed_periods (store_id, position, open_from)
SELECT period.store_id, period.position, period.open_from FROM period_closed AS period
ON CONFLICT DO NOTHING;

-- orders: through which channel each order came, and of its articles that count for a campaign, for which: that whose price a
-- line has, else that of the largest discount. Lines are taken out of the few orders only that name any.
WITH placed AS MATERIALIZED (
    SELECT bought.stream_id AS order_id, bought.channel, bought.coupon_campaign_id, CASE
            WHEN bought.lines @? '$[*] ? (
                @.campaign_id != null || @.discounts[*].source_id != null || @.discounts[*].source == "coupon"
            )' THEN bought.lines
        END AS lines
    FROM order_placed AS bought
), named AS (
    INSERT INTO order_channels (order_id, channel) SELECT placed.order_id, placed.channel FROM placed
), line AS (
    SELECT placed.order_id, (one.value->>'line')::bigint AS line, (one.value->>'sku_id')::uuid AS sku_id,
        coalesce((one.value->>'campaign_id')::uuid, (
            SELECT CASE WHEN given.value->>'source' = 'coupon' THEN placed.coupon_campaign_id
                ELSE (given.value->>'source_id')::uuid END
            FROM jsonb_array_elements(one.value->'discounts') WITH ORDINALITY AS given (value, rank)
            WHERE rule.discount_attributes AND given.value->>'source' NOT IN ('tier', 'points', 'manual')
                AND CASE WHEN given.value->>'source' = 'coupon' THEN placed.coupon_campaign_id
                    ELSE (given.value->>'source_id')::uuid END IS NOT NULL
            ORDER BY (given.value->>'amount_minor')::bigint DESC, given.rank
            LIMIT 1
        )) AS campaign_id
    FROM placed
    CROSS JOIN rules AS rule
    CROSS JOIN LATERAL jsonb_array_elements(placed.lines) AS one (value)
), kept AS (
    INSERT INTO order_campaign_lines (order_id, line, sku_id, campaign_id)
    SELECT line.order_id, line.line, line.sku_id, line.campaign_id FROM line WHERE line.campaign_id IS NOT NULL
)
INSERT INTO order_campaigns (order_id, sku_id, campaign_ids)
SELECT line.order_id, line.sku_id, array_agg(DISTINCT line.campaign_id)
FROM line
WHERE line.campaign_id IS NOT NULL
GROUP BY 1, 2;

-- stand_ins: what is sent in exchange for units of such a line counts for the same campaign, from exchange to exchange.
WITH RECURSIVE given AS (
    SELECT one.stream_id AS order_id, one.line, one.from_line, one.sku_id FROM shortage_resolved_exchanges AS one
    UNION ALL
    SELECT one.stream_id, one.line, one.from_line, one.sku_id FROM return_exchanged_exchanges AS one
), stands_in AS (
    SELECT given.order_id, given.line, given.sku_id, origin.campaign_id
    FROM given
    JOIN order_campaign_lines AS origin ON origin.order_id = given.order_id AND origin.line = given.from_line
    UNION ALL
    SELECT given.order_id, given.line, given.sku_id, origin.campaign_id
    FROM stands_in AS origin
    JOIN given ON given.order_id = origin.order_id AND given.from_line = origin.line
)
INSERT INTO order_campaign_lines (order_id, line, sku_id, campaign_id)
SELECT stands_in.order_id, stands_in.line, stands_in.sku_id, stands_in.campaign_id FROM stands_in;

-- stand_ins_count: an article that stands in counts for the campaigns of all its lines in the order.
INSERT INTO order_campaigns AS counts (order_id, sku_id, campaign_ids)
SELECT given.stream_id, given.sku_id, array_agg(DISTINCT line.campaign_id)
FROM (
    SELECT stream_id, sku_id FROM shortage_resolved_exchanges
    UNION ALL SELECT stream_id, sku_id FROM return_exchanged_exchanges
) AS given
CROSS JOIN LATERAL (
    SELECT known.campaign_id FROM order_campaign_lines AS known
    WHERE known.order_id = given.stream_id AND known.sku_id = given.sku_id OFFSET 0
) AS line
GROUP BY 1, 2
ON CONFLICT (order_id, sku_id) DO UPDATE SET campaign_ids = excluded.campaign_ids;

-- values: articles whose movements came in order of time are valued all at once; the others step by step, by revalue.
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
    SELECT position, sku_id, occurred_at, recorded_at, time_zone, store_id, location_id, kind, order_id, batch, document,
        on_hand, in_transit, on_hand + in_transit AS quantity, given_cost, counted, false AS is_policy
    FROM moved
    UNION ALL
    -- A policy set while an article moves is looked at in its place: it may hold from before movements that are known.
    SELECT policy.position, sku.sku_id, policy.effective_from, policy.recorded_at, sku.time_zone, sku.store_id, NULL, 'costing', NULL,
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
        line.quantity, line.worth, line.method, line.ended, line.cost, line.end_layers, line.end_prices
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
), changed AS MATERIALIZED (
    SELECT moved.sku_id, (moved.occurred_at AT TIME ZONE 'UTC')::date AS day, moved.position >> 14 AS block,
        sum(moved.on_hand + moved.in_transit) AS change, sum(folded.own + folded.revalued) AS change_minor
    FROM folded JOIN moved ON moved.position = folded.fold_position
    GROUP BY 1, 2, 3
), daily AS (
    INSERT INTO valuation_days AS done (
        sku_id, day, change, change_minor, end_position, end_quantity, end_value, end_method, end_cost, end_sizes,
        end_costs
    )
    SELECT folded.sku_id, folded.ended, each.change, each.change_minor, folded.fold_position, folded.quantity,
        folded.worth, folded.method, folded.cost, folded.end_layers, folded.end_prices
    FROM folded JOIN (
        SELECT changed.sku_id, changed.day, sum(changed.change) AS change, sum(changed.change_minor) AS change_minor
        FROM changed GROUP BY 1, 2
    ) AS each ON each.sku_id = folded.sku_id AND each.day = folded.ended
    ON CONFLICT (sku_id, day) DO UPDATE SET
        change = done.change + excluded.change, change_minor = done.change_minor + excluded.change_minor,
        end_position = excluded.end_position, end_quantity = excluded.end_quantity, end_value = excluded.end_value,
        end_method = excluded.end_method, end_cost = excluded.end_cost, end_sizes = excluded.end_sizes,
        end_costs = excluded.end_costs
), blocks AS (
    INSERT INTO valuation_blocks AS done (sku_id, day, block, change, change_minor)
    SELECT changed.sku_id, changed.day, changed.block, changed.change, changed.change_minor FROM changed
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
    -- Of articles of which a record is late: the latest time that is known when each is recorded.
    SELECT entry.sku_id, entry.position, entry.occurred_at, entry.is_policy,
        greatest(max(entry.occurred_at) FILTER (WHERE NOT entry.is_policy) OVER earlier, state.last_at) AS latest
    FROM recorded AS entry
    JOIN keyed ON keyed.sku_id = entry.sku_id AND keyed.is_late
    LEFT JOIN valuation_state AS state ON state.sku_id = entry.sku_id
    WINDOW earlier AS (
        PARTITION BY entry.sku_id ORDER BY entry.position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
), broken AS (
    -- A late record breaks the order of time. So does a policy that holds from later on: it changes nothing by itself, but
    -- what comes after it is folded by it.
    SELECT late.sku_id, late.position, late.occurred_at, late.latest,
        late.is_policy OR coalesce(late.occurred_at < late.latest, false) AS is_break,
        late.is_policy AND coalesce(late.latest < late.occurred_at, true) AS is_over,
        count(*) FILTER (WHERE late.is_policy OR late.occurred_at < late.latest) OVER (
            PARTITION BY late.sku_id ORDER BY late.position ROWS UNBOUNDED PRECEDING
        ) AS breaks
    FROM late
), stepped AS (
    -- Step 2n - 1 is an article's n-th break, step 2n what follows it in order of time; `next_at` is when the late record after
    -- that happened.
    SELECT broken.sku_id, broken.position, broken.latest, broken.is_over,
        2 * broken.breaks - broken.is_break::integer AS step,
        max(broken.occurred_at) FILTER (WHERE broken.is_break AND NOT broken.is_over) OVER (
            PARTITION BY broken.sku_id ORDER BY broken.breaks GROUPS BETWEEN 1 FOLLOWING AND 1 FOLLOWING
        ) AS next_at
    FROM broken
)
SELECT sum(
    revalue(
        each.step % 2 = 1, rule.average_places::integer, rule.return_at_original_cost, rule.default_method,
        each.skus, each.positions, each.times, each.kinds, each.changes, each.given, each.orders, each.locations,
        each.stores, each.recorded_ats, each.batches, each.documents, each.on_hands, each.in_transits, each.counts,
        each.zones, each.latest_times, each.next_times
    )
)
FROM rules AS rule CROSS JOIN (
    SELECT line.step, line.portion,
        array_agg(line.sku_id ORDER BY line.sku_id, line.position) AS skus,
        array_agg(line.position ORDER BY line.sku_id, line.position) AS positions,
        array_agg(line.occurred_at ORDER BY line.sku_id, line.position) AS times,
        array_agg(line.kind ORDER BY line.sku_id, line.position) AS kinds,
        array_agg(line.quantity ORDER BY line.sku_id, line.position) AS changes,
        array_agg(line.given_cost ORDER BY line.sku_id, line.position) AS given,
        array_agg(line.order_id ORDER BY line.sku_id, line.position) AS orders,
        array_agg(line.location_id ORDER BY line.sku_id, line.position) AS locations,
        array_agg(line.store_id ORDER BY line.sku_id, line.position) AS stores,
        array_agg(line.recorded_at ORDER BY line.sku_id, line.position) AS recorded_ats,
        array_agg(line.batch ORDER BY line.sku_id, line.position) AS batches,
        array_agg(line.document ORDER BY line.sku_id, line.position) AS documents,
        array_agg(line.on_hand ORDER BY line.sku_id, line.position) AS on_hands,
        array_agg(line.in_transit ORDER BY line.sku_id, line.position) AS in_transits,
        array_agg(line.counted ORDER BY line.sku_id, line.position) AS counts,
        array_agg(line.time_zone ORDER BY line.sku_id, line.position) AS zones,
        array_agg(line.latest ORDER BY line.sku_id, line.position) AS latest_times,
        array_agg(line.next_at ORDER BY line.sku_id, line.position) AS next_times
    FROM (
        SELECT entry.sku_id, entry.position, entry.occurred_at, entry.kind, entry.quantity, entry.given_cost,
            entry.order_id, entry.location_id, entry.store_id, entry.recorded_at, entry.batch, entry.document,
            entry.on_hand, entry.in_transit, entry.counted, entry.time_zone, stepped.latest, stepped.next_at, stepped.step,
            -- A policy can make all of a store's past late: so many articles at a time, whose history stays in memory.
            stepped.step % 2 * (row_number() OVER (PARTITION BY stepped.step ORDER BY entry.sku_id) / 100) AS portion
        FROM stepped JOIN recorded AS entry ON entry.sku_id = stepped.sku_id AND entry.position = stepped.position
        WHERE NOT stepped.is_over
    ) AS line
    GROUP BY 1, 2 ORDER BY 1, 2
) AS each
UNION ALL
SELECT add_to_days(
    array_agg(each.store_id), array_agg(each.measure), array_agg(each.day), array_agg(each.currency),
    array_agg(each.share), array_agg(each.amount)
)
FROM (
    SELECT said.store_id, said.measure, valued.day, valued.currency, valued.share, sum(said.amount) AS amount
    FROM (
        SELECT sku.store_id AS home, moved.store_id, (moved.occurred_at AT TIME ZONE moved.time_zone)::date AS day,
            sku.currency, share_of(moved.sku_id) AS share,
            sum((folded.own + folded.revalued)::bigint) FILTER (WHERE folded.own + folded.revalued <> 0) AS worth,
            sum(-folded.own::bigint) FILTER (WHERE moved.kind IN ('shipped', 'returned') AND folded.own <> 0) AS cost_of_sales
        FROM folded
        JOIN moved ON moved.position = folded.fold_position
        JOIN valued_skus AS sku ON sku.sku_id = moved.sku_id
        GROUP BY 1, 2, 3, 4, 5
    ) AS valued
    CROSS JOIN LATERAL (VALUES
        ('value', valued.home, valued.worth), ('cogs', valued.store_id, valued.cost_of_sales)
    ) AS said (measure, store_id, amount)
    WHERE said.amount IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5
) AS each
HAVING count(*) > 0;

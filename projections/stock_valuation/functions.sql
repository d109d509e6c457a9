-- half_even: `value` to a whole number, halves to the even neighbour; PostgreSQL's round() takes them away from zero.
CREATE FUNCTION half_even(value numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    whole numeric := round(value);
BEGIN
    IF abs(whole - value) = 0.5 THEN
        RETURN 2 * round(value * 0.5);
    END IF;
    RETURN whole;
END
$$;

-- mean_cost: amount / quantity to so many places, half-even and exactly: a quotient is never rounded twice.
CREATE FUNCTION mean_cost(amount numeric, quantity numeric, places integer) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    scaled numeric := amount * 10::numeric ^ places;
    whole numeric := div(scaled, quantity);
    twice numeric := 2 * (scaled - whole * quantity);
BEGIN
    IF twice > quantity OR (twice = quantity AND mod(whole, 2) = 1) THEN
        whole := whole + 1;
    END IF;
    RETURN trim_scale(whole / 10::numeric ^ places);
END
$$;

-- digits_of: decimal places of a currency's minor unit, by CLDR.
CREATE FUNCTION digits_of(currency text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN currency IN (
            'ADP', 'AFN', 'ALL', 'BIF', 'BYR', 'CLP', 'DJF', 'ESP', 'GNF', 'IQD', 'IRR', 'ISK', 'ITL', 'JPY', 'KMF',
            'KPW', 'KRW', 'LAK', 'LBP', 'LUF', 'MGA', 'MGF', 'MMK', 'MRO', 'PYG', 'RSD', 'RWF', 'SLL', 'SOS', 'STD',
            'SYP', 'TMM', 'TRL', 'UGX', 'UYI', 'VND', 'VUV', 'XAF', 'XOF', 'XPF', 'YER', 'ZMK', 'ZWD'
        ) THEN 0
        WHEN currency IN ('BHD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') THEN 3
        WHEN currency IN ('CLF', 'UYW') THEN 4
        ELSE 2
    END
$$;

-- shipped_layers: the layers that an order's units of an article left from before a time, in the order in which they left,
-- and how many units came back before. `since` bounds by time, so that a fold never sees what it is about to value.
CREATE FUNCTION shipped_layers(
    sku uuid, asked uuid, since timestamptz, OUT sizes numeric[], OUT costs numeric[], OUT back numeric
) LANGUAGE plpgsql STABLE SET plan_cache_mode = 'force_generic_plan' AS $$
DECLARE
    line record;
BEGIN
    sizes := '{}';
    costs := '{}';
    back := 0;
    FOR line IN
        SELECT moved.kind, moved.quantity,
            CASE WHEN known.position IS NULL THEN moved.unit_cost ELSE known.unit_cost END AS cost,
            CASE WHEN known.position IS NULL THEN moved.layer_sizes ELSE known.layer_sizes END AS parts,
            CASE WHEN known.position IS NULL THEN moved.layer_costs ELSE known.layer_costs END AS part_costs
        FROM valued_movements AS moved
        LEFT JOIN true_costs AS known ON known.sku_id = moved.sku_id AND known.occurred_at = moved.occurred_at
            AND known.position = moved.position
        WHERE moved.order_id = asked AND moved.sku_id = sku AND moved.occurred_at < since
        ORDER BY moved.occurred_at, moved.position
    LOOP
        IF line.kind = 'returned' THEN
            back := back + line.quantity;
        ELSIF line.parts IS NULL THEN
            sizes := array_append(sizes, -line.quantity);
            costs := array_append(costs, line.cost);
        ELSE
            sizes := sizes || line.parts;
            costs := costs || line.part_costs;
        END IF;
    END LOOP;
END
$$;

-- fold_costs: values the movements of one article (arrays, in order of time and position) from a kept state on.
-- Returns a row for each movement: what it is worth, what came of it, and at the end of each UTC day the whole state.
-- This is the only place that knows how stock is valued.
CREATE FUNCTION fold_costs(
    sku uuid, since timestamptz, scale numeric, places integer, original boolean, fallback text,
    turns timestamptz[], turned_to text[],
    kept_quantity numeric, kept_value numeric, kept_method text, kept_cost numeric, kept_sizes numeric[],
    kept_costs numeric[],
    positions bigint[], times timestamptz[], kinds text[], changes numeric[], given numeric[], orders uuid[],
    counts numeric[]
) RETURNS TABLE (
    fold_position bigint, own numeric, revalued numeric, unit numeric, part_sizes numeric[], part_costs numeric[],
    quantity numeric, worth numeric, method text, ends boolean, cost numeric, end_layers numeric[], end_prices numeric[]
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    entries integer := coalesce(array_length(positions, 1), 0);
    turning integer := coalesce(array_length(turns, 1), 0);
    turn integer := 0;
    wanted text := fallback;
    layers numeric[];
    prices numeric[];
    paid boolean;
    head integer := 1;
    tail integer;
    change numeric;
    price numeric;
    before numeric;
    was numeric;
    amount numeric;
    need numeric;
    size numeric;
    taken numeric;
    parts integer;
    matched boolean;
    remembers boolean := 'returned' = ANY (kinds);
    memory_sizes numeric[] := '{}';
    memory_costs numeric[] := '{}';
    memory_first integer[] := '{}';
    memory_last integer[] := '{}';
    remembered integer := 0;
    earlier integer;
    back numeric;
    source_sizes numeric[];
    source_costs numeric[];
    today date;
    next_day date;
BEGIN
    quantity := coalesce(kept_quantity, 0);
    worth := coalesce(kept_value, 0);
    method := coalesce(kept_method, fallback);
    cost := kept_cost;
    layers := coalesce(kept_sizes, '{}');
    prices := coalesce(kept_costs, '{}');
    tail := coalesce(array_length(layers, 1), 0);
    IF entries > 0 THEN
        next_day := (times[1] AT TIME ZONE 'UTC')::date;
    END IF;
    FOR entry IN 1 .. entries LOOP
        fold_position := positions[entry];
        change := changes[entry];
        price := given[entry];
        paid := price IS NOT NULL;
        today := next_day;
        IF entry < entries THEN
            next_day := (times[entry + 1] AT TIME ZONE 'UTC')::date;
        END IF;
        ends := entry = entries OR next_day <> today;

        -- The method in force. A change takes the stock over at its value: its shape alone changes.
        WHILE turn < turning AND turns[turn + 1] <= times[entry] LOOP
            turn := turn + 1;
            wanted := turned_to[turn];
        END LOOP;
        IF wanted <> method THEN
            IF wanted = 'fifo' THEN
                head := 1;
                IF quantity > 0 THEN
                    layers := ARRAY[quantity];
                    prices := ARRAY[coalesce(cost, 0)];
                    tail := 1;
                ELSE
                    layers := '{}';
                    prices := '{}';
                    tail := 0;
                END IF;
            ELSE
                IF quantity > 0 AND cost IS NOT NULL THEN
                    amount := 0;
                    FOR part IN head .. tail LOOP
                        amount := amount + layers[part] * prices[part];
                    END LOOP;
                    cost := mean_cost(amount, quantity, places);
                END IF;
                layers := '{}';
                prices := '{}';
                head := 1;
                tail := 0;
            END IF;
            method := wanted;
        END IF;

        before := worth;
        was := quantity;
        quantity := was + change;
        revalued := 0;
        part_sizes := NULL;
        part_costs := NULL;
        unit := cost;
        IF counts[entry] IS NOT NULL AND paid THEN
            -- A count that sets a cost: what the book had there leaves as it is valued, oldest first; what was counted lies
            -- down as one layer of its cost. Of an article that is nowhere else, all units have that cost from then on.
            need := greatest(counts[entry] - change, 0);
            size := need + change;
            unit := price;
            own := half_even(change * price * scale);
            IF cost IS NULL OR was <= need THEN
                cost := price;
                layers := '{}';
                prices := '{}';
                head := 1;
                tail := 0;
                IF method = 'fifo' AND quantity > 0 THEN
                    layers := ARRAY[quantity];
                    prices := ARRAY[price];
                    tail := 1;
                END IF;
                worth := half_even(quantity * price * scale);
            ELSE
                IF method = 'moving_average' THEN
                    amount := need * cost;
                    cost := mean_cost((was - need) * cost + size * price, quantity, places);
                ELSE
                    amount := 0;
                    WHILE need > 0 LOOP
                        taken := least(layers[head], need);
                        amount := amount + taken * prices[head];
                        need := need - taken;
                        IF taken = layers[head] THEN
                            head := head + 1;
                        ELSE
                            layers[head] := layers[head] - taken;
                        END IF;
                    END LOOP;
                    IF prices[tail] = price THEN
                        layers[tail] := layers[tail] + size;
                    ELSE
                        tail := tail + 1;
                        layers[tail] := size;
                        prices[tail] := price;
                    END IF;
                    cost := price;
                END IF;
                worth := before - half_even(amount * scale) + half_even(size * price * scale);
            END IF;
            revalued := worth - before - own;
        ELSIF change < 0 THEN
            -- Units leave: the oldest layers first, or at the average. Units that are not there leave at the last cost.
            parts := 0;
            IF method = 'moving_average' THEN
                amount := -change * coalesce(cost, 0);
            ELSE
                amount := 0;
                need := -change;
                WHILE need > 0 AND head <= tail LOOP
                    size := layers[head];
                    price := prices[head];
                    IF size > need THEN
                        taken := need;
                        layers[head] := size - need;
                    ELSE
                        taken := size;
                        head := head + 1;
                    END IF;
                    need := need - taken;
                    amount := amount + taken * price;
                    parts := parts + 1;
                    IF parts = 1 THEN
                        IF cost IS NOT NULL THEN
                            unit := price;
                        END IF;
                        size := taken;
                    END IF;
                    IF need > 0 OR parts > 1 THEN
                        part_sizes := array_append(part_sizes, taken);
                        part_costs := array_append(part_costs, CASE WHEN cost IS NULL THEN NULL ELSE price END);
                    END IF;
                END LOOP;
                IF need > 0 THEN
                    amount := amount + need * coalesce(cost, 0);
                    parts := parts + 1;
                    part_sizes := array_append(part_sizes, need);
                    part_costs := array_append(part_costs, cost);
                END IF;
                IF parts > 1 AND cost IS NOT NULL THEN
                    unit := mean_cost(amount, -change, places);
                END IF;
                IF parts < 2 THEN
                    part_sizes := NULL;
                    part_costs := NULL;
                END IF;
                IF head > tail AND tail > 0 THEN
                    layers := '{}';
                    prices := '{}';
                    head := 1;
                    tail := 0;
                END IF;
            END IF;
            IF quantity > 0 THEN
                amount := amount * scale;
                own := round(amount);
                IF abs(own - amount) = 0.5 THEN
                    own := 2 * round(amount * 0.5);
                END IF;
                worth := before - own;
            ELSE
                -- With the last unit goes what rounding has left; what is owed is worth its cost, rounded.
                worth := half_even(quantity * coalesce(cost, 0) * scale);
            END IF;
            own := worth - before;
            IF remembers AND orders[entry] IS NOT NULL THEN
                memory_first[entry] := remembered + 1;
                IF parts > 1 THEN
                    FOR part IN 1 .. parts LOOP
                        remembered := remembered + 1;
                        memory_sizes[remembered] := part_sizes[part];
                        memory_costs[remembered] := part_costs[part];
                    END LOOP;
                ELSE
                    remembered := remembered + 1;
                    memory_sizes[remembered] := -change;
                    memory_costs[remembered] := unit;
                END IF;
                memory_last[entry] := remembered;
            END IF;
        ELSIF change > 0 THEN
            matched := false;
            source_sizes := NULL;
            IF kinds[entry] = 'returned' AND original AND orders[entry] IS NOT NULL THEN
                -- Units come back at the prices of the layers that the order's units left from, first left, first back.
                SELECT found.sizes, found.costs, found.back INTO source_sizes, source_costs, back
                FROM shipped_layers(sku, orders[entry], since) AS found;
                earlier := array_position(orders, orders[entry]);
                WHILE earlier < entry LOOP
                    IF kinds[earlier] = 'returned' THEN
                        back := back + changes[earlier];
                    ELSE
                        source_sizes := source_sizes || memory_sizes[memory_first[earlier]:memory_last[earlier]];
                        source_costs := source_costs || memory_costs[memory_first[earlier]:memory_last[earlier]];
                    END IF;
                    earlier := array_position(orders, orders[entry], earlier + 1);
                END LOOP;
                need := change;
                amount := 0;
                FOR part IN 1 .. coalesce(array_length(source_sizes, 1), 0) LOOP
                    EXIT WHEN need = 0;
                    size := source_sizes[part];
                    taken := least(size, back);
                    back := back - taken;
                    taken := least(size - taken, need);
                    IF taken > 0 THEN
                        need := need - taken;
                        matched := matched OR source_costs[part] IS NOT NULL;
                        price := coalesce(source_costs[part], cost);
                        amount := amount + taken * coalesce(price, 0);
                        part_sizes := array_append(part_sizes, taken);
                        part_costs := array_append(part_costs, price);
                    END IF;
                END LOOP;
                IF need > 0 THEN
                    amount := amount + need * coalesce(cost, 0);
                    part_sizes := array_append(part_sizes, need);
                    part_costs := array_append(part_costs, cost);
                END IF;
                parts := array_length(part_sizes, 1);
                IF matched THEN
                    unit := mean_cost(amount, change, places);
                END IF;
            ELSE
                parts := 1;
                IF paid THEN
                    unit := price;
                END IF;
                amount := change * coalesce(unit, 0);
            END IF;
            own := half_even(amount * scale);
            IF method = 'moving_average' THEN
                IF paid OR matched THEN
                    IF cost IS NULL OR was <= 0 THEN
                        -- What comes into nothing, or less, or into units of unknown cost, sets the cost of all anew.
                        cost := mean_cost(amount, change, places);
                        worth := half_even(quantity * cost * scale);
                    ELSE
                        cost := mean_cost(was * cost + amount, quantity, places);
                        worth := before + own;
                    END IF;
                ELSIF was <= 0 THEN
                    worth := half_even(quantity * coalesce(cost, 0) * scale);
                ELSE
                    worth := before + own;
                END IF;
            ELSIF paid AND (cost IS NULL OR was <= 0) THEN
                cost := price;
                head := 1;
                IF quantity > 0 THEN
                    layers := ARRAY[quantity];
                    prices := ARRAY[cost];
                    tail := 1;
                ELSE
                    layers := '{}';
                    prices := '{}';
                    tail := 0;
                END IF;
                worth := half_even(quantity * cost * scale);
            ELSE
                -- What is owed is covered by the first units to come; the others lie down at the end of the layers.
                need := greatest(-was, 0);
                FOR part IN 1 .. parts LOOP
                    IF part_sizes IS NULL THEN
                        size := change;
                        price := unit;
                    ELSE
                        size := part_sizes[part];
                        price := part_costs[part];
                    END IF;
                    taken := least(size, need);
                    need := need - taken;
                    size := size - taken;
                    IF size > 0 THEN
                        price := coalesce(price, 0);
                        IF tail >= head AND prices[tail] = price THEN
                            layers[tail] := layers[tail] + size;
                        ELSE
                            tail := tail + 1;
                            layers[tail] := size;
                            prices[tail] := price;
                        END IF;
                    END IF;
                END LOOP;
                IF was > 0 THEN
                    worth := before + own;
                ELSIF quantity <= 0 THEN
                    worth := half_even(quantity * coalesce(cost, 0) * scale);
                ELSE
                    amount := 0;
                    FOR part IN head .. tail LOOP
                        amount := amount + layers[part] * prices[part];
                    END LOOP;
                    worth := half_even(amount * scale);
                END IF;
                IF paid THEN
                    cost := given[entry];
                END IF;
            END IF;
            revalued := worth - before - own;
            part_sizes := NULL;
            part_costs := NULL;
        ELSE
            own := 0;
        END IF;
        IF ends THEN
            -- Layers that are used up are dropped, so that equal states are equal rows.
            IF head > 1 THEN
                layers := layers[head:tail];
                prices := prices[head:tail];
                tail := tail - head + 1;
                head := 1;
            END IF;
            end_layers := layers;
            end_prices := prices;
        ELSE
            end_layers := NULL;
            end_prices := NULL;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;

-- revalue: takes in one article's records of a window, in the order in which they were recorded, when one of them is late:
-- a movement dated before others that are known, or a costing policy in force before movements that are known.
-- All that follows such a cause is folded again from the end of the day before it. Rows stay as they are: a difference is
-- a new row that names its cause, and differences of closed periods are one row at the moment when the books opened.
CREATE FUNCTION revalue(
    sku uuid, home uuid, scale numeric, places integer, original boolean, fallback text,
    positions bigint[], times timestamptz[], kinds text[], changes numeric[], given numeric[], orders uuid[],
    locations uuid[], stores uuid[], recorded timestamptz[], batches text[], documents text[], on_hands numeric[],
    in_transits numeric[], counts numeric[]
) RETURNS integer LANGUAGE plpgsql VOLATILE
-- Planned anew each time, as a rebuild plans its windows, its statements would take longer to plan than to run.
SET plan_cache_mode = 'force_generic_plan' AS $$
DECLARE
    entries integer := array_length(positions, 1);
    first integer := 1;
    last integer;
    latest timestamptz;
    starts timestamptz;
    opened timestamptz;
    turns timestamptz[];
    turned_to text[];
    base record;
BEGIN
    SELECT state.last_at INTO latest FROM valuation_state AS state WHERE state.sku_id = sku;
    WHILE first <= entries LOOP
        SELECT array_agg(policy.effective_from ORDER BY policy.effective_from, policy.position),
            array_agg(policy.method ORDER BY policy.effective_from, policy.position)
        INTO turns, turned_to
        FROM costing_policies AS policy
        WHERE policy.store_id = home AND policy.position <= positions[first];

        IF kinds[first] = 'costing' AND (latest IS NULL OR latest < times[first]) THEN
            first := first + 1;
        ELSIF kinds[first] <> 'costing' AND (latest IS NULL OR times[first] >= latest) THEN
            last := first;
            WHILE last < entries AND kinds[last + 1] <> 'costing' AND times[last + 1] >= times[last] LOOP
                last := last + 1;
            END LOOP;
            WITH entry AS (
                SELECT each.position, each.occurred_at, each.kind, each.quantity, each.given_cost, each.order_id,
                    each.location_id, each.store_id, each.recorded_at, each.batch, each.document, each.on_hand,
                    each.in_transit, each.counted
                FROM unnest(
                    positions[first:last], times[first:last], kinds[first:last], changes[first:last],
                    given[first:last], orders[first:last], locations[first:last], stores[first:last],
                    recorded[first:last], batches[first:last], documents[first:last], on_hands[first:last],
                    in_transits[first:last], counts[first:last]
                ) AS each (position, occurred_at, kind, quantity, given_cost, order_id, location_id, store_id,
                    recorded_at, batch, document, on_hand, in_transit, counted)
            ), folded AS MATERIALIZED (
                SELECT line.fold_position, line.own, line.revalued, line.unit, line.part_sizes, line.part_costs,
                    line.quantity, line.worth, line.method, line.ends, line.cost, line.end_layers, line.end_prices
                FROM (SELECT 1) AS one
                LEFT JOIN valuation_state AS state ON state.sku_id = sku
                CROSS JOIN LATERAL fold_costs(
                    sku, 'infinity', scale, places, original, fallback, turns, turned_to,
                    state.quantity, state.value_minor, state.method, state.unit_cost, state.layer_sizes,
                    state.layer_costs, positions[first:last], times[first:last], kinds[first:last],
                    changes[first:last], given[first:last], orders[first:last], counts[first:last]
                ) AS line
            ), kept AS (
                INSERT INTO valued_movements (
                    sku_id, occurred_at, position, location_id, store_id, kind, recorded_at, order_id, batch, document,
                    on_hand, in_transit, quantity, given_cost, counted, unit_cost, layer_sizes, layer_costs, method,
                    value_minor, revalued_minor, running_quantity, running_value_minor
                )
                SELECT sku, entry.occurred_at, entry.position, entry.location_id, entry.store_id, entry.kind,
                    entry.recorded_at, entry.order_id, entry.batch, entry.document, entry.on_hand, entry.in_transit,
                    entry.quantity, entry.given_cost, entry.counted, folded.unit, folded.part_sizes, folded.part_costs, folded.method,
                    folded.own, folded.revalued, folded.quantity, folded.worth
                FROM entry JOIN folded ON folded.fold_position = entry.position
            ), daily AS (
                INSERT INTO valuation_days AS done (
                    sku_id, day, change, change_minor, end_position, end_quantity, end_value, end_method, end_cost,
                    end_sizes, end_costs
                )
                SELECT sku, moved.day, moved.change, moved.change_minor, folded.fold_position, folded.quantity,
                    folded.worth, folded.method, folded.cost, folded.end_layers, folded.end_prices
                FROM (
                    SELECT (entry.occurred_at AT TIME ZONE 'UTC')::date AS day, max(entry.position) AS position,
                        sum(entry.quantity) AS change, sum(folded.own + folded.revalued) AS change_minor
                    FROM entry JOIN folded ON folded.fold_position = entry.position GROUP BY 1
                ) AS moved JOIN folded ON folded.fold_position = moved.position
                ON CONFLICT (sku_id, day) DO UPDATE SET
                    change = done.change + excluded.change, change_minor = done.change_minor + excluded.change_minor,
                    end_position = excluded.end_position, end_quantity = excluded.end_quantity,
                    end_value = excluded.end_value, end_method = excluded.end_method, end_cost = excluded.end_cost,
                    end_sizes = excluded.end_sizes, end_costs = excluded.end_costs
            ), blocks AS (
                INSERT INTO valuation_blocks AS done (sku_id, day, block, change, change_minor)
                SELECT sku, (entry.occurred_at AT TIME ZONE 'UTC')::date, entry.position >> 14, sum(entry.quantity),
                    sum(folded.own + folded.revalued)
                FROM entry JOIN folded ON folded.fold_position = entry.position
                GROUP BY 2, 3
                ON CONFLICT (sku_id, day, block) DO UPDATE SET
                    change = done.change + excluded.change, change_minor = done.change_minor + excluded.change_minor
            )
            INSERT INTO valuation_state AS state (
                sku_id, last_at, position, quantity, value_minor, method, unit_cost, layer_sizes, layer_costs
            )
            SELECT sku, times[last], positions[last], folded.quantity, folded.worth, folded.method, folded.cost,
                folded.end_layers, folded.end_prices
            FROM folded WHERE folded.fold_position = positions[last]
            ON CONFLICT (sku_id) DO UPDATE SET
                last_at = excluded.last_at, position = excluded.position, quantity = excluded.quantity,
                value_minor = excluded.value_minor, method = excluded.method, unit_cost = excluded.unit_cost,
                layer_sizes = excluded.layer_sizes, layer_costs = excluded.layer_costs;
            latest := times[last];
            first := last + 1;
        ELSE
            starts := date_trunc('day', times[first], 'UTC');
            SELECT max(period.open_from) INTO opened FROM closed_periods AS period
            WHERE period.store_id = home AND period.position < positions[first];
            SELECT before.end_quantity, before.end_value, before.end_method, before.end_cost, before.end_sizes,
                before.end_costs
            INTO base
            FROM valuation_days AS before
            WHERE before.sku_id = sku AND before.day < (starts AT TIME ZONE 'UTC')::date
                AND before.end_position IS NOT NULL
            ORDER BY before.day DESC LIMIT 1;
            WITH line AS MATERIALIZED (
                SELECT moved.position, moved.occurred_at, moved.kind, moved.quantity, moved.given_cost, moved.order_id,
                    moved.counted, false AS late,
                    CASE WHEN known.position IS NULL THEN moved.value_minor ELSE known.value_minor END AS value_minor,
                    CASE WHEN known.position IS NULL THEN moved.revalued_minor ELSE known.revalued_minor END
                        AS revalued_minor,
                    CASE WHEN known.position IS NULL THEN moved.unit_cost ELSE known.unit_cost END AS unit_cost,
                    CASE WHEN known.position IS NULL THEN moved.layer_sizes ELSE known.layer_sizes END AS layer_sizes,
                    CASE WHEN known.position IS NULL THEN moved.layer_costs ELSE known.layer_costs END AS layer_costs
                FROM valued_movements AS moved
                LEFT JOIN true_costs AS known ON known.sku_id = moved.sku_id AND known.occurred_at = moved.occurred_at
                    AND known.position = moved.position
                WHERE moved.sku_id = sku AND moved.occurred_at >= starts
                UNION ALL
                SELECT positions[first], times[first], kinds[first], changes[first], given[first], orders[first],
                    counts[first], true, 0, 0, NULL, NULL, NULL
                WHERE kinds[first] <> 'costing'
            ), folded AS MATERIALIZED (
                SELECT fold.fold_position, fold.own, fold.revalued, fold.unit, fold.part_sizes, fold.part_costs,
                    fold.quantity, fold.worth, fold.method, fold.ends, fold.cost, fold.end_layers, fold.end_prices
                FROM (
                    SELECT array_agg(line.position ORDER BY line.occurred_at, line.position) AS positions,
                        array_agg(line.occurred_at ORDER BY line.occurred_at, line.position) AS times,
                        array_agg(line.kind ORDER BY line.occurred_at, line.position) AS kinds,
                        array_agg(line.quantity ORDER BY line.occurred_at, line.position) AS changes,
                        array_agg(line.given_cost ORDER BY line.occurred_at, line.position) AS given,
                        array_agg(line.order_id ORDER BY line.occurred_at, line.position) AS orders,
                        array_agg(line.counted ORDER BY line.occurred_at, line.position) AS counts
                    FROM line
                ) AS run CROSS JOIN LATERAL fold_costs(
                    sku, starts, scale, places, original, fallback, turns, turned_to,
                    base.end_quantity, base.end_value, base.end_method, base.end_cost, base.end_sizes, base.end_costs,
                    run.positions, run.times, run.kinds, run.changes, run.given, run.orders, run.counts
                ) AS fold
            ), final AS (
                SELECT folded.quantity, folded.worth, folded.method, folded.cost, folded.end_layers, folded.end_prices,
                    line.occurred_at
                FROM folded JOIN line ON line.position = folded.fold_position
                ORDER BY line.occurred_at DESC, line.position DESC LIMIT 1
            ), kept AS (
                INSERT INTO valued_movements (
                    sku_id, occurred_at, position, location_id, store_id, kind, recorded_at, order_id, batch, document,
                    on_hand, in_transit, quantity, given_cost, counted, unit_cost, layer_sizes, layer_costs, method,
                    value_minor, revalued_minor, running_quantity, running_value_minor
                )
                SELECT sku, times[first], positions[first], locations[first], stores[first], kinds[first],
                    recorded[first], orders[first], batches[first], documents[first], on_hands[first],
                    in_transits[first], changes[first], given[first], counts[first], folded.unit, folded.part_sizes, folded.part_costs,
                    folded.method, folded.own, folded.revalued, final.quantity, final.worth
                FROM folded CROSS JOIN final
                WHERE folded.fold_position = positions[first]
            ), learnt AS MATERIALIZED (
                SELECT line.occurred_at, line.position, line.kind, line.late, folded.own, folded.revalued, folded.unit,
                    folded.part_sizes, folded.part_costs, folded.own - line.value_minor AS value_more,
                    folded.revalued - line.revalued_minor AS revalued_more,
                    CASE WHEN line.kind IN ('shipped', 'returned') THEN line.value_minor - folded.own ELSE 0 END
                        AS cogs_more,
                    coalesce(line.occurred_at < opened, false) AS closed
                FROM line JOIN folded ON folded.fold_position = line.position
                WHERE line.late OR (
                    folded.own, folded.revalued, folded.unit, folded.part_sizes, folded.part_costs
                ) IS DISTINCT FROM (
                    line.value_minor, line.revalued_minor, line.unit_cost, line.layer_sizes, line.layer_costs
                )
            ), booked AS MATERIALIZED (
                SELECT occurred_at, position, kind, value_more, revalued_more, cogs_more
                FROM learnt WHERE NOT late AND NOT closed AND (value_more <> 0 OR revalued_more <> 0)
                UNION ALL
                SELECT opened, 0, 'closed_period', sum(value_more), sum(revalued_more), sum(cogs_more)
                FROM learnt WHERE NOT late AND closed
                HAVING sum(value_more) <> 0 OR sum(revalued_more) <> 0 OR sum(cogs_more) <> 0
            ), adjusted AS (
                INSERT INTO value_adjustments (
                    sku_id, occurred_at, position, cause_position, kind, recorded_at, value_minor, revalued_minor,
                    cogs_minor
                )
                SELECT sku, booked.occurred_at, booked.position, positions[first], booked.kind, recorded[first],
                    booked.value_more, booked.revalued_more, booked.cogs_more
                FROM booked
            ), known AS (
                INSERT INTO true_costs AS truth (
                    sku_id, occurred_at, position, value_minor, revalued_minor, unit_cost, layer_sizes, layer_costs
                )
                SELECT sku, learnt.occurred_at, learnt.position, learnt.own, learnt.revalued, learnt.unit,
                    learnt.part_sizes, learnt.part_costs
                FROM learnt WHERE NOT learnt.late
                ON CONFLICT (sku_id, occurred_at, position) DO UPDATE SET
                    value_minor = excluded.value_minor, revalued_minor = excluded.revalued_minor,
                    unit_cost = excluded.unit_cost, layer_sizes = excluded.layer_sizes,
                    layer_costs = excluded.layer_costs
            ), changed AS (
                SELECT each.day, sum(each.units) AS units, sum(each.minor) AS minor FROM (
                    SELECT (learnt.occurred_at AT TIME ZONE 'UTC')::date AS day, changes[first] AS units,
                        learnt.own + learnt.revalued AS minor
                    FROM learnt WHERE learnt.late
                    UNION ALL
                    SELECT (booked.occurred_at AT TIME ZONE 'UTC')::date, 0, booked.value_more + booked.revalued_more
                    FROM booked
                ) AS each GROUP BY 1
            ), blocks AS (
                INSERT INTO valuation_blocks AS done (sku_id, day, block, change, change_minor)
                SELECT sku, changed.day, positions[first] >> 14, changed.units, changed.minor FROM changed
                ON CONFLICT (sku_id, day, block) DO UPDATE SET
                    change = done.change + excluded.change, change_minor = done.change_minor + excluded.change_minor
            ), daily AS (
                INSERT INTO valuation_days AS done (
                    sku_id, day, change, change_minor, end_position, end_quantity, end_value, end_method, end_cost,
                    end_sizes, end_costs
                )
                SELECT sku, coalesce(ending.day, change.day), coalesce(change.units, 0), coalesce(change.minor, 0),
                    ending.fold_position, ending.quantity, ending.worth, ending.method, ending.cost, ending.end_layers,
                    ending.end_prices
                FROM (
                    SELECT (line.occurred_at AT TIME ZONE 'UTC')::date AS day, folded.fold_position, folded.quantity,
                        folded.worth, folded.method, folded.cost, folded.end_layers, folded.end_prices
                    FROM folded JOIN line ON line.position = folded.fold_position
                    WHERE folded.ends
                ) AS ending FULL JOIN changed AS change ON change.day = ending.day
                ON CONFLICT (sku_id, day) DO UPDATE SET
                    change = done.change + excluded.change, change_minor = done.change_minor + excluded.change_minor,
                    end_position = coalesce(excluded.end_position, done.end_position),
                    end_quantity = coalesce(excluded.end_quantity, done.end_quantity),
                    end_value = coalesce(excluded.end_value, done.end_value),
                    end_method = coalesce(excluded.end_method, done.end_method),
                    end_cost = CASE WHEN excluded.end_position IS NULL THEN done.end_cost ELSE excluded.end_cost END,
                    end_sizes = coalesce(excluded.end_sizes, done.end_sizes),
                    end_costs = coalesce(excluded.end_costs, done.end_costs)
            )
            UPDATE valuation_state AS state SET
                position = positions[first], quantity = final.quantity, value_minor = final.worth,
                method = final.method, unit_cost = final.cost, layer_sizes = final.end_layers,
                layer_costs = final.end_prices
            FROM final WHERE state.sku_id = sku;
            first := first + 1;
        END IF;
    END LOOP;
    RETURN entries;
END
$$;

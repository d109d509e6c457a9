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

-- share_of: one of 64 shares of all articles, by the first bits of the id: a part of a rebuild has whole shares.
CREATE FUNCTION share_of(sku uuid) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT get_byte(uuid_send(sku), 0) >> 2
$$;

-- event_of: the type of the event that a movement, or the cause of an adjustment, is of.
CREATE FUNCTION event_of(kind text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE kind
        WHEN 'received' THEN 'StockReceived' WHEN 'shipped' THEN 'StockShipped' WHEN 'returned' THEN 'StockReturned'
        WHEN 'written_off' THEN 'StockWrittenOff' WHEN 'sample' THEN 'SampleIssued'
        WHEN 'adjusted' THEN 'StockAdjusted' WHEN 'transferred_out' THEN 'StockTransferredOut'
        WHEN 'transferred_in' THEN 'StockTransferredIn' ELSE 'PolicySet'
    END
$$;

-- add_to_days: adds amounts to the days of stores. As a statement of its own, because late records of other articles of the
-- same window change the same rows, and one statement cannot change a row twice.
CREATE FUNCTION add_to_days(
    stores uuid[], measures text[], days date[], currencies text[], shares integer[], amounts numeric[]
) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO value_days AS kept (store_id, measure, day, currency, share, amount_minor)
    SELECT each.store_id, each.measure, each.day, each.currency, each.share, each.amount
    FROM unnest(stores, measures, days, currencies, shares, amounts)
        AS each (store_id, measure, day, currency, share, amount)
    ON CONFLICT (store_id, measure, day, currency, share) DO UPDATE
    SET amount_minor = kept.amount_minor + excluded.amount_minor;
    RETURN cardinality(stores);
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
-- Returns a row for each movement: what it is worth, what came of it, and with the last one of each UTC day (`ended`) the
-- whole state.
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
    quantity numeric, worth numeric, method text, ended date, cost numeric, end_layers numeric[], end_prices numeric[]
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    entries integer := coalesce(array_length(positions, 1), 0);
    turning integer := coalesce(array_length(turns, 1), 0);
    turn integer := 0;
    wanted text := fallback;
    -- From when on another method may hold; that of the first movement is always looked at.
    turns_at timestamptz := '-infinity';
    by_layers boolean;
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
    midnight timestamptz;
BEGIN
    quantity := coalesce(kept_quantity, 0);
    worth := coalesce(kept_value, 0);
    method := coalesce(kept_method, fallback);
    cost := kept_cost;
    layers := coalesce(kept_sizes, '{}');
    prices := coalesce(kept_costs, '{}');
    tail := coalesce(array_length(layers, 1), 0);
    midnight := date_trunc('day', times[1], 'UTC') + interval '24 hours';
    -- What is set for each movement costs as much as what is reckoned: a plain shipment takes as few assignments as it can.
    FOR entry IN 1 .. entries LOOP
        fold_position := positions[entry];
        change := changes[entry];

        -- The method in force. A change takes the stock over at its value: its shape alone changes.
        IF times[entry] >= turns_at THEN
            WHILE turn < turning AND turns[turn + 1] <= times[entry] LOOP
                turn := turn + 1;
                wanted := turned_to[turn];
            END LOOP;
            turns_at := CASE WHEN turn < turning THEN turns[turn + 1] ELSE 'infinity' END;
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
            by_layers := method <> 'moving_average';
        END IF;

        unit := cost;
        IF given[entry] IS NOT NULL AND counts[entry] IS NOT NULL THEN
            -- A count that sets a cost: what the book had there leaves as it is valued, oldest first; what was counted lies
            -- down as one layer of its cost. Of an article that is nowhere else, all units have that cost from then on.
            before := worth;
            was := quantity;
            quantity := was + change;
            price := given[entry];
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
                IF by_layers AND quantity > 0 THEN
                    layers := ARRAY[quantity];
                    prices := ARRAY[price];
                    tail := 1;
                END IF;
                worth := half_even(quantity * price * scale);
            ELSE
                IF NOT by_layers THEN
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
            quantity := quantity + change;
            revalued := 0;
            parts := 1;
            IF NOT by_layers THEN
                amount := -change * coalesce(cost, 0);
            ELSIF layers[head] > -change THEN
                layers[head] := layers[head] + change;
                amount := -change * prices[head];
                IF cost IS NOT NULL THEN
                    unit := prices[head];
                END IF;
            ELSE
                parts := 0;
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
                own := -own;
                worth := worth + own;
            ELSE
                -- With the last unit goes what rounding has left; what is owed is worth its cost, rounded.
                own := half_even(quantity * coalesce(cost, 0) * scale) - worth;
                worth := worth + own;
            END IF;
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
            before := worth;
            was := quantity;
            quantity := was + change;
            price := given[entry];
            paid := price IS NOT NULL;
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
            IF NOT by_layers THEN
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
            quantity := quantity + change;
            own := 0;
            revalued := 0;
        END IF;
        IF entry = entries OR times[entry + 1] >= midnight THEN
            -- Layers that are used up are dropped, so that equal states are equal rows.
            IF head > 1 THEN
                layers := layers[head:tail];
                prices := prices[head:tail];
                tail := tail - head + 1;
                head := 1;
            END IF;
            ended := (times[entry] AT TIME ZONE 'UTC')::date;
            end_layers := layers;
            end_prices := prices;
            RETURN NEXT;
            ended := NULL;
            end_layers := NULL;
            end_prices := NULL;
            midnight := date_trunc('day', times[entry + 1], 'UTC') + interval '24 hours';
        ELSE
            RETURN NEXT;
        END IF;
        IF part_sizes IS NOT NULL THEN
            part_sizes := NULL;
            part_costs := NULL;
        END IF;
    END LOOP;
END
$$;

-- costing_of: what holds for an article as known at a position: its home store, its currency and units of the minor unit in
-- one, the store's methods from the first on, and from when on the books were open (NULL: they were never closed).
CREATE FUNCTION costing_of(
    sku uuid, as_of bigint, OUT home uuid, OUT currency text, OUT scale numeric, OUT turns timestamptz[],
    OUT turned_to text[], OUT opened timestamptz
) LANGUAGE plpgsql STABLE SET plan_cache_mode = 'force_generic_plan' AS $$
BEGIN
    SELECT each.store_id, each.currency, 10::numeric ^ each.minor_digits INTO home, currency, scale
    FROM valued_skus AS each WHERE each.sku_id = sku;
    SELECT array_agg(policy.effective_from ORDER BY policy.effective_from, policy.position),
        array_agg(policy.method ORDER BY policy.effective_from, policy.position)
    INTO turns, turned_to
    FROM costing_policies AS policy WHERE policy.store_id = home AND policy.position <= as_of;
    SELECT max(period.open_from) INTO opened
    FROM closed_periods AS period WHERE period.store_id = home AND period.position < as_of;
END
$$;

-- revalue: takes in one step of the articles of which a record of the window is late: a movement dated before others that are
-- known, or a costing policy in force before movements that are known. A step has one such record of each article (`is_late`)
-- or what each has in order of time before its next one. Arrays have an entry for each record, by article and position:
-- `latest_times` is the latest time that was known before it, `next_times` when the article's next late record happened.
-- All articles take a step together, because a statement costs more to start than most of them have rows for it. What the
-- next late record will write again is left to it (how the article stands, now and at the end of the days from its own on):
-- layers can be many.
CREATE FUNCTION revalue(
    is_late boolean, places integer, original boolean, fallback text,
    skus uuid[], positions bigint[], times timestamptz[], kinds text[], changes numeric[], given numeric[],
    orders uuid[], locations uuid[], stores uuid[], recorded timestamptz[], batches text[], documents text[],
    on_hands numeric[], in_transits numeric[], counts numeric[], zones text[], latest_times timestamptz[],
    next_times timestamptz[]
) RETURNS integer LANGUAGE plpgsql VOLATILE
-- Planned anew each time, as a rebuild plans its windows, its statements would take longer to plan than to run. The plan may
-- be made while the tables are empty: what is read of them for an article stands by itself (OFFSET 0), and is joined once.
SET plan_cache_mode = 'force_generic_plan' AS $$
BEGIN
    IF NOT is_late THEN
        WITH entry AS MATERIALIZED (
            SELECT each.sku_id, each.position, each.occurred_at, each.kind, each.quantity, each.given_cost,
                each.order_id, each.location_id, each.store_id, each.recorded_at, each.batch, each.document,
                each.on_hand, each.in_transit, each.counted, each.time_zone, each.next_at
            FROM unnest(
                skus, positions, times, kinds, changes, given, orders, locations, stores, recorded, batches, documents,
                on_hands, in_transits, counts, zones, next_times
            ) AS each (sku_id, position, occurred_at, kind, quantity, given_cost, order_id, location_id, store_id,
                recorded_at, batch, document, on_hand, in_transit, counted, time_zone, next_at)
        ), run AS MATERIALIZED (
            SELECT entry.sku_id, min(entry.position) AS position, max(entry.position) AS last_position,
                max(entry.occurred_at) AS last_at, max(entry.next_at) AS next_at,
                array_agg(entry.position ORDER BY entry.position) AS positions,
                array_agg(entry.occurred_at ORDER BY entry.position) AS times,
                array_agg(entry.kind ORDER BY entry.position) AS kinds,
                array_agg(entry.quantity ORDER BY entry.position) AS changes,
                array_agg(entry.given_cost ORDER BY entry.position) AS given,
                array_agg(entry.order_id ORDER BY entry.position) AS orders,
                array_agg(entry.counted ORDER BY entry.position) AS counts
            FROM entry GROUP BY 1
        ), folded AS MATERIALIZED (
            SELECT run.sku_id, run.next_at, rule.home, rule.currency, line.fold_position, line.own, line.revalued, line.unit, line.part_sizes,
                line.part_costs, line.quantity, line.worth, line.method, line.ended, line.cost, line.end_layers,
                line.end_prices
            FROM run
            CROSS JOIN LATERAL costing_of(run.sku_id, run.position) AS rule
            LEFT JOIN LATERAL (
                SELECT state.quantity, state.value_minor, state.method, state.unit_cost, state.layer_sizes,
                    state.layer_costs
                FROM valuation_state AS state WHERE state.sku_id = run.sku_id OFFSET 0
            ) AS kept ON true
            CROSS JOIN LATERAL fold_costs(
                run.sku_id, 'infinity', rule.scale, places, original, fallback, rule.turns, rule.turned_to,
                kept.quantity, kept.value_minor, kept.method, kept.unit_cost, kept.layer_sizes, kept.layer_costs,
                run.positions, run.times, run.kinds, run.changes, run.given, run.orders, run.counts
            ) AS line
        ), valued AS MATERIALIZED (
            SELECT entry.sku_id, (entry.occurred_at AT TIME ZONE 'UTC')::date AS day, entry.position >> 14 AS block,
                sum(entry.quantity) AS change, sum(folded.own + folded.revalued) AS change_minor
            FROM entry JOIN folded ON folded.fold_position = entry.position
            GROUP BY 1, 2, 3
        ), kept AS (
            INSERT INTO valued_movements (
                sku_id, occurred_at, position, location_id, store_id, kind, recorded_at, order_id, batch, document,
                on_hand, in_transit, quantity, given_cost, counted, unit_cost, layer_sizes, layer_costs, method,
                value_minor, revalued_minor, running_quantity, running_value_minor
            )
            SELECT entry.sku_id, entry.occurred_at, entry.position, entry.location_id, entry.store_id, entry.kind,
                entry.recorded_at, entry.order_id, entry.batch, entry.document, entry.on_hand, entry.in_transit,
                entry.quantity, entry.given_cost, entry.counted, folded.unit, folded.part_sizes, folded.part_costs,
                folded.method, folded.own, folded.revalued, folded.quantity, folded.worth
            FROM entry JOIN folded ON folded.fold_position = entry.position
        ), summed AS (
            INSERT INTO value_days AS kept (store_id, measure, day, currency, share, amount_minor)
            SELECT said.store_id, said.measure, (entry.occurred_at AT TIME ZONE entry.time_zone)::date, folded.currency,
                share_of(entry.sku_id), sum(said.amount)
            FROM entry JOIN folded ON folded.fold_position = entry.position
            CROSS JOIN LATERAL (VALUES
                ('value', folded.home, folded.own + folded.revalued),
                ('cogs', entry.store_id, CASE WHEN entry.kind IN ('shipped', 'returned') THEN -folded.own END)
            ) AS said (measure, store_id, amount)
            WHERE said.amount <> 0
            GROUP BY 1, 2, 3, 4, 5
            ON CONFLICT (store_id, measure, day, currency, share) DO UPDATE
            SET amount_minor = kept.amount_minor + excluded.amount_minor
        ), daily AS (
            INSERT INTO valuation_days AS done (
                sku_id, day, change, change_minor, end_position, end_quantity, end_value, end_method, end_cost,
                end_sizes, end_costs
            )
            SELECT moved.sku_id, moved.day, moved.change, moved.change_minor, folded.fold_position,
                folded.quantity, folded.worth, folded.method, folded.cost, folded.end_layers, folded.end_prices
            FROM (
                SELECT valued.sku_id, valued.day, sum(valued.change) AS change,
                    sum(valued.change_minor) AS change_minor
                FROM valued GROUP BY 1, 2
            ) AS moved LEFT JOIN folded ON folded.sku_id = moved.sku_id AND folded.ended = moved.day
                AND coalesce(folded.ended < (folded.next_at AT TIME ZONE 'UTC')::date, true)
            ON CONFLICT (sku_id, day) DO UPDATE SET
                change = done.change + excluded.change, change_minor = done.change_minor + excluded.change_minor,
                end_position = coalesce(excluded.end_position, done.end_position),
                end_quantity = coalesce(excluded.end_quantity, done.end_quantity),
                end_value = coalesce(excluded.end_value, done.end_value),
                end_method = coalesce(excluded.end_method, done.end_method),
                end_cost = CASE WHEN excluded.end_position IS NULL THEN done.end_cost ELSE excluded.end_cost END,
                end_sizes = coalesce(excluded.end_sizes, done.end_sizes),
                end_costs = coalesce(excluded.end_costs, done.end_costs)
        ), blocks AS (
            INSERT INTO valuation_blocks AS done (sku_id, day, block, change, change_minor)
            SELECT valued.sku_id, valued.day, valued.block, valued.change, valued.change_minor FROM valued
            ON CONFLICT (sku_id, day, block) DO UPDATE SET
                change = done.change + excluded.change, change_minor = done.change_minor + excluded.change_minor
        )
        INSERT INTO valuation_state AS state (
            sku_id, last_at, position, quantity, value_minor, method, unit_cost, layer_sizes, layer_costs
        )
        SELECT folded.sku_id, run.last_at, folded.fold_position, folded.quantity, folded.worth, folded.method,
            folded.cost, folded.end_layers, folded.end_prices
        FROM folded JOIN run ON run.last_position = folded.fold_position
        WHERE run.next_at IS NULL
        ON CONFLICT (sku_id) DO UPDATE SET
            last_at = excluded.last_at, position = excluded.position, quantity = excluded.quantity,
            value_minor = excluded.value_minor, method = excluded.method, unit_cost = excluded.unit_cost,
            layer_sizes = excluded.layer_sizes, layer_costs = excluded.layer_costs;
    ELSE
        -- All that follows a cause is folded again from the end of the day before it. Rows stay as they are: a
        -- difference is a new row that names its cause, and differences of closed periods are one row at the moment
        -- when the books opened.
        WITH cause AS MATERIALIZED (
            SELECT each.sku_id, each.position, each.occurred_at, each.kind, each.quantity, each.given_cost,
                each.order_id, each.location_id, each.store_id, each.recorded_at, each.batch, each.document,
                each.on_hand, each.in_transit, each.counted, each.time_zone, each.latest, each.next_at,
                date_trunc('day', each.occurred_at, 'UTC') AS starts,
                rule.home, rule.currency, rule.scale, rule.turns, rule.turned_to, rule.opened
            FROM unnest(
                skus, positions, times, kinds, changes, given, orders, locations, stores, recorded, batches, documents,
                on_hands, in_transits, counts, zones, latest_times, next_times
            ) AS each (sku_id, position, occurred_at, kind, quantity, given_cost, order_id, location_id, store_id,
                recorded_at, batch, document, on_hand, in_transit, counted, time_zone, latest, next_at)
            CROSS JOIN LATERAL costing_of(each.sku_id, each.position) AS rule
        ), line AS MATERIALIZED (
            SELECT cause.sku_id, moved.position, moved.occurred_at, moved.kind, moved.quantity, moved.given_cost,
                moved.order_id, moved.store_id, moved.counted, false AS is_late, moved.value_minor, moved.revalued_minor,
                moved.unit_cost, moved.layer_sizes, moved.layer_costs
            FROM cause CROSS JOIN LATERAL (
                SELECT each.position, each.occurred_at, each.kind, each.quantity, each.given_cost, each.order_id,
                    each.store_id, each.counted, each.value_minor, each.revalued_minor, each.unit_cost,
                    each.layer_sizes, each.layer_costs
                FROM valued_movements AS each
                WHERE each.sku_id = cause.sku_id AND each.occurred_at >= cause.starts OFFSET 0
            ) AS moved
            UNION ALL
            SELECT cause.sku_id, cause.position, cause.occurred_at, cause.kind, cause.quantity, cause.given_cost,
                cause.order_id, cause.store_id, cause.counted, true, 0, 0, NULL, NULL, NULL
            FROM cause WHERE cause.kind <> 'costing'
        ), truth AS MATERIALIZED (
            SELECT known.position, known.value_minor, known.revalued_minor, known.unit_cost, known.layer_sizes,
                known.layer_costs
            FROM cause CROSS JOIN LATERAL (
                SELECT each.position, each.value_minor, each.revalued_minor, each.unit_cost, each.layer_sizes,
                    each.layer_costs
                FROM true_costs AS each
                WHERE each.sku_id = cause.sku_id AND each.occurred_at >= cause.starts OFFSET 0
            ) AS known
        ), run AS MATERIALIZED (
            SELECT line.sku_id,
                array_agg(line.position ORDER BY line.occurred_at, line.position) AS positions,
                array_agg(line.occurred_at ORDER BY line.occurred_at, line.position) AS times,
                array_agg(line.kind ORDER BY line.occurred_at, line.position) AS kinds,
                array_agg(line.quantity ORDER BY line.occurred_at, line.position) AS changes,
                array_agg(line.given_cost ORDER BY line.occurred_at, line.position) AS given,
                array_agg(line.order_id ORDER BY line.occurred_at, line.position) AS orders,
                array_agg(line.counted ORDER BY line.occurred_at, line.position) AS counts
            FROM line GROUP BY 1
        ), folded AS MATERIALIZED (
            SELECT cause.sku_id, cause.next_at, fold.fold_position, fold.own, fold.revalued, fold.unit, fold.part_sizes,
                fold.part_costs, fold.quantity, fold.worth, fold.method, fold.ended, fold.cost, fold.end_layers,
                fold.end_prices, fold.fold_position = run.positions[cardinality(run.positions)] AS is_last
            FROM run JOIN cause ON cause.sku_id = run.sku_id
            LEFT JOIN LATERAL (
                SELECT before.end_quantity, before.end_value, before.end_method, before.end_cost, before.end_sizes,
                    before.end_costs
                FROM valuation_days AS before
                WHERE before.sku_id = cause.sku_id AND before.day < (cause.starts AT TIME ZONE 'UTC')::date
                    AND before.end_position IS NOT NULL
                ORDER BY before.day DESC LIMIT 1
            ) AS base ON true
            CROSS JOIN LATERAL fold_costs(
                cause.sku_id, cause.starts, cause.scale, places, original, fallback, cause.turns, cause.turned_to,
                base.end_quantity, base.end_value, base.end_method, base.end_cost, base.end_sizes, base.end_costs,
                run.positions, run.times, run.kinds, run.changes, run.given, run.orders, run.counts
            ) AS fold
        ), final AS MATERIALIZED (
            SELECT folded.sku_id, cause.latest, cause.position, folded.quantity, folded.worth, folded.method, folded.cost,
                folded.end_layers, folded.end_prices
            FROM folded JOIN cause ON cause.sku_id = folded.sku_id WHERE folded.is_last
        ), kept AS (
            INSERT INTO valued_movements (
                sku_id, occurred_at, position, location_id, store_id, kind, recorded_at, order_id, batch, document,
                on_hand, in_transit, quantity, given_cost, counted, unit_cost, layer_sizes, layer_costs, method,
                value_minor, revalued_minor, running_quantity, running_value_minor
            )
            SELECT cause.sku_id, cause.occurred_at, cause.position, cause.location_id, cause.store_id, cause.kind,
                cause.recorded_at, cause.order_id, cause.batch, cause.document, cause.on_hand, cause.in_transit,
                cause.quantity, cause.given_cost, cause.counted, folded.unit, folded.part_sizes, folded.part_costs,
                folded.method, folded.own, folded.revalued, final.quantity, final.worth
            FROM cause
            JOIN folded ON folded.fold_position = cause.position
            JOIN final ON final.sku_id = cause.sku_id
        ), learnt AS MATERIALIZED (
            SELECT line.sku_id, line.occurred_at, line.position, line.kind, line.quantity, line.order_id,
                line.store_id, line.is_late, folded.own,
                folded.revalued, folded.unit, folded.part_sizes, folded.part_costs,
                folded.own - known.value_minor AS value_more, folded.revalued - known.revalued_minor AS revalued_more,
                CASE WHEN line.kind IN ('shipped', 'returned') THEN known.value_minor - folded.own ELSE 0 END
                    AS cogs_more
            FROM folded
            JOIN line ON line.position = folded.fold_position
            LEFT JOIN truth ON truth.position = folded.fold_position
            CROSS JOIN LATERAL (
                SELECT CASE WHEN truth.position IS NULL THEN line.value_minor ELSE truth.value_minor END
                        AS value_minor,
                    CASE WHEN truth.position IS NULL THEN line.revalued_minor ELSE truth.revalued_minor END
                        AS revalued_minor,
                    CASE WHEN truth.position IS NULL THEN line.unit_cost ELSE truth.unit_cost END AS unit_cost,
                    CASE WHEN truth.position IS NULL THEN line.layer_sizes ELSE truth.layer_sizes END
                        AS layer_sizes,
                    CASE WHEN truth.position IS NULL THEN line.layer_costs ELSE truth.layer_costs END
                        AS layer_costs
            ) AS known
            WHERE line.is_late OR (
                folded.own, folded.revalued, folded.unit, folded.part_sizes, folded.part_costs
            ) IS DISTINCT FROM (
                known.value_minor, known.revalued_minor, known.unit_cost, known.layer_sizes, known.layer_costs
            )
        ), booked AS MATERIALIZED (
            SELECT learnt.sku_id, learnt.occurred_at, learnt.position, learnt.kind, learnt.order_id, learnt.store_id,
                learnt.value_more, learnt.revalued_more, learnt.cogs_more
            FROM learnt JOIN cause ON cause.sku_id = learnt.sku_id
            WHERE NOT learnt.is_late AND coalesce(learnt.occurred_at >= cause.opened, true)
                AND (learnt.value_more <> 0 OR learnt.revalued_more <> 0)
            UNION ALL
            SELECT learnt.sku_id, cause.opened, 0, 'closed_period', NULL, cause.home, sum(learnt.value_more),
                sum(learnt.revalued_more), sum(learnt.cogs_more)
            FROM learnt JOIN cause ON cause.sku_id = learnt.sku_id
            WHERE NOT learnt.is_late AND learnt.occurred_at < cause.opened
            GROUP BY 1, 2, cause.home
            HAVING sum(learnt.value_more) <> 0 OR sum(learnt.revalued_more) <> 0 OR sum(learnt.cogs_more) <> 0
        ), adjusted AS (
            INSERT INTO value_adjustments (
                sku_id, occurred_at, position, cause_position, kind, recorded_at, value_minor, revalued_minor,
                cogs_minor, store_id, order_id, cause_kind
            )
            SELECT booked.sku_id, booked.occurred_at, booked.position, cause.position, booked.kind,
                cause.recorded_at, booked.value_more, booked.revalued_more, booked.cogs_more, booked.store_id,
                booked.order_id, cause.kind
            FROM booked JOIN cause ON cause.sku_id = booked.sku_id
        ), summed AS (
            -- By the clock of the record that said so.
            INSERT INTO value_days AS kept (store_id, measure, day, currency, share, amount_minor)
            SELECT said.store_id, said.measure, (each.occurred_at AT TIME ZONE cause.time_zone)::date, cause.currency,
                share_of(cause.sku_id), sum(said.amount)
            FROM (
                SELECT learnt.sku_id, learnt.occurred_at, learnt.store_id, learnt.own + learnt.revalued AS worth,
                    CASE WHEN learnt.kind IN ('shipped', 'returned') THEN -learnt.own END AS cost_of_sales
                FROM learnt WHERE learnt.is_late
                UNION ALL
                SELECT booked.sku_id, booked.occurred_at, booked.store_id, booked.value_more + booked.revalued_more,
                    booked.cogs_more
                FROM booked
            ) AS each
            JOIN cause ON cause.sku_id = each.sku_id
            CROSS JOIN LATERAL (VALUES
                ('value', cause.home, each.worth), ('cogs', each.store_id, each.cost_of_sales)
            ) AS said (measure, store_id, amount)
            WHERE said.amount <> 0
            GROUP BY 1, 2, 3, 4, 5
            ON CONFLICT (store_id, measure, day, currency, share) DO UPDATE
            SET amount_minor = kept.amount_minor + excluded.amount_minor
        ), known AS (
            INSERT INTO true_costs AS truth (
                sku_id, occurred_at, position, value_minor, revalued_minor, unit_cost, layer_sizes, layer_costs
            )
            SELECT learnt.sku_id, learnt.occurred_at, learnt.position, learnt.own, learnt.revalued, learnt.unit,
                learnt.part_sizes, learnt.part_costs
            FROM learnt WHERE NOT learnt.is_late
            ON CONFLICT (sku_id, occurred_at, position) DO UPDATE SET
                value_minor = excluded.value_minor, revalued_minor = excluded.revalued_minor,
                unit_cost = excluded.unit_cost, layer_sizes = excluded.layer_sizes,
                layer_costs = excluded.layer_costs
        ), changed AS MATERIALIZED (
            SELECT each.sku_id, each.day, sum(each.units) AS units, sum(each.minor) AS minor FROM (
                SELECT learnt.sku_id, (learnt.occurred_at AT TIME ZONE 'UTC')::date AS day,
                    learnt.quantity AS units, learnt.own + learnt.revalued AS minor
                FROM learnt WHERE learnt.is_late
                UNION ALL
                SELECT booked.sku_id, (booked.occurred_at AT TIME ZONE 'UTC')::date, 0,
                    booked.value_more + booked.revalued_more
                FROM booked
            ) AS each GROUP BY 1, 2
        ), blocks AS (
            INSERT INTO valuation_blocks AS done (sku_id, day, block, change, change_minor)
            SELECT changed.sku_id, changed.day, cause.position >> 14, changed.units, changed.minor
            FROM changed JOIN cause ON cause.sku_id = changed.sku_id
            ON CONFLICT (sku_id, day, block) DO UPDATE SET
                change = done.change + excluded.change, change_minor = done.change_minor + excluded.change_minor
        ), daily AS (
            INSERT INTO valuation_days AS done (
                sku_id, day, change, change_minor, end_position, end_quantity, end_value, end_method, end_cost,
                end_sizes, end_costs
            )
            SELECT coalesce(ending.sku_id, changed.sku_id), coalesce(ending.ended, changed.day),
                coalesce(changed.units, 0), coalesce(changed.minor, 0), ending.fold_position, ending.quantity,
                ending.worth, ending.method, ending.cost, ending.end_layers, ending.end_prices
            FROM (
                SELECT folded.sku_id, folded.ended, folded.fold_position, folded.quantity, folded.worth,
                    folded.method, folded.cost, folded.end_layers, folded.end_prices
                FROM folded
                WHERE folded.ended IS NOT NULL
                    AND coalesce(folded.ended < (folded.next_at AT TIME ZONE 'UTC')::date, true)
            ) AS ending FULL JOIN changed ON changed.sku_id = ending.sku_id AND changed.day = ending.ended
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
        INSERT INTO valuation_state AS state (
            sku_id, last_at, position, quantity, value_minor, method, unit_cost, layer_sizes, layer_costs
        )
        SELECT final.sku_id, final.latest, final.position, final.quantity, final.worth, final.method, final.cost,
            final.end_layers, final.end_prices
        FROM final
        ON CONFLICT (sku_id) DO UPDATE SET
            last_at = excluded.last_at, position = excluded.position, quantity = excluded.quantity,
            value_minor = excluded.value_minor, method = excluded.method, unit_cost = excluded.unit_cost,
            layer_sizes = excluded.layer_sizes, layer_costs = excluded.layer_costs;
    END IF;
    RETURN cardinality(positions);
END
$$;

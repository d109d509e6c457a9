-- round_half_even: `value` to a whole number, halves to the even neighbour; PostgreSQL's round() takes them away from zero.
CREATE FUNCTION round_half_even(value numeric) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN abs(value - trunc(value)) = 0.5 THEN 2 * round(value * 0.5) ELSE round(value) END
$$;

-- currency_digits: decimal places of a currency's minor unit, by CLDR.
CREATE FUNCTION currency_digits(currency text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
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

-- moving_average_step: one movement more. State: {quantity, unit cost, value in minor units, value of this movement}.
-- A receipt at a known cost moves the average; everything else moves units at the average. What comes into nothing, into
-- less than nothing, or into units whose cost nobody knew, sets the cost of all units anew. The last unit takes the rest of
-- the value with it, so that no stock has no value. What is to be rounded is worked out first: round_half_even is put in
-- place of its call, and would work out its argument wherever it uses it.
CREATE FUNCTION moving_average_step(
    state numeric[], kept_quantity numeric, kept_cost numeric, kept_value_minor numeric, change numeric, cost numeric,
    scale numeric, places integer
) RETURNS numeric[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    quantity numeric;
    average numeric;
    worth numeric;
    exact numeric;
BEGIN
    IF state IS NULL THEN
        state := ARRAY[kept_quantity, kept_cost, kept_value_minor];
    END IF;
    quantity := state[1] + change;
    average := state[2];
    worth := state[3];
    IF cost IS NULL THEN
        IF quantity = 0 THEN
            RETURN ARRAY[0, average, 0, -worth];
        END IF;
        exact := change * average * scale;
        exact := coalesce(round_half_even(exact), 0);
    ELSIF average IS NULL OR quantity <= change THEN
        exact := quantity * cost * scale;
        exact := round_half_even(exact);
        RETURN ARRAY[quantity, cost, exact, exact - worth];
    ELSE
        exact := ((quantity - change) * average + change * cost) / quantity * 10::numeric ^ places;
        average := trim_scale(round_half_even(exact) / 10::numeric ^ places);
        exact := change * cost * scale;
        exact := round_half_even(exact);
    END IF;
    RETURN ARRAY[quantity, average, worth + exact, exact];
END
$$;

-- moving_average: the fold of one SKU's movements, in the order in which they were recorded, from the kept state on.
CREATE AGGREGATE moving_average(
    kept_quantity numeric, kept_cost numeric, kept_value_minor numeric, change numeric, cost numeric, scale numeric,
    places integer
) (SFUNC = moving_average_step, STYPE = numeric[], PARALLEL = SAFE);

-- windows: each wanted fact in its window of :grain, by currency if :by_currency; what a figure takes off (:less) is negative.
-- slice: in a breakdown (:by) what it is told apart by, '' for what is of none; null for the rest, where only some are :kept.
SELECT
    CASE WHEN :grain::text = 'total' THEN :first_day::date
        WHEN :grain::text IN ('day', 'hour') THEN greatest(one.day, :first_day::date)
        ELSE greatest(date_trunc(:grain::text, one.day::timestamp)::date, :first_day::date) END AS starts_on,
    CASE WHEN :grain::text = 'hour' THEN one.hour END AS hour,
    CASE WHEN :by_currency::boolean THEN one.currency END AS currency,
    CASE WHEN :kept::text[] IS NULL OR coalesce(one.slice, '') = ANY (:kept::text[]) THEN coalesce(one.slice, '') END
        AS slice,
    one.day, one.order_id, one.who, one.channel,
    CASE WHEN one.measure = ANY (:less::text[]) THEN -one.amount ELSE one.amount END AS amount
FROM wanted AS one;

-- sum: what the amounts of a window add up to.
SELECT fact.starts_on, fact.hour, fact.currency, fact.slice, sum(fact.amount) AS value, 1 AS parts
FROM fact GROUP BY 1, 2, 3, 4;

-- only: the amount of the one fact of a window; unknown beside others.
SELECT fact.starts_on, fact.hour, fact.currency, fact.slice, CASE WHEN count(*) = 1 THEN sum(fact.amount) END AS value,
    1 AS parts
FROM fact GROUP BY 1, 2, 3, 4;

-- orders: different orders of a window. Grouping finds each once in half the time that sorting for count(DISTINCT) takes.
SELECT each.starts_on, each.hour, each.currency, each.slice, count(each.order_id) AS value, 1 AS parts
FROM (SELECT DISTINCT fact.starts_on, fact.hour, fact.currency, fact.slice, fact.order_id FROM fact) AS each
GROUP BY 1, 2, 3, 4;

-- people: different people of a window.
SELECT each.starts_on, each.hour, each.currency, each.slice, count(each.who) AS value, 1 AS parts
FROM (SELECT DISTINCT fact.starts_on, fact.hour, fact.currency, fact.slice, fact.who FROM fact) AS each
GROUP BY 1, 2, 3, 4;

-- people_again: people with facts on two days of a window or more.
SELECT again.starts_on, again.hour, again.currency, again.slice,
    count(again.who) FILTER (WHERE again.days > 1) AS value, 1 AS parts, count(again.who) AS people
FROM (
    SELECT fact.starts_on, fact.hour, fact.currency, fact.slice, fact.who, count(*) AS days
    FROM (
        SELECT DISTINCT one.starts_on, one.hour, one.currency, one.slice, one.who, one.day FROM fact AS one
    ) AS fact GROUP BY 1, 2, 3, 4, 5
) AS again GROUP BY 1, 2, 3, 4;

-- people_of_two: people with facts of two different orders of a window or more.
SELECT again.starts_on, again.hour, again.currency, again.slice,
    count(again.who) FILTER (WHERE again.orders >= 2) AS value, 1 AS parts, count(again.who) AS people
FROM (
    SELECT fact.starts_on, fact.hour, fact.currency, fact.slice, fact.who, count(fact.order_id) AS orders
    FROM (
        SELECT DISTINCT one.starts_on, one.hour, one.currency, one.slice, one.who, one.order_id FROM fact AS one
    ) AS fact GROUP BY 1, 2, 3, 4, 5
) AS again GROUP BY 1, 2, 3, 4;

-- people_of_three: people with facts of three different orders of a window or more.
SELECT again.starts_on, again.hour, again.currency, again.slice,
    count(again.who) FILTER (WHERE again.orders >= 3) AS value, 1 AS parts, count(again.who) AS people
FROM (
    SELECT fact.starts_on, fact.hour, fact.currency, fact.slice, fact.who, count(fact.order_id) AS orders
    FROM (
        SELECT DISTINCT one.starts_on, one.hour, one.currency, one.slice, one.who, one.order_id FROM fact AS one
    ) AS fact GROUP BY 1, 2, 3, 4, 5
) AS again GROUP BY 1, 2, 3, 4;

-- concentration: the squares of what came through each channel, by the square of what came through all of them.
SELECT each.starts_on, each.hour, each.currency, each.slice,
    CASE WHEN sum(each.amount) <> 0 THEN sum(each.amount * each.amount) END AS value, CASE WHEN sum(each.amount) <> 0 THEN sum(each.amount) * sum(each.amount) ELSE 1 END AS parts
FROM (
    SELECT fact.starts_on, fact.hour, fact.currency, fact.slice, fact.channel, sum(fact.amount) AS amount
    FROM fact GROUP BY 1, 2, 3, 4, 5
) AS each GROUP BY 1, 2, 3, 4;

-- median: the lowest amount that half of the amounts of a window do not pass.
SELECT fact.starts_on, fact.hour, fact.currency, fact.slice,
    percentile_disc(0.5) WITHIN GROUP (ORDER BY fact.amount) AS value, 1 AS parts
FROM fact GROUP BY 1, 2, 3, 4;

-- p90: the lowest amount that nine tenths of the amounts of a window do not pass.
SELECT fact.starts_on, fact.hour, fact.currency, fact.slice,
    percentile_disc(0.9) WITHIN GROUP (ORDER BY fact.amount) AS value, 1 AS parts
FROM fact GROUP BY 1, 2, 3, 4;

-- balance: what all amounts up to the last day of a window add up to; from the first fact on each window has one.
SELECT standing.starts_on, NULL::bigint AS hour, standing.currency, standing.slice, standing.value, 1 AS parts
FROM (
    WITH change AS (
        SELECT fact.starts_on, fact.currency, fact.slice, sum(fact.amount) AS amount FROM fact GROUP BY 1, 2, 3
    )
    SELECT span.starts_on, known.currency, known.slice,
        sum(change.amount) OVER (PARTITION BY known.currency, known.slice ORDER BY span.starts_on) AS value
    FROM (
        SELECT DISTINCT CASE WHEN :grain::text = 'total' THEN :first_day::date
            ELSE greatest(date_trunc(:grain::text, each.day)::date, :first_day::date) END AS starts_on
        FROM generate_series(:first_day::timestamp, :last_day::timestamp, '1 day') AS each (day)
    ) AS span
    CROSS JOIN (SELECT DISTINCT one.currency, one.slice FROM change AS one) AS known
    LEFT JOIN change ON change.starts_on = span.starts_on
        -- Equalities that can be hashed: IS NOT DISTINCT FROM would compare each slice with each other one.
        AND coalesce(change.currency, '') = coalesce(known.currency, '')
        AND coalesce(change.slice, '') = coalesce(known.slice, '') AND (change.slice IS NULL) = (known.slice IS NULL)
) AS standing
WHERE standing.value IS NOT NULL;

-- daily_mean: the mean of what stood at the end of each day of a window, as a sum over so many days (`parts`).
SELECT
    CASE WHEN :grain::text = 'total' THEN :first_day::date
        ELSE greatest(date_trunc(:grain::text, standing.day)::date, :first_day::date) END AS starts_on,
    NULL::bigint AS hour, standing.currency, standing.slice, sum(coalesce(standing.value, 0)) AS value, count(*) AS parts
FROM (
    WITH change AS (
        SELECT greatest(fact.day, :first_day::date) AS day, fact.currency, fact.slice, sum(fact.amount) AS amount
        FROM fact GROUP BY 1, 2, 3
    )
    SELECT each.day, known.currency, known.slice,
        sum(change.amount) OVER (PARTITION BY known.currency, known.slice ORDER BY each.day) AS value
    FROM generate_series(:first_day::timestamp, :last_day::timestamp, '1 day') AS each (day)
    CROSS JOIN (SELECT DISTINCT one.currency, one.slice FROM change AS one) AS known
    LEFT JOIN change ON change.day = each.day
        AND coalesce(change.currency, '') = coalesce(known.currency, '')
        AND coalesce(change.slice, '') = coalesce(known.slice, '') AND (change.slice IS NULL) = (known.slice IS NULL)
) AS standing
GROUP BY 1, 2, 3, 4
HAVING count(standing.value) > 0;

-- page: the wanted facts of a cell, oldest event first, after (:after_position, :after_place) and up to :up_to_position.
SELECT one.position, one.place, one.event, one.occurred_at, one.measure, one.store_id, one.day, one.hour, one.currency,
    one.order_id, one.who, one.channel, CASE WHEN one.measure = ANY (:less::text[]) THEN -one.amount ELSE one.amount END AS amount
FROM wanted AS one
WHERE (one.position, one.place) > (coalesce(:after_position::bigint, 0), coalesce(:after_place::bigint, 0))
    AND (:up_to_position::bigint IS NULL OR one.position <= :up_to_position::bigint)
    AND (:of_hour::bigint IS NULL OR one.hour = :of_hour::bigint)
    AND (:of_currency::text IS NULL OR one.currency = :of_currency::text)
    AND (:of_slice::text IS NULL OR coalesce(one.slice, '') = :of_slice::text)
    AND (:rest_of::text[] IS NULL OR coalesce(one.slice, '') <> ALL (:rest_of::text[]))
ORDER BY one.position, one.place
LIMIT coalesce(:row_limit::bigint, 100);

-- how_many: how many facts a cell has.
SELECT count(*) AS rows FROM wanted AS one
WHERE (:of_hour::bigint IS NULL OR one.hour = :of_hour::bigint)
    AND (:of_currency::text IS NULL OR one.currency = :of_currency::text)
    AND (:of_slice::text IS NULL OR coalesce(one.slice, '') = :of_slice::text)
    AND (:rest_of::text[] IS NULL OR coalesce(one.slice, '') <> ALL (:rest_of::text[]));

-- buyers: the people whose wanted facts meet all of the bounds. Orders, and the days of the first and the last of them, are of
-- the measures :orders_of; amounts of :amounts_of, and `promoted` of :promoted_of, are net: what :less names is negative.
SELECT each.who, each.orders, each.first_day, each.last_day, each.amount, each.promoted
FROM (
    SELECT one.who,
        count(DISTINCT one.order_id) FILTER (WHERE one.measure = ANY (:orders_of::text[])) AS orders,
        min(one.day) FILTER (WHERE one.measure = ANY (:orders_of::text[])) AS first_day,
        max(one.day) FILTER (WHERE one.measure = ANY (:orders_of::text[])) AS last_day,
        coalesce(sum(CASE WHEN one.measure = ANY (:less::text[]) THEN -one.amount ELSE one.amount END)
            FILTER (WHERE one.measure = ANY (:amounts_of::text[])), 0) AS amount,
        coalesce(sum(CASE WHEN one.measure = ANY (:less::text[]) THEN -one.amount ELSE one.amount END)
            FILTER (WHERE one.measure = ANY (:promoted_of::text[])), 0) AS promoted
    FROM wanted AS one WHERE one.who IS NOT NULL AND one.currency = :of_currency::text GROUP BY 1
) AS each
WHERE each.orders >= coalesce(:orders_min::bigint, 1)
    AND (:orders_max::bigint IS NULL OR each.orders <= :orders_max::bigint)
    AND (:amount_min::numeric IS NULL OR each.amount >= :amount_min::numeric)
    AND (:amount_max::numeric IS NULL OR each.amount <= :amount_max::numeric)
    AND (:promoted_share::numeric IS NULL OR each.amount > 0 AND each.promoted >= :promoted_share::numeric * each.amount)
    AND (:last_from::date IS NULL OR each.last_day >= :last_from::date)
    AND (:last_to::date IS NULL OR each.last_day <= :last_to::date);

-- buyers_sums: how many buyers there are, and what their orders and amounts come to.
SELECT count(*) AS people, coalesce(sum(buyer.orders), 0)::bigint AS orders, coalesce(sum(buyer.amount), 0) AS amount
FROM buyer;

-- buyers_page: buyers, the largest amount first, after (:after_amount, :after_who).
SELECT buyer.who, buyer.orders, buyer.first_day, buyer.last_day, buyer.amount, buyer.promoted
FROM buyer
WHERE :after_amount::numeric IS NULL OR buyer.amount < :after_amount::numeric
    OR buyer.amount = :after_amount::numeric AND buyer.who > :after_who::uuid
ORDER BY buyer.amount DESC, buyer.who
LIMIT :row_limit::bigint;

-- cells: what the facts of each measure come to in each store and on each day, by currency ('' for none).
-- `fingerprint` tells facts apart that come to the same: a median, or people of a week, may differ where no sum does.
SELECT one.measure, one.store_id, one.day, coalesce(one.currency, '') AS currency, count(*) AS facts,
    sum(one.amount) AS amount, count(DISTINCT one.order_id) AS orders, count(DISTINCT one.who) AS people,
    sum(hashtextextended(ROW(
        one.position, one.place, one.hour, one.order_id, one.who, one.channel, trim_scale(one.amount)
    )::text, 0)::numeric)::text AS fingerprint
FROM wanted AS one GROUP BY 1, 2, 3, 4;

-- sum_cells: what the sums of each measure come to in each store and on each day, by currency ('' for none).
SELECT one.measure, one.store_id, one.day, coalesce(one.currency, '') AS currency, sum(one.amount) AS amount
FROM wanted AS one GROUP BY 1, 2, 3, 4;

-- behind: the facts of such cells, each under its key.
SELECT one.position, one.place, one.event, one.occurred_at, one.order_id, one.who, one.channel, one.amount,
    one.measure AS "key measure", one.store_id AS "key store_id", one.day AS "key day",
    coalesce(one.currency, '') AS "key currency"
FROM wanted AS one;

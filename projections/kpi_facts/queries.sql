-- fact_rows: what happened, as far as it was known at position :as_of (always to be given), each row with what it adds to a measure.
-- place makes a row of an event unique. A promise that falls due after :now is neither kept nor broken yet.
SELECT fact.position, fact.place, fact.event, fact.occurred_at, fact.measure, fact.store_id, fact.day, fact.hour,
    fact.currency, fact.order_id, coalesce(
        same.person_id, fact.customer_id,
        CASE WHEN rule.guest_order_is_buyer AND fact.measure = 'sold' THEN fact.order_id END
    ) AS who, fact.channel, fact.amount
FROM (
    SELECT line.position, line.line * 100 + 1 AS place, 'OrderPaid' AS event, line.occurred_at, 'sold' AS measure,
        line.store_id, line.day, line.hour, line.currency, line.channel, line.sku_id, line.campaign_id, line.order_id,
        line.customer_id, line.amount_minor::numeric AS amount, NULL::timestamptz AS due_at
    FROM sold AS line
    UNION ALL
    SELECT line.position, line.line * 100 + 2, 'OrderPaid', line.occurred_at, 'sold_in_campaigns', line.store_id,
        line.day, line.hour, line.currency, line.channel, line.sku_id, line.campaign_id, line.order_id,
        line.customer_id, line.amount_minor, NULL
    FROM sold AS line WHERE line.campaign_id IS NOT NULL
    UNION ALL
    SELECT line.position, line.line * 100 + 3, 'OrderPaid', line.occurred_at, 'sold_to_returning', line.store_id,
        line.day, line.hour, line.currency, line.channel, line.sku_id, line.campaign_id, line.order_id,
        line.customer_id, line.amount_minor, NULL
    FROM sold AS line
    JOIN first_orders AS began ON began.customer_id = line.customer_id AND began.store_id = line.store_id
        AND began.first_position <= :as_of::bigint AND began.until_position > :as_of::bigint
    WHERE began.first_position <> line.position OR EXISTS (
        SELECT FROM persons AS own
        JOIN persons AS other ON other.person_id = own.person_id AND other.customer_id <> own.customer_id
        JOIN first_orders AS theirs ON theirs.customer_id = other.customer_id AND theirs.store_id = line.store_id
        WHERE own.customer_id = line.customer_id
            AND own.since_position <= :as_of::bigint AND own.until_position > :as_of::bigint
            AND other.since_position <= :as_of::bigint AND other.until_position > :as_of::bigint
            AND theirs.first_position <= :as_of::bigint AND theirs.until_position > :as_of::bigint
            AND (theirs.first_at, theirs.first_position) < (began.first_at, began.first_position)
    )
    UNION ALL
    SELECT line.position, line.line * 100 + 4, 'OrderPaid', line.occurred_at, 'units', line.store_id, line.day,
        line.hour, line.currency, line.channel, line.sku_id, line.campaign_id, line.order_id, line.customer_id,
        line.units, NULL
    FROM sold AS line WHERE line.units <> 0
    UNION ALL
    SELECT line.position, line.line * 100 + 5, 'OrderPaid', line.occurred_at, 'first_order', line.store_id, line.day,
        line.hour, line.currency, line.channel, line.sku_id, line.campaign_id, line.order_id, line.customer_id,
        line.amount_minor, NULL
    FROM sold AS line
    JOIN first_orders AS began ON began.customer_id = line.customer_id AND began.store_id = line.store_id
        AND began.first_position <= :as_of::bigint AND began.until_position > :as_of::bigint
        AND began.first_position = line.position
    WHERE NOT EXISTS (
        SELECT FROM persons AS own
        JOIN persons AS other ON other.person_id = own.person_id AND other.customer_id <> own.customer_id
        JOIN first_orders AS theirs ON theirs.customer_id = other.customer_id AND theirs.store_id = line.store_id
        WHERE own.customer_id = line.customer_id
            AND own.since_position <= :as_of::bigint AND own.until_position > :as_of::bigint
            AND other.since_position <= :as_of::bigint AND other.until_position > :as_of::bigint
            AND theirs.first_position <= :as_of::bigint AND theirs.until_position > :as_of::bigint
            AND (theirs.first_at, theirs.first_position) < (began.first_at, began.first_position)
    )
    UNION ALL
    SELECT line.position, line.line * 100 + 6, 'OrderPaid', line.occurred_at, 'first_order_anywhere', line.store_id,
        line.day, line.hour, line.currency, line.channel, line.sku_id, line.campaign_id, line.order_id,
        line.customer_id, line.amount_minor, NULL
    FROM sold AS line
    JOIN first_orders AS began ON began.customer_id = line.customer_id AND began.store_id = line.store_id
        AND began.first_position <= :as_of::bigint AND began.until_position > :as_of::bigint
        AND began.first_position = line.position
    WHERE NOT EXISTS (
        SELECT FROM first_orders AS theirs
        WHERE theirs.customer_id = line.customer_id
            AND theirs.first_position <= :as_of::bigint AND theirs.until_position > :as_of::bigint
            AND (theirs.first_at, theirs.first_position) < (began.first_at, began.first_position)
    ) AND NOT EXISTS (
        SELECT FROM persons AS own
        JOIN persons AS other ON other.person_id = own.person_id AND other.customer_id <> own.customer_id
        JOIN first_orders AS theirs ON theirs.customer_id = other.customer_id
        WHERE own.customer_id = line.customer_id
            AND own.since_position <= :as_of::bigint AND own.until_position > :as_of::bigint
            AND other.since_position <= :as_of::bigint AND other.until_position > :as_of::bigint
            AND theirs.first_position <= :as_of::bigint AND theirs.until_position > :as_of::bigint
            AND (theirs.first_at, theirs.first_position) < (began.first_at, began.first_position)
    )
    UNION ALL
    -- A fully refunded order brings nobody back.
    SELECT line.position, line.line * 100 + 7, 'OrderPaid', line.occurred_at, 'kept', line.store_id, line.day,
        line.hour, line.currency, line.channel, line.sku_id, line.campaign_id, line.order_id, line.customer_id,
        line.amount_minor, NULL
    FROM sold AS line
    JOIN paid AS bill ON bill.order_id = line.order_id
    LEFT JOIN (
        SELECT back.order_id, sum(back.goods_minor) AS goods_minor FROM refunds AS back
        WHERE back.position <= :as_of::bigint GROUP BY 1
    ) AS given ON given.order_id = line.order_id
    WHERE line.customer_id IS NOT NULL AND greatest(bill.goods_minor, 1) > coalesce(given.goods_minor, 0)
    UNION ALL
    SELECT line.position, line.line * 100 + 21, 'OrderPaid', line.occurred_at, 'units_in_campaigns', line.store_id,
        line.day, line.hour, line.currency, line.channel, line.sku_id, line.campaign_id, line.order_id,
        line.customer_id, line.units, NULL
    FROM sold AS line WHERE line.units <> 0 AND line.campaign_id IS NOT NULL
    UNION ALL
    -- What would have been sold anyway: a part of the same weekday of each of some weeks before, campaigns left out.
    SELECT line.position, 1000000 + line.line * 100 + week.number, 'OrderPaid', line.occurred_at, 'baseline',
        line.store_id, line.day + 7 * week.number, line.hour, line.currency, line.channel, line.sku_id, NULL,
        line.order_id, line.customer_id, line.amount_minor::numeric / rule.baseline_weeks, NULL
    FROM rules AS rule
    CROSS JOIN LATERAL generate_series(1, rule.baseline_weeks::integer) AS week (number)
    JOIN sold AS line ON line.day >= :from_day::date - 7 * week.number AND line.day <= :to_day::date - 7 * week.number
    WHERE line.campaign_id IS NULL AND (:store_ids::uuid[] IS NULL OR line.store_id = ANY (:store_ids::uuid[]))
    UNION ALL
    -- On each day the units of the seven days that end with it, and those of the seven days before.
    SELECT line.position, 4000000 + line.line * 100 + later.days, 'OrderPaid', line.occurred_at,
        CASE WHEN later.days < 7 THEN 'units_of_week' ELSE 'units_of_week_before' END, line.store_id,
        line.day + later.days, line.hour, line.currency, line.channel, line.sku_id, line.campaign_id, line.order_id,
        line.customer_id, line.units, NULL
    FROM sold AS line
    CROSS JOIN LATERAL generate_series(
        greatest(:from_day::date - line.day, 0), least(:to_day::date - line.day, :last_day::date - line.day, 13)
    ) AS later (days)
    WHERE line.units <> 0 AND line.day >= :from_day::date - 13 AND line.day <= :to_day::date
        AND (:store_ids::uuid[] IS NULL OR line.store_id = ANY (:store_ids::uuid[]))
        AND (:measures::text[] IS NULL OR :measures::text[] && ARRAY['units_of_week', 'units_of_week_before'])
    UNION ALL
    SELECT bill.position, 8, 'OrderPaid', bill.occurred_at, 'paid_in_full', bill.store_id, bill.day, bill.hour,
        bill.currency, bill.channel, NULL, NULL, bill.order_id, bill.customer_id, bill.total_minor, NULL
    FROM paid AS bill
    UNION ALL
    SELECT bill.position, 1000 + given.place, 'OrderPaid', bill.occurred_at, 'freight_waived', bill.store_id, bill.day,
        bill.hour, bill.currency, bill.channel, NULL, given.campaign_id, bill.order_id, bill.customer_id,
        given.amount_minor, NULL
    FROM waivers AS given JOIN paid AS bill ON bill.order_id = given.order_id
    UNION ALL
    SELECT back.position, back.place * 100 + 9, 'OrderRefunded', back.occurred_at, 'refunded', back.store_id,
        back.day, back.hour, back.currency, back.channel, back.sku_id, back.campaign_id, back.order_id,
        back.customer_id, back.goods_minor, NULL
    FROM refunds AS back WHERE back.goods_minor <> 0
    UNION ALL
    SELECT back.position, back.place * 100 + 10, 'OrderRefunded', back.occurred_at, 'refunded_of_sale', back.store_id,
        back.sold_day, back.sold_hour, back.currency, back.channel, back.sku_id, back.campaign_id, back.order_id,
        back.customer_id, back.goods_minor, NULL
    FROM refunds AS back WHERE back.goods_minor <> 0 AND back.sold_day IS NOT NULL
    UNION ALL
    SELECT back.position, back.place * 100 + 22, 'OrderRefunded', back.occurred_at, 'refunded_in_campaigns',
        back.store_id, back.day, back.hour, back.currency, back.channel, back.sku_id, back.campaign_id, back.order_id,
        back.customer_id, back.goods_minor, NULL
    FROM refunds AS back WHERE back.goods_minor <> 0 AND back.campaign_id IS NOT NULL
    UNION ALL
    SELECT back.position, 11, 'OrderRefunded', back.occurred_at, 'given_back', back.store_id, back.day, back.hour,
        back.currency, back.channel, NULL, NULL, back.order_id, back.customer_id, back.whole_minor, NULL
    FROM refunds AS back WHERE back.place = 0
    UNION ALL
    SELECT origin.position, 24, 'OrderPlaced', origin.occurred_at, 'placed', origin.store_id, origin.day, origin.hour,
        origin.currency, origin.channel, NULL, NULL, origin.order_id, origin.customer_id, 1, NULL
    FROM origins AS origin WHERE origin.is_order
    UNION ALL
    SELECT origin.position, 25, 'OrderPlaced', origin.occurred_at, 'unpaid', origin.store_id, origin.day, origin.hour,
        origin.currency, origin.channel, NULL, NULL, origin.order_id, origin.customer_id, 1, NULL
    FROM origins AS origin LEFT JOIN paid AS bill ON bill.order_id = origin.order_id AND bill.position <= :as_of::bigint
    WHERE origin.is_order AND bill.order_id IS NULL
        AND (origin.dropped_position IS NULL OR origin.dropped_position > :as_of::bigint)
    UNION ALL
    SELECT origin.dropped_position, 26, origin.dropped_by, origin.dropped_at, 'dropped', origin.store_id, origin.day,
        origin.hour, origin.currency, origin.channel, NULL, NULL, origin.order_id, origin.customer_id, 1, NULL
    FROM origins AS origin WHERE origin.is_order AND origin.dropped_position IS NOT NULL
    UNION ALL
    SELECT seen.position, 27, seen.event, seen.occurred_at, 'active', seen.store_id, seen.day, seen.hour,
        seen.currency, seen.channel, NULL, NULL, seen.order_id, seen.customer_id, 1, NULL
    FROM visits AS seen
    UNION ALL
    SELECT person.position, 12, 'CustomerRegistered', person.occurred_at, 'registered', person.store_id, person.day,
        person.hour, NULL, person.channel, NULL, person.campaign_id, NULL, person.customer_id, 1, NULL
    FROM users AS person
    UNION ALL
    -- A merged duplicate is taken off on the day on which it had been counted.
    SELECT person.merged_position, 13, 'CustomerMergedInto', person.merged_at, 'registered', person.store_id,
        person.day, person.hour, NULL, person.channel, NULL, person.campaign_id, NULL, person.customer_id, -1, NULL
    FROM users AS person WHERE person.merged_position IS NOT NULL
    UNION ALL
    -- Who registered on a day is asked for some days later, once that later day is over.
    SELECT person.position, 30 + later.days, 'CustomerRegistered', person.occurred_at, later.joined, person.store_id,
        person.day, person.hour, NULL, person.channel, NULL, person.campaign_id, NULL, person.customer_id, 1,
        (person.day + later.days + 1)::timestamp AT TIME ZONE person.time_zone
    FROM users AS person
    CROSS JOIN (VALUES (1, 'joined_1'), (7, 'joined_7'), (30, 'joined_30')) AS later (days, joined)
    WHERE (person.merged_position IS NULL OR person.merged_position > :as_of::bigint)
        AND (:measures::text[] IS NULL OR :measures::text[] && ARRAY['joined_1', 'joined_7', 'joined_30'])
    UNION ALL
    SELECT seen.position, 100000 + later.days, seen.event, seen.occurred_at, later.retained, person.store_id,
        person.day, person.hour, NULL, person.channel, NULL, person.campaign_id, seen.order_id, person.customer_id, 1,
        (person.day + later.days + 1)::timestamp AT TIME ZONE person.time_zone
    FROM users AS person
    CROSS JOIN (VALUES (1, 'retained_1'), (7, 'retained_7'), (30, 'retained_30')) AS later (days, retained)
    JOIN LATERAL (
        SELECT person.customer_id
        UNION
        SELECT record.customer_id FROM persons AS record
        WHERE record.person_id = person.customer_id
            AND record.since_position <= :as_of::bigint AND record.until_position > :as_of::bigint
    ) AS record ON true
    JOIN visits AS seen ON seen.customer_id = record.customer_id AND seen.day = person.day + later.days
        AND (:store_ids::uuid[] IS NULL OR seen.store_id = ANY (:store_ids::uuid[]))
    WHERE (person.merged_position IS NULL OR person.merged_position > :as_of::bigint)
        AND (:measures::text[] IS NULL OR :measures::text[] && ARRAY['retained_1', 'retained_7', 'retained_30'])
    UNION ALL
    SELECT bill.position, 14, 'OrderPaid', bill.occurred_at, 'due', bill.store_id,
        (bill.due_at AT TIME ZONE bill.time_zone)::date,
        extract(hour FROM bill.due_at AT TIME ZONE bill.time_zone)::bigint,
        bill.currency, bill.channel, NULL, NULL, bill.order_id, bill.customer_id, 1, bill.due_at
    FROM paid AS bill
    WHERE (bill.cancelled_at IS NULL OR bill.cancelled_at > bill.due_at OR bill.cancelled_position > :as_of::bigint)
    UNION ALL
    SELECT bill.shipped_position, 15, 'OrderShipped', bill.shipped_at, 'shipped_in_time', bill.store_id,
        (bill.due_at AT TIME ZONE bill.time_zone)::date,
        extract(hour FROM bill.due_at AT TIME ZONE bill.time_zone)::bigint,
        bill.currency, bill.channel, NULL, NULL, bill.order_id, bill.customer_id, 1, bill.due_at
    FROM paid AS bill
    WHERE (bill.cancelled_at IS NULL OR bill.cancelled_at > bill.due_at OR bill.cancelled_position > :as_of::bigint)
        AND bill.shipped_at <= bill.due_at
    UNION ALL
    SELECT bill.position, 23, 'OrderPaid', bill.occurred_at, 'overdue', bill.store_id,
        (bill.due_at AT TIME ZONE bill.time_zone)::date,
        extract(hour FROM bill.due_at AT TIME ZONE bill.time_zone)::bigint,
        bill.currency, bill.channel, NULL, NULL, bill.order_id, bill.customer_id, 1, bill.due_at
    FROM paid AS bill
    WHERE (bill.cancelled_at IS NULL OR bill.cancelled_at > bill.due_at OR bill.cancelled_position > :as_of::bigint)
        AND (bill.shipped_at IS NULL OR bill.shipped_position > :as_of::bigint)
        AND (bill.cancelled_at IS NULL OR bill.cancelled_position > :as_of::bigint)
    UNION ALL
    SELECT bill.position, 16, 'OrderPaid', bill.occurred_at, 'hard_due', bill.store_id,
        (bill.hard_at AT TIME ZONE bill.time_zone)::date,
        extract(hour FROM bill.hard_at AT TIME ZONE bill.time_zone)::bigint,
        bill.currency, bill.channel, NULL, NULL, bill.order_id, bill.customer_id, 1, bill.hard_at
    FROM paid AS bill
    WHERE (bill.cancelled_at IS NULL OR bill.cancelled_at > bill.hard_at OR bill.cancelled_position > :as_of::bigint)
    UNION ALL
    SELECT bill.position, 17, 'OrderPaid', bill.occurred_at, 'hard_broken', bill.store_id,
        (bill.hard_at AT TIME ZONE bill.time_zone)::date,
        extract(hour FROM bill.hard_at AT TIME ZONE bill.time_zone)::bigint,
        bill.currency, bill.channel, NULL, NULL, bill.order_id, bill.customer_id, 1, bill.hard_at
    FROM paid AS bill
    WHERE (bill.cancelled_at IS NULL OR bill.cancelled_at > bill.hard_at OR bill.cancelled_position > :as_of::bigint)
        AND (bill.shipped_at IS NULL OR bill.shipped_at > bill.hard_at OR bill.shipped_position > :as_of::bigint)
    UNION ALL
    SELECT bill.shipped_position, 18, 'OrderShipped', bill.shipped_at, 'ship_seconds', bill.store_id, bill.day,
        bill.hour, bill.currency, bill.channel, NULL, NULL, bill.order_id, bill.customer_id,
        extract(epoch FROM bill.shipped_at - bill.occurred_at), NULL
    FROM paid AS bill WHERE bill.shipped_at IS NOT NULL
    UNION ALL
    SELECT bill.completed_position, 59, 'OrderCompleted', bill.completed_at, 'complete_seconds', bill.store_id, bill.day,
        bill.hour, bill.currency, bill.channel, NULL, NULL, bill.order_id, bill.customer_id,
        extract(epoch FROM bill.completed_at - bill.occurred_at), NULL
    FROM paid AS bill WHERE bill.completed_at IS NOT NULL
    UNION ALL
    SELECT wish.closed_position, 28, wish.closed_by, wish.closed_at, 'return_seconds', wish.store_id, wish.day,
        wish.hour, NULL, origin.channel, NULL, NULL, wish.order_id, NULL,
        extract(epoch FROM wish.closed_at - wish.asked_at), NULL
    FROM return_cases AS wish LEFT JOIN origins AS origin ON origin.order_id = wish.order_id
    WHERE wish.closed_at IS NOT NULL
    UNION ALL
    SELECT parcel.delivered_position, 35, 'OrderDelivered', parcel.delivered_at, 'delivery_seconds', parcel.store_id,
        parcel.day, parcel.hour, NULL, origin.channel, NULL, NULL, parcel.order_id, NULL,
        extract(epoch FROM parcel.delivered_at - parcel.shipped_at), NULL
    FROM parcels AS parcel LEFT JOIN origins AS origin ON origin.order_id = parcel.order_id
    WHERE parcel.delivered_at IS NOT NULL
    UNION ALL
    -- What is open: earned, less what was spent, taken back, or lapsed; it may be below zero.
    SELECT move.position, 36, move.event, move.occurred_at, 'points_open', move.store_id, move.day, move.hour, NULL,
        NULL, NULL, NULL, move.order_id, NULL,
        CASE WHEN move.measure IN ('points_earned', 'points_merged') THEN move.amount ELSE -move.amount END, NULL
    FROM moves AS move
    WHERE move.measure IN ('points_earned', 'points_spent', 'points_reversed', 'points_expired', 'points_merged')
    UNION ALL
    SELECT wish.position, 29, 'ReturnRequested', wish.asked_at, 'returns_asked', wish.store_id, wish.day, wish.hour,
        NULL, origin.channel, NULL, NULL, wish.order_id, NULL, 1, NULL
    FROM return_cases AS wish LEFT JOIN origins AS origin ON origin.order_id = wish.order_id
    WHERE (:reason::text IS NULL OR wish.reason = :reason::text)
    UNION ALL
    SELECT wish.position, 2000 + wish.place, 'ReturnRequested', wish.occurred_at, 'asked_back', wish.store_id, wish.day,
        wish.hour, NULL, origin.channel, wish.sku_id, NULL, wish.order_id, NULL, wish.quantity, NULL
    FROM asked_back AS wish LEFT JOIN origins AS origin ON origin.order_id = wish.order_id
    WHERE (:reason::text IS NULL OR wish.reason = :reason::text)
    UNION ALL
    SELECT move.position, 19 + (move.measure = 'counted_book')::int + 18 * (move.measure = 'freight_paid')::int,
        move.event, move.occurred_at, move.measure,
        move.store_id, move.day, move.hour, move.currency, origin.channel, move.sku_id, move.campaign_id, move.order_id,
        NULL, move.amount, NULL
    FROM moves AS move LEFT JOIN origins AS origin ON origin.order_id = move.order_id
    UNION ALL
    SELECT move.position, 31, move.event, move.occurred_at, 'expenses_of_campaigns', move.store_id, move.day, move.hour,
        move.currency, NULL, NULL, move.campaign_id, NULL, NULL, move.amount, NULL
    FROM moves AS move WHERE move.measure = 'expenses' AND move.campaign_id IS NOT NULL
    UNION ALL
    SELECT given.position, 41, 'CouponGranted', given.occurred_at, 'coupons_granted', given.store_id, given.day,
        given.hour, NULL, NULL, NULL, given.campaign_id, NULL, given.customer_id, 1, NULL
    FROM coupons AS given
    UNION ALL
    SELECT spent.position, 42, 'CouponUsed', spent.occurred_at, 'coupons_used', spent.store_id, spent.day, spent.hour,
        NULL, origin.channel, NULL, given.campaign_id, spent.order_id, spent.customer_id, 1, NULL
    FROM coupon_uses AS spent
    LEFT JOIN coupons AS given ON given.coupon_id = spent.coupon_id AND given.position <= spent.position
    LEFT JOIN origins AS origin ON origin.order_id = spent.order_id
    WHERE spent.until_position > :as_of::bigint
    UNION ALL
    SELECT spent.position, said.place, 'AdSpendRecorded', spent.occurred_at, said.measure, spent.store_id, spent.day,
        NULL, spent.currency, spent.channel, NULL, spent.campaign_id, NULL, NULL, said.amount, NULL
    FROM ads AS spent CROSS JOIN LATERAL (VALUES
        (1, 'ad_cost', spent.cost_minor), (2, 'impressions', spent.impressions), (3, 'clicks', spent.clicks)
    ) AS said (place, measure, amount)
    WHERE spent.until_position > :as_of::bigint
    UNION ALL
    -- A forecast stands on the day on which its campaign starts.
    SELECT hope.position, said.place, 'ForecastSet', hope.occurred_at, said.measure, hope.store_id, plan.day, plan.hour,
        hope.currency, NULL, NULL, hope.campaign_id, NULL, NULL, said.amount, NULL
    FROM forecasts AS hope
    JOIN schedules AS plan ON plan.campaign_id = hope.campaign_id
        AND plan.position <= :as_of::bigint AND plan.until_position > :as_of::bigint
    CROSS JOIN LATERAL (VALUES
        (1, 'forecast_visitors', hope.visitors::numeric), (2, 'forecast_units', hope.units),
        (3, 'forecast_gmv', hope.gmv_minor::numeric), (4, 'forecast_conversion', hope.conversion)
    ) AS said (place, measure, amount)
    WHERE hope.until_position > :as_of::bigint
    UNION ALL
    -- Points at what the store takes them for on that day, and, when it takes them for something else, what is open anew.
    SELECT move.position, 53, move.event, move.occurred_at, 'points_worth', move.store_id, move.day, move.hour,
        home.currency, NULL, NULL, NULL, move.order_id, NULL,
        CASE WHEN move.measure IN ('points_earned', 'points_merged') THEN move.amount ELSE -move.amount END
            * coalesce(worth.value_minor, rule.point_value_minor), NULL
    FROM moves AS move CROSS JOIN rules AS rule
    JOIN currencies AS home ON home.store_id = move.store_id AND home.position <= :as_of::bigint
    LEFT JOIN LATERAL (
        SELECT said.value_minor FROM point_values AS said
        WHERE said.store_id = move.store_id AND said.day <= move.day AND said.position <= :as_of::bigint
        ORDER BY said.day DESC, said.effective_from DESC, said.position DESC LIMIT 1
    ) AS worth ON true
    WHERE move.measure IN ('points_earned', 'points_spent', 'points_reversed', 'points_expired', 'points_merged')
    UNION ALL
    SELECT said.position, 54, 'PolicySet', said.occurred_at, 'points_worth', said.store_id, said.day, NULL,
        home.currency, NULL, NULL, NULL, NULL, NULL, (said.value_minor - said.before_minor) * known.points, NULL
    FROM (
        SELECT one.position, one.store_id, one.occurred_at, one.day, one.value_minor,
            coalesce(lag(one.value_minor) OVER (
                PARTITION BY one.store_id ORDER BY one.day, one.effective_from, one.position
            ), rule.point_value_minor) AS before_minor
        FROM point_values AS one CROSS JOIN rules AS rule WHERE one.position <= :as_of::bigint
    ) AS said
    JOIN currencies AS home ON home.store_id = said.store_id AND home.position <= :as_of::bigint
    CROSS JOIN LATERAL (
        SELECT sum(
            CASE WHEN move.measure IN ('points_earned', 'points_merged') THEN move.amount ELSE -move.amount END
        ) AS points
        FROM moves AS move
        WHERE move.measure IN ('points_earned', 'points_spent', 'points_reversed', 'points_expired', 'points_merged')
            AND move.store_id = said.store_id AND move.day < said.day AND move.position <= :as_of::bigint
    ) AS known
    WHERE (said.value_minor - said.before_minor) * known.points <> 0
    UNION ALL
    SELECT one.position, 51, one.event, one.occurred_at, 'members', one.store_id, one.day, one.hour, NULL, NULL, NULL,
        NULL, NULL, one.customer_id, 1, NULL
    FROM tiers AS one WHERE one.tier IS NOT NULL AND (:tier::text IS NULL OR one.tier = :tier::text)
    UNION ALL
    SELECT one.until_position, 52, one.until_event, one.until_at, 'members', one.store_id, one.until_day,
        one.until_hour, NULL, NULL, NULL, NULL, NULL, one.customer_id, -1, NULL
    FROM tiers AS one
    WHERE one.tier IS NOT NULL AND one.until_at IS NOT NULL AND (:tier::text IS NULL OR one.tier = :tier::text)
    UNION ALL
    SELECT one.position, said.place, one.event, one.occurred_at, said.measure, one.store_id, one.day, one.hour, NULL,
        NULL, NULL, NULL, NULL, one.customer_id, 1, NULL
    FROM tiers AS one CROSS JOIN LATERAL (VALUES
        (55, 'joined'), (56, CASE one.source
            WHEN 'spend' THEN 'joined_by_spend' WHEN 'paid' THEN 'joined_for_money' ELSE 'joined_as_a_gift'
        END)
    ) AS said (place, measure)
    WHERE one.event = 'MembershipJoined' AND (:tier::text IS NULL OR one.tier = :tier::text)
    UNION ALL
    SELECT word.position, 57, word.event, word.occurred_at, 'referred', word.store_id, word.day, word.hour, NULL, NULL,
        NULL, NULL, NULL, word.customer_id, 1, NULL
    FROM referrals AS word
    UNION ALL
    SELECT began.first_position, 58, 'OrderPaid', began.first_at, 'referred_and_paid', word.store_id, word.day,
        word.hour, NULL, NULL, NULL, NULL, NULL, word.customer_id, 1, NULL
    FROM referrals AS word JOIN first_orders AS began ON began.customer_id = word.customer_id
        AND began.first_position <= :as_of::bigint AND began.until_position > :as_of::bigint
    WHERE word.position <= :as_of::bigint
        AND (:store_ids::uuid[] IS NULL OR began.store_id = ANY (:store_ids::uuid[]))
    UNION ALL
    SELECT look.position, said.place, CASE WHEN look.passed THEN 'PriceCheckPassed' ELSE 'PriceCheckFailed' END,
        look.occurred_at, said.measure, look.store_id, look.day, look.hour, NULL, NULL, NULL, look.campaign_id, NULL, NULL,
        1, NULL
    FROM price_checks AS look CROSS JOIN LATERAL (VALUES
        (61, 'price_checks', true), (62, 'price_passed_first', look.passed AND look.is_first)
    ) AS said (place, measure, counts)
    WHERE said.counts
    UNION ALL
    -- How long an article had been in no other campaign when one with it started.
    SELECT start.position, 3000 + row_number() OVER (PARTITION BY start.position ORDER BY line.sku_id),
        'CampaignStarted', start.occurred_at, 'campaign_gap_days', start.store_id, start.day, start.hour, NULL, NULL,
        line.sku_id, start.campaign_id, NULL, NULL, greatest(start.day - earlier.day, 0), NULL
    FROM campaign_turns AS start
    JOIN campaign_lines AS line ON line.campaign_id = start.campaign_id AND line.position < start.position
    CROSS JOIN LATERAL (
        SELECT max(stop.day) AS day
        FROM campaign_lines AS other
        JOIN campaign_turns AS stop ON stop.campaign_id = other.campaign_id AND stop.position > other.position
        WHERE other.sku_id = line.sku_id AND other.campaign_id <> start.campaign_id
            AND stop.ended AND stop.store_id = start.store_id AND stop.position < start.position
    ) AS earlier
    WHERE NOT start.ended AND earlier.day IS NOT NULL
    UNION ALL
    -- From the day on at whose end a campaign runs in a store it is 1, from that on at whose end none does 0.
    SELECT state.position, 63, CASE WHEN latest.ended THEN 'CampaignEnded' ELSE 'CampaignStarted' END,
        latest.occurred_at, 'in_campaign', state.store_id, state.day, NULL, NULL, NULL, :sku_id::uuid, NULL, NULL, NULL,
        state.runs - state.ran, NULL
    FROM (
        SELECT sums.store_id, sums.day, sums.position, least(greatest(sum(sums.change) OVER so_far, 0), 1) AS runs,
            least(greatest(sum(sums.change) OVER so_far - sums.change, 0), 1) AS ran
        FROM (
            SELECT turn.store_id, turn.day, max(turn.position) AS position,
                sum(CASE WHEN turn.ended THEN -1 ELSE 1 END) AS change
            FROM campaign_turns AS turn
            WHERE turn.position <= :as_of::bigint AND (:sku_id::uuid IS NULL OR EXISTS (
                SELECT FROM campaign_lines AS line
                WHERE line.campaign_id = turn.campaign_id AND line.sku_id = :sku_id::uuid
                    AND line.position <= :as_of::bigint
            ))
            GROUP BY 1, 2
        ) AS sums
        WINDOW so_far AS (PARTITION BY sums.store_id ORDER BY sums.day)
    ) AS state
    JOIN campaign_turns AS latest ON latest.position = state.position
    WHERE state.runs <> state.ran
) AS fact
CROSS JOIN rules AS rule
LEFT JOIN persons AS same ON same.customer_id = fact.customer_id
    AND same.since_position <= :as_of::bigint AND same.until_position > :as_of::bigint
WHERE (:store_ids::uuid[] IS NULL OR fact.store_id = ANY (:store_ids::uuid[]))
    AND (:measures::text[] IS NULL OR fact.measure = ANY (:measures::text[]))
    AND (:from_day::date IS NULL OR fact.day >= :from_day::date) AND (:to_day::date IS NULL OR fact.day <= :to_day::date)
    AND (:channel::text IS NULL OR fact.channel = :channel::text)
    AND (:sku_id::uuid IS NULL OR fact.sku_id = :sku_id::uuid)
    AND (:campaign_id::uuid IS NULL OR fact.campaign_id = :campaign_id::uuid)
    AND fact.position <= :as_of::bigint
    AND (:now::timestamptz IS NULL OR fact.due_at IS NULL OR fact.due_at <= :now::timestamptz);

-- cohorts: of the people whose first paid order in these stores fell into a month, how many paid in each month after it.
WITH began AS (
    SELECT coalesce(same.person_id, one.customer_id) AS person_id, min(one.day) AS day
    FROM first_orders AS one
    LEFT JOIN persons AS same ON same.customer_id = one.customer_id AND same.until_position = 9223372036854775807
    WHERE one.until_position = 9223372036854775807
        AND (:store_ids::uuid[] IS NULL OR one.store_id = ANY (:store_ids::uuid[]))
    GROUP BY 1
), cohort AS (
    SELECT began.person_id, date_trunc('month', began.day::timestamp)::date AS starts_on
    FROM began
    WHERE (:from_day::date IS NULL OR began.day >= :from_day::date) AND (:to_day::date IS NULL OR began.day <= :to_day::date)
), active AS (
    SELECT DISTINCT cohort.starts_on, cohort.person_id,
        (extract(year FROM bill.day) * 12 + extract(month FROM bill.day)
            - extract(year FROM cohort.starts_on) * 12 - extract(month FROM cohort.starts_on))::bigint AS months_later
    FROM paid AS bill
    LEFT JOIN persons AS same ON same.customer_id = bill.customer_id AND same.until_position = 9223372036854775807
    JOIN cohort ON cohort.person_id = coalesce(same.person_id, bill.customer_id)
    WHERE :store_ids::uuid[] IS NULL OR bill.store_id = ANY (:store_ids::uuid[])
)
SELECT active.starts_on, active.months_later, count(*) AS active_customers,
    max(count(*)) OVER (PARTITION BY active.starts_on) AS customers
FROM active
GROUP BY 1, 2
ORDER BY 1, 2;

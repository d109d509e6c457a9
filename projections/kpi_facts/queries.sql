-- fact_rows: what happened, as far as it was known at position :as_of (always to be given), each row with what it adds to a measure.
-- place makes a row of an event unique. A promise that falls due after :now is neither kept nor broken yet. `slice` is what a
-- breakdown :by tells rows apart by. All branches have the very same types, and none has a window function of its own, so that
-- conditions reach each of them. Where the measure of a branch is no constant, what stands as `:measures && ARRAY[...]` in it says
-- which it can be: for others the branch is not even planned.
SELECT fact.position, fact.place, fact.event, fact.occurred_at, fact.measure, fact.store_id, fact.day, fact.hour,
    fact.currency, fact.order_id, coalesce(
        same.person_id, fact.customer_id,
        CASE WHEN fact.measure = 'sold' AND (SELECT rule.guest_order_is_buyer FROM rules AS rule) THEN fact.order_id END
    ) AS who, fact.channel, fact.amount, CASE :by::text
        WHEN 'store' THEN fact.store_id::text WHEN 'channel' THEN fact.channel WHEN 'sku' THEN fact.sku_id::text
        WHEN 'campaign' THEN fact.campaign_id::text WHEN 'reason' THEN fact.label WHEN 'tier' THEN fact.label
        WHEN 'location' THEN fact.label WHEN 'agent' THEN fact.label
        WHEN 'source' THEN came.source WHEN 'device' THEN came.device
    END AS slice
FROM (
    SELECT line.position, line.line * 100 + 1 AS place, 'OrderPaid' AS event, line.occurred_at, 'sold' AS measure,
        line.store_id, line.day, line.hour, line.currency, line.channel, line.sku_id, line.campaign_id, line.order_id,
        line.customer_id, line.amount_minor::numeric AS amount, NULL::text AS label, NULL::timestamptz AS due_at
    FROM sold AS line
    UNION ALL
    SELECT line.position, line.line * 100 + 2, 'OrderPaid', line.occurred_at, 'sold_in_campaigns', line.store_id,
        line.day, line.hour, line.currency, line.channel, line.sku_id, line.campaign_id, line.order_id,
        line.customer_id, line.amount_minor::numeric, NULL, NULL
    FROM sold AS line WHERE line.campaign_id IS NOT NULL
    UNION ALL
    SELECT line.position, line.line * 100 + 3, 'OrderPaid', line.occurred_at, 'sold_to_returning', line.store_id,
        line.day, line.hour, line.currency, line.channel, line.sku_id, line.campaign_id, line.order_id,
        line.customer_id, line.amount_minor::numeric, NULL, NULL
    FROM sold AS line
    JOIN first_orders AS began ON began.customer_id = line.customer_id AND began.store_id = line.store_id
        AND began.first_position <= :as_of::bigint AND began.until_position > :as_of::bigint
        AND (:store_ids::uuid[] IS NULL OR began.store_id = ANY (:store_ids::uuid[]))
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
        line.units, NULL, NULL
    FROM sold AS line WHERE line.units <> 0
    UNION ALL
    SELECT line.position, line.line * 100 + 11, 'OrderPaid', line.occurred_at, 'sold_to_customers', line.store_id,
        line.day, line.hour, line.currency, line.channel, line.sku_id, line.campaign_id, line.order_id,
        line.customer_id, line.amount_minor::numeric, NULL, NULL
    FROM sold AS line WHERE line.customer_id IS NOT NULL
    UNION ALL
    -- By whoever of the staff helped the buyer, as far as it was known then.
    SELECT line.position, line.line * 100 + 12, 'OrderPaid', line.occurred_at, 'assisted', line.store_id, line.day,
        line.hour, line.currency, line.channel, line.sku_id, line.campaign_id, line.order_id, line.customer_id,
        line.amount_minor::numeric, coalesce(help.agent, 'silent'), NULL
    FROM sold AS line
    LEFT JOIN assists AS help ON help.order_id = line.order_id
        AND help.position <= :as_of::bigint AND help.until_position > :as_of::bigint
    UNION ALL
    SELECT line.position, line.line * 100 + 5, 'OrderPaid', line.occurred_at, 'first_order', line.store_id, line.day,
        line.hour, line.currency, line.channel, line.sku_id, line.campaign_id, line.order_id, line.customer_id,
        line.amount_minor::numeric, NULL, NULL
    FROM sold AS line
    JOIN first_orders AS began ON began.customer_id = line.customer_id AND began.store_id = line.store_id
        AND began.first_position <= :as_of::bigint AND began.until_position > :as_of::bigint
        AND began.first_position = line.position
        AND (:store_ids::uuid[] IS NULL OR began.store_id = ANY (:store_ids::uuid[]))
    WHERE NOT EXISTS (
        SELECT FROM persons AS own
        JOIN persons AS other ON other.person_id = own.person_id AND other.customer_id <> own.customer_id
        JOIN first_orders AS theirs ON theirs.customer_id = other.customer_id AND theirs.store_id = began.store_id
        WHERE own.customer_id = began.customer_id
            AND own.since_position <= :as_of::bigint AND own.until_position > :as_of::bigint
            AND other.since_position <= :as_of::bigint AND other.until_position > :as_of::bigint
            AND theirs.first_position <= :as_of::bigint AND theirs.until_position > :as_of::bigint
            AND (theirs.first_at, theirs.first_position) < (began.first_at, began.first_position)
    )
    UNION ALL
    SELECT line.position, line.line * 100 + 6, 'OrderPaid', line.occurred_at, 'first_order_anywhere', line.store_id,
        line.day, line.hour, line.currency, line.channel, line.sku_id, line.campaign_id, line.order_id,
        line.customer_id, line.amount_minor::numeric, NULL, NULL
    FROM sold AS line
    JOIN first_orders AS began ON began.customer_id = line.customer_id AND began.store_id = line.store_id
        AND began.first_position <= :as_of::bigint AND began.until_position > :as_of::bigint
        AND began.first_position = line.position
        AND (:store_ids::uuid[] IS NULL OR began.store_id = ANY (:store_ids::uuid[]))
    WHERE NOT EXISTS (
        SELECT FROM first_orders AS theirs
        WHERE theirs.customer_id = began.customer_id
            AND theirs.first_position <= :as_of::bigint AND theirs.until_position > :as_of::bigint
            AND (theirs.first_at, theirs.first_position) < (began.first_at, began.first_position)
    ) AND NOT EXISTS (
        SELECT FROM persons AS own
        JOIN persons AS other ON other.person_id = own.person_id AND other.customer_id <> own.customer_id
        JOIN first_orders AS theirs ON theirs.customer_id = other.customer_id
        WHERE own.customer_id = began.customer_id
            AND own.since_position <= :as_of::bigint AND own.until_position > :as_of::bigint
            AND other.since_position <= :as_of::bigint AND other.until_position > :as_of::bigint
            AND theirs.first_position <= :as_of::bigint AND theirs.until_position > :as_of::bigint
            AND (theirs.first_at, theirs.first_position) < (began.first_at, began.first_position)
    )
    UNION ALL
    -- A fully refunded order brings nobody back.
    SELECT line.position, line.line * 100 + 7, 'OrderPaid', line.occurred_at, 'kept', line.store_id, line.day,
        line.hour, line.currency, line.channel, line.sku_id, line.campaign_id, line.order_id, line.customer_id,
        line.amount_minor::numeric, NULL, NULL
    FROM sold AS line
    LEFT JOIN (
        SELECT back.order_id, sum(back.goods_minor) AS goods_minor FROM refunds AS back
        WHERE back.position <= :as_of::bigint GROUP BY 1
    ) AS given ON given.order_id = line.order_id
    WHERE line.customer_id IS NOT NULL AND greatest(line.goods_minor, 1) > coalesce(given.goods_minor, 0)
    UNION ALL
    SELECT line.position, line.line * 100 + 21, 'OrderPaid', line.occurred_at, 'units_in_campaigns', line.store_id,
        line.day, line.hour, line.currency, line.channel, line.sku_id, line.campaign_id, line.order_id,
        line.customer_id, line.units, NULL, NULL
    FROM sold AS line WHERE line.units <> 0 AND line.campaign_id IS NOT NULL
    UNION ALL
    -- What would have been sold anyway: a part of the same weekday of each of some weeks before, campaigns left out.
    SELECT line.position, 1000000 + line.line * 100 + week.number, 'OrderPaid', line.occurred_at, 'baseline',
        line.store_id, line.day + 7 * week.number, line.hour, line.currency, line.channel, line.sku_id, NULL,
        line.order_id, line.customer_id, line.amount_minor::numeric / rule.baseline_weeks, NULL, NULL
    FROM rules AS rule
    CROSS JOIN LATERAL generate_series(1, rule.baseline_weeks::integer) AS week (number)
    JOIN sold AS line ON line.day >= :from_day::date - 7 * week.number AND line.day <= :to_day::date - 7 * week.number
    WHERE line.campaign_id IS NULL AND (:store_ids::uuid[] IS NULL OR line.store_id = ANY (:store_ids::uuid[]))
    UNION ALL
    -- On each day the units of the seven days that end with it, and those of the seven days before.
    SELECT line.position, 4000000 + line.line * 100 + later.days, 'OrderPaid', line.occurred_at,
        CASE WHEN later.days < 7 THEN 'units_of_week' ELSE 'units_of_week_before' END, line.store_id,
        line.day + later.days, line.hour, line.currency, line.channel, line.sku_id, line.campaign_id, line.order_id,
        line.customer_id, line.units, NULL, NULL
    FROM sold AS line
    CROSS JOIN LATERAL generate_series(
        greatest(:from_day::date - line.day, 0), least(:to_day::date - line.day, :last_day::date - line.day, 13)
    ) AS later (days)
    WHERE line.units <> 0 AND line.day >= :from_day::date - 13 AND line.day <= :to_day::date
        AND (:store_ids::uuid[] IS NULL OR line.store_id = ANY (:store_ids::uuid[]))
        AND (:measures::text[] IS NULL OR :measures::text[] && ARRAY['units_of_week', 'units_of_week_before'])
    UNION ALL
    SELECT bill.position, 8::bigint, 'OrderPaid', bill.occurred_at, 'paid_in_full', bill.store_id, bill.day,
        bill.hour, bill.currency, bill.channel, NULL, NULL, bill.order_id, bill.customer_id,
        bill.total_minor::numeric, NULL, NULL
    FROM paid AS bill
    UNION ALL
    SELECT bill.position, 1000 + given.place, 'OrderPaid', bill.occurred_at, 'freight_waived', bill.store_id,
        bill.day, bill.hour, bill.currency, bill.channel, NULL, given.campaign_id, bill.order_id, bill.customer_id,
        given.amount_minor::numeric, NULL, NULL
    FROM waivers AS given JOIN paid AS bill ON bill.order_id = given.order_id
    UNION ALL
    SELECT back.position, back.place * 100 + 9, 'OrderRefunded', back.occurred_at, 'refunded', back.store_id,
        back.day, back.hour, back.currency, back.channel, back.sku_id, back.campaign_id, back.order_id,
        back.customer_id, back.net_minor::numeric, NULL, NULL
    FROM refunds AS back WHERE back.net_minor <> 0
    UNION ALL
    SELECT back.position, back.place * 100 + 10, 'OrderRefunded', back.occurred_at, 'refunded_of_sale', back.store_id,
        back.sold_day, back.sold_hour, back.currency, back.channel, back.sku_id, back.campaign_id, back.order_id,
        back.customer_id, back.net_minor::numeric, NULL, NULL
    FROM refunds AS back WHERE back.net_minor <> 0 AND back.sold_day IS NOT NULL
    UNION ALL
    SELECT back.position, back.place * 100 + 13, 'OrderRefunded', back.occurred_at, 'assisted_refunded', back.store_id,
        back.sold_day, back.sold_hour, back.currency, back.channel, back.sku_id, back.campaign_id, back.order_id,
        back.customer_id, back.net_minor::numeric, coalesce(help.agent, 'silent'), NULL
    FROM refunds AS back
    LEFT JOIN assists AS help ON help.order_id = back.order_id
        AND help.position <= :as_of::bigint AND help.until_position > :as_of::bigint
    WHERE back.net_minor <> 0 AND back.sold_day IS NOT NULL
    UNION ALL
    SELECT back.position, back.place * 100 + 22, 'OrderRefunded', back.occurred_at, 'refunded_in_campaigns',
        back.store_id, back.day, back.hour, back.currency, back.channel, back.sku_id, back.campaign_id, back.order_id,
        back.customer_id, back.net_minor::numeric, NULL, NULL
    FROM refunds AS back WHERE back.net_minor <> 0 AND back.campaign_id IS NOT NULL
    UNION ALL
    SELECT back.position, 11::bigint, 'OrderRefunded', back.occurred_at, 'given_back', back.store_id, back.day,
        back.hour, back.currency, back.channel, NULL, NULL, back.order_id, back.customer_id,
        back.whole_minor::numeric, NULL, NULL
    FROM refunds AS back WHERE back.place = 0
    UNION ALL
    SELECT origin.position, 24::bigint, 'OrderPlaced', origin.occurred_at, 'placed', origin.store_id, origin.day,
        origin.hour, origin.currency, origin.channel, NULL, NULL, origin.order_id, origin.customer_id, 1::numeric,
        NULL, NULL
    FROM origins AS origin WHERE origin.is_order
    UNION ALL
    SELECT origin.position, 25::bigint, 'OrderPlaced', origin.occurred_at, 'unpaid', origin.store_id, origin.day,
        origin.hour, origin.currency, origin.channel, NULL, NULL, origin.order_id, origin.customer_id, 1::numeric,
        NULL, NULL
    FROM origins AS origin LEFT JOIN paid AS bill ON bill.order_id = origin.order_id AND bill.position <= :as_of::bigint
    WHERE origin.is_order AND bill.order_id IS NULL
        AND (origin.dropped_position IS NULL OR origin.dropped_position > :as_of::bigint)
    UNION ALL
    SELECT origin.dropped_position, 26::bigint, origin.dropped_by, origin.dropped_at, 'dropped', origin.store_id,
        origin.day, origin.hour, origin.currency, origin.channel, NULL, NULL, origin.order_id, origin.customer_id,
        1::numeric, NULL, NULL
    FROM origins AS origin WHERE origin.is_order AND origin.dropped_position IS NOT NULL
    UNION ALL
    SELECT seen.position, 27::bigint, seen.event, seen.occurred_at, 'active', seen.store_id, seen.day, seen.hour,
        seen.currency, seen.channel, NULL, NULL, seen.order_id, seen.customer_id, 1::numeric, NULL, NULL
    FROM visits AS seen
    UNION ALL
    SELECT person.position, 12::bigint, 'CustomerRegistered', person.occurred_at, 'registered', person.store_id,
        person.day, person.hour, NULL, person.channel, NULL, person.campaign_id, NULL, person.customer_id, 1::numeric,
        NULL, NULL
    FROM users AS person
    UNION ALL
    -- A merged duplicate is taken off on the day on which it had been counted.
    SELECT person.merged_position, 13::bigint, 'CustomerMergedInto', person.merged_at, 'registered', person.store_id,
        person.day, person.hour, NULL, person.channel, NULL, person.campaign_id, NULL, person.customer_id,
        (-1)::numeric, NULL, NULL
    FROM users AS person WHERE person.merged_position IS NOT NULL
    UNION ALL
    -- Who registered on a day is asked for some days later, once that later day is over.
    SELECT person.position, (30 + later.days)::bigint, 'CustomerRegistered', person.occurred_at, later.joined,
        person.store_id, person.day, person.hour, NULL, person.channel, NULL, person.campaign_id, NULL,
        person.customer_id, 1::numeric, NULL, (person.day + later.days + 1)::timestamp AT TIME ZONE person.time_zone
    FROM users AS person
    CROSS JOIN (VALUES (1, 'joined_1'), (7, 'joined_7'), (30, 'joined_30')) AS later (days, joined)
    WHERE (person.merged_position IS NULL OR person.merged_position > :as_of::bigint)
        AND (:measures::text[] IS NULL OR :measures::text[] && ARRAY['joined_1', 'joined_7', 'joined_30'])
    UNION ALL
    SELECT seen.position, (100000 + later.days)::bigint, seen.event, seen.occurred_at, later.retained,
        person.store_id, person.day, person.hour, NULL, person.channel, NULL, person.campaign_id, seen.order_id,
        person.customer_id, 1::numeric, NULL, (person.day + later.days + 1)::timestamp AT TIME ZONE person.time_zone
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
        AND (:by::text IS DISTINCT FROM 'store' OR seen.store_id = person.store_id)
    WHERE (person.merged_position IS NULL OR person.merged_position > :as_of::bigint)
        AND (:measures::text[] IS NULL OR :measures::text[] && ARRAY['retained_1', 'retained_7', 'retained_30'])
    UNION ALL
    SELECT bill.position, 14::bigint, 'OrderPaid', bill.occurred_at, 'due', bill.store_id,
        bill.due_day,
        extract(hour FROM bill.due_at AT TIME ZONE bill.time_zone)::bigint, bill.currency, bill.channel, NULL, NULL,
        bill.order_id, bill.customer_id, 1::numeric, NULL, bill.due_at
    FROM paid AS bill
    WHERE bill.to_ship
        AND (bill.cancelled_at IS NULL OR bill.cancelled_at > bill.due_at OR bill.cancelled_position > :as_of::bigint)
    UNION ALL
    SELECT bill.settled_position, 15::bigint, bill.settled_by, bill.settled_at, 'shipped_in_time', bill.store_id,
        bill.due_day,
        extract(hour FROM bill.due_at AT TIME ZONE bill.time_zone)::bigint, bill.currency, bill.channel, NULL, NULL,
        bill.order_id, bill.customer_id, 1::numeric, NULL, bill.due_at
    FROM paid AS bill
    WHERE bill.to_ship
        AND (bill.cancelled_at IS NULL OR bill.cancelled_at > bill.due_at OR bill.cancelled_position > :as_of::bigint)
        AND bill.settled_at <= bill.due_at
    UNION ALL
    SELECT bill.position, 23::bigint, 'OrderPaid', bill.occurred_at, 'overdue', bill.store_id,
        bill.due_day,
        extract(hour FROM bill.due_at AT TIME ZONE bill.time_zone)::bigint, bill.currency, bill.channel, NULL, NULL,
        bill.order_id, bill.customer_id, 1::numeric, NULL, bill.due_at
    FROM paid AS bill
    WHERE bill.to_ship
        AND (bill.cancelled_at IS NULL OR bill.cancelled_at > bill.due_at OR bill.cancelled_position > :as_of::bigint)
        AND (bill.settled_at IS NULL OR bill.settled_position > :as_of::bigint)
        AND (bill.cancelled_at IS NULL OR bill.cancelled_position > :as_of::bigint)
    UNION ALL
    SELECT bill.position, 16::bigint, 'OrderPaid', bill.occurred_at, 'hard_due', bill.store_id,
        bill.hard_day,
        extract(hour FROM bill.hard_at AT TIME ZONE bill.time_zone)::bigint, bill.currency, bill.channel, NULL, NULL,
        bill.order_id, bill.customer_id, 1::numeric, NULL, bill.hard_at
    FROM paid AS bill
    WHERE bill.to_ship
        AND (bill.cancelled_at IS NULL OR bill.cancelled_at > bill.hard_at OR bill.cancelled_position > :as_of::bigint)
    UNION ALL
    SELECT bill.position, 17::bigint, 'OrderPaid', bill.occurred_at, 'hard_broken', bill.store_id,
        bill.hard_day,
        extract(hour FROM bill.hard_at AT TIME ZONE bill.time_zone)::bigint, bill.currency, bill.channel, NULL, NULL,
        bill.order_id, bill.customer_id, 1::numeric, NULL, bill.hard_at
    FROM paid AS bill
    WHERE bill.to_ship
        AND (bill.cancelled_at IS NULL OR bill.cancelled_at > bill.hard_at OR bill.cancelled_position > :as_of::bigint)
        AND (bill.settled_at IS NULL OR bill.settled_at > bill.hard_at OR bill.settled_position > :as_of::bigint)
    UNION ALL
    SELECT bill.settled_position, 18::bigint, bill.settled_by, bill.settled_at, 'ship_seconds', bill.store_id,
        bill.day, bill.hour, bill.currency, bill.channel, NULL, NULL, bill.order_id, bill.customer_id,
        extract(epoch FROM bill.shipped_at - bill.occurred_at), NULL, NULL
    FROM paid AS bill WHERE bill.shipped_at IS NOT NULL
    UNION ALL
    SELECT bill.completed_position, 59::bigint, 'OrderCompleted', bill.completed_at, 'complete_seconds',
        bill.store_id, bill.day, bill.hour, bill.currency, bill.channel, NULL, NULL, bill.order_id, bill.customer_id,
        extract(epoch FROM bill.completed_at - bill.occurred_at), NULL, NULL
    FROM paid AS bill WHERE bill.completed_at IS NOT NULL
    UNION ALL
    SELECT wish.closed_position, 28::bigint, wish.closed_by, wish.closed_at, 'return_seconds', wish.store_id,
        wish.day, wish.hour, NULL, origin.channel, NULL, NULL, wish.order_id, NULL,
        extract(epoch FROM wish.closed_at - wish.asked_at), NULL, NULL
    FROM return_cases AS wish LEFT JOIN origins AS origin ON origin.order_id = wish.order_id
    WHERE wish.closed_at IS NOT NULL
    UNION ALL
    SELECT parcel.delivered_position, 35::bigint, 'OrderDelivered', parcel.delivered_at, 'delivery_seconds',
        parcel.store_id, parcel.day, parcel.hour, NULL, origin.channel, NULL, NULL, parcel.order_id, NULL,
        extract(epoch FROM parcel.delivered_at - parcel.shipped_at), NULL, NULL
    FROM parcels AS parcel LEFT JOIN origins AS origin ON origin.order_id = parcel.order_id
    WHERE parcel.delivered_at IS NOT NULL
    UNION ALL
    SELECT said.position, 6000 + said.place, 'DisputeOpened', said.occurred_at, 'complaints', said.store_id, said.day,
        said.hour, NULL, origin.channel, said.sku_id, NULL, said.order_id, NULL, 1::numeric, NULL, NULL
    FROM disputed_units AS said LEFT JOIN origins AS origin ON origin.order_id = said.order_id
    UNION ALL
    SELECT said.position, 65::bigint, 'DisputeOpened', said.opened_at, 'disputes_opened', said.store_id, said.day, said.hour,
        NULL, origin.channel, NULL, NULL, said.order_id, NULL, 1::numeric, NULL, NULL
    FROM disputes AS said LEFT JOIN origins AS origin ON origin.order_id = said.order_id
    UNION ALL
    SELECT said.accepted_position, 66::bigint, 'DisputeAccepted', said.accepted_at, 'dispute_answer_seconds',
        said.store_id, said.day, said.hour, NULL, origin.channel, NULL, NULL, said.order_id, NULL,
        extract(epoch FROM said.accepted_at - said.opened_at), NULL, NULL
    FROM disputes AS said LEFT JOIN origins AS origin ON origin.order_id = said.order_id
    WHERE said.accepted_position IS NOT NULL
    UNION ALL
    SELECT said.closed_position, 67::bigint, said.closed_by, said.closed_at, 'dispute_seconds', said.store_id, said.day,
        said.hour, NULL, origin.channel, NULL, NULL, said.order_id, NULL,
        extract(epoch FROM said.closed_at - said.opened_at) - said.waited, NULL, NULL
    FROM disputes AS said LEFT JOIN origins AS origin ON origin.order_id = said.order_id
    WHERE said.closed_position IS NOT NULL
    UNION ALL
    SELECT said.arbitrated_position, 68::bigint, 'DisputeArbitrated', said.arbitrated_at, 'disputes_arbitrated',
        said.store_id, said.day, said.hour, NULL, origin.channel, NULL, NULL, said.order_id, NULL, 1::numeric, NULL,
        NULL
    FROM disputes AS said LEFT JOIN origins AS origin ON origin.order_id = said.order_id
    WHERE said.arbitrated_position IS NOT NULL
    UNION ALL
    SELECT said.arbitrated_position, 69::bigint, 'DisputeArbitrated', said.arbitrated_at, 'disputes_won_by_buyers',
        said.store_id, said.day, said.hour, NULL, origin.channel, NULL, NULL, said.order_id, NULL, 1::numeric, NULL,
        NULL
    FROM disputes AS said LEFT JOIN origins AS origin ON origin.order_id = said.order_id
    WHERE said.decided_for = 'buyer'
    UNION ALL
    -- A sale that became final, and what was reviewed of it, stand on the day on which it was paid.
    SELECT bill.completed_position, line.line * 100 + 12, 'OrderCompleted', bill.completed_at, 'completed',
        bill.store_id, bill.day, bill.hour, NULL, bill.channel, line.sku_id, line.campaign_id, bill.order_id,
        bill.customer_id, 1::numeric, NULL, NULL
    FROM paid AS bill JOIN sold AS line ON line.position = bill.position
    WHERE bill.completed_at IS NOT NULL
    UNION ALL
    SELECT said.position, 80::bigint, 'ReviewPosted', said.posted_at, 'reviewed', bill.store_id, bill.day, bill.hour,
        NULL, bill.channel, said.sku_id, NULL, bill.order_id, bill.customer_id, 1::numeric, NULL, NULL
    FROM reviews AS said JOIN paid AS bill ON bill.order_id = said.order_id
    WHERE bill.completed_at IS NOT NULL
    UNION ALL
    SELECT said.position, each.place::bigint, 'ReviewPosted', said.posted_at, each.measure, said.store_id, said.day,
        said.hour, NULL, origin.channel, said.sku_id, NULL, said.order_id, NULL, each.amount::numeric, NULL, NULL
    FROM reviews AS said CROSS JOIN rules AS rule
    CROSS JOIN LATERAL (VALUES
        (81, 'reviews_posted', 1), (82, 'scores_given', said.score), (83, 'reviews_counted', 1),
        (84, 'scores', said.score), (85, 'reviews_positive', CASE WHEN said.score >= rule.positive_score THEN 1 END)
    ) AS each (place, measure, amount)
    LEFT JOIN origins AS origin ON origin.order_id = said.order_id
    WHERE each.amount IS NOT NULL AND (:measures::text[] IS NULL OR :measures::text[] && ARRAY[
        'reviews_posted', 'scores_given', 'reviews_counted', 'scores', 'reviews_positive'
    ])
    UNION ALL
    -- What was found malicious is taken off where it was counted, on the day of the review.
    SELECT said.hidden_position, each.place::bigint, 'ReviewDecided', said.hidden_at, each.measure, said.store_id,
        said.day, said.hour, NULL, origin.channel, said.sku_id, NULL, said.order_id, NULL, each.amount::numeric, NULL,
        NULL
    FROM reviews AS said CROSS JOIN rules AS rule
    CROSS JOIN LATERAL (VALUES
        (86, 'reviews_hidden', 1), (87, 'reviews_counted', -1), (88, 'scores', -said.score),
        (89, 'reviews_positive', CASE WHEN said.score >= rule.positive_score THEN -1 END)
    ) AS each (place, measure, amount)
    LEFT JOIN origins AS origin ON origin.order_id = said.order_id
    WHERE said.hidden_position IS NOT NULL AND each.amount IS NOT NULL
        AND (:measures::text[] IS NULL OR :measures::text[] && ARRAY[
            'reviews_hidden', 'reviews_counted', 'scores', 'reviews_positive'
        ])
    UNION ALL
    SELECT said.replied_position, 90::bigint, 'ReviewReplied', said.replied_at, 'review_reply_seconds', said.store_id,
        said.day, said.hour, NULL, origin.channel, said.sku_id, NULL, said.order_id, NULL,
        extract(epoch FROM said.replied_at - said.posted_at), NULL, NULL
    FROM reviews AS said LEFT JOIN origins AS origin ON origin.order_id = said.order_id
    WHERE said.replied_position IS NOT NULL
    UNION ALL
    SELECT said.replied_position, 91::bigint, 'ReviewReplied', said.replied_at, 'reviews_replied_in_time',
        said.store_id, said.day, said.hour, NULL, origin.channel, said.sku_id, NULL, said.order_id, NULL, 1::numeric,
        NULL, NULL
    FROM reviews AS said LEFT JOIN origins AS origin ON origin.order_id = said.order_id
    WHERE said.replied_at <= said.reply_by
    UNION ALL
    SELECT given.position, 70::bigint, 'CompensationPaid', given.occurred_at, 'compensated', given.store_id, given.day,
        given.hour, given.currency, origin.channel, NULL, NULL, given.order_id, NULL, given.amount_minor::numeric, NULL,
        NULL
    FROM compensations AS given LEFT JOIN origins AS origin ON origin.order_id = given.order_id
    UNION ALL
    SELECT given.position, 71::bigint, 'CompensationPaid', given.occurred_at, 'compensated_by_owner', given.store_id,
        given.day, given.hour, given.currency, origin.channel, NULL, NULL, given.order_id, NULL,
        given.amount_minor::numeric, NULL, NULL
    FROM compensations AS given LEFT JOIN origins AS origin ON origin.order_id = given.order_id
    WHERE given.borne_by = 'owner'
    UNION ALL
    SELECT parcel.position, 72::bigint, 'OrderShipped', parcel.shipped_at, 'parcels_sent', parcel.store_id, parcel.day,
        parcel.hour, NULL, origin.channel, NULL, NULL, parcel.order_id, NULL, 1::numeric, NULL, NULL
    FROM parcels AS parcel LEFT JOIN origins AS origin ON origin.order_id = parcel.order_id
    UNION ALL
    -- A parcel that is lost counts on the day on which it left; one that was found is taken off there.
    SELECT loss.position, 73::bigint, loss.event, loss.occurred_at, 'parcels_lost', parcel.store_id, parcel.day,
        parcel.hour, NULL, origin.channel, NULL, NULL, parcel.order_id, NULL, loss.amount::numeric, NULL, NULL
    FROM losses AS loss
    JOIN parcels AS parcel ON parcel.order_id = loss.order_id AND parcel.parcel_id = loss.parcel_id
    LEFT JOIN origins AS origin ON origin.order_id = parcel.order_id
    UNION ALL
    SELECT claim.position, 74::bigint, 'CourierClaimFiled', claim.filed_at, 'claimed', claim.store_id, claim.day,
        claim.hour, claim.currency, origin.channel, NULL, NULL, claim.order_id, NULL, claim.amount_minor::numeric, NULL,
        NULL
    FROM courier_claims AS claim LEFT JOIN origins AS origin ON origin.order_id = claim.order_id
    UNION ALL
    SELECT claim.settled_position, 75::bigint, 'CourierClaimSettled', claim.settled_at, 'recovered', claim.store_id,
        claim.day, claim.hour, claim.currency, origin.channel, NULL, NULL, claim.order_id, NULL,
        claim.recovered_minor::numeric, NULL, NULL
    FROM courier_claims AS claim LEFT JOIN origins AS origin ON origin.order_id = claim.order_id
    WHERE claim.settled_position IS NOT NULL
    UNION ALL
    -- What is open: earned, less what was spent, taken back, or lapsed; it may be below zero.
    SELECT move.position, 36::bigint, move.event, move.occurred_at, 'points_open', move.store_id, move.day, move.hour,
        NULL, NULL, NULL, NULL, move.order_id, NULL,
        CASE WHEN move.measure IN ('points_earned', 'points_merged') THEN move.amount ELSE -move.amount END, NULL,
        NULL
    FROM moves AS move
    WHERE move.measure IN ('points_earned', 'points_spent', 'points_reversed', 'points_expired', 'points_merged')
    UNION ALL
    SELECT wish.position, 29::bigint, 'ReturnRequested', wish.asked_at, 'returns_asked', wish.store_id, wish.day,
        wish.hour, NULL, origin.channel, NULL, NULL, wish.order_id, NULL, 1::numeric, wish.reason, NULL
    FROM return_cases AS wish LEFT JOIN origins AS origin ON origin.order_id = wish.order_id
    UNION ALL
    SELECT wish.position, 2000 + wish.place, 'ReturnRequested', wish.occurred_at, 'asked_back', wish.store_id,
        wish.day, wish.hour, NULL, origin.channel, wish.sku_id, NULL, wish.order_id, NULL, wish.quantity, wish.reason,
        NULL
    FROM asked_back AS wish LEFT JOIN origins AS origin ON origin.order_id = wish.order_id
    UNION ALL
    SELECT move.position,
        (19 + (move.measure = 'counted_book')::int + 18 * (move.measure = 'freight_paid')::int)::bigint, move.event,
        move.occurred_at, move.measure, move.store_id, move.day, move.hour, move.currency, origin.channel,
        move.sku_id, move.campaign_id, move.order_id, NULL, move.amount,
        move.location_id::text, NULL
    FROM moves AS move LEFT JOIN origins AS origin ON origin.order_id = move.order_id
    UNION ALL
    SELECT given.position, 41::bigint, 'CouponGranted', given.occurred_at, 'coupons_granted', given.store_id,
        given.day, given.hour, NULL, NULL, NULL, given.campaign_id, NULL, given.customer_id, 1::numeric, NULL, NULL
    FROM coupons AS given
    UNION ALL
    SELECT spent.position, 42::bigint, 'CouponUsed', spent.occurred_at, 'coupons_used', spent.store_id, spent.day,
        spent.hour, NULL, origin.channel, NULL, given.campaign_id, spent.order_id, spent.customer_id, 1::numeric,
        NULL, NULL
    FROM coupon_uses AS spent
    LEFT JOIN coupons AS given ON given.coupon_id = spent.coupon_id AND given.position <= spent.position
    LEFT JOIN origins AS origin ON origin.order_id = spent.order_id
    WHERE spent.until_position > :as_of::bigint
    UNION ALL
    SELECT plan.position, 64::bigint, 'CampaignBudgetSet', plan.occurred_at, 'budget', plan.store_id,
        plan.day, NULL, plan.currency, NULL, NULL, plan.campaign_id, NULL, NULL,
        plan.amount_minor::numeric, NULL, NULL
    FROM budgets AS plan WHERE plan.until_position > :as_of::bigint
    UNION ALL
    -- The target of a store stands on the first day of its month; a target of 0 is none.
    SELECT plan.position, 1::bigint, 'SalesTargetSet', plan.occurred_at, 'sales_target', plan.store_id, plan.month,
        NULL, plan.currency, NULL, NULL, NULL, NULL, NULL, plan.amount_minor::numeric, NULL, NULL
    FROM sales_targets AS plan WHERE plan.until_position > :as_of::bigint AND plan.amount_minor > 0
    UNION ALL
    -- What was sold in months with a target; what was refunded counts where the target is one of net sales.
    SELECT line.position, line.line * 100 + 12, 'OrderPaid', line.occurred_at, 'sold_to_target', line.store_id,
        line.day, line.hour, line.currency, line.channel, line.sku_id, line.campaign_id, line.order_id,
        line.customer_id, line.amount_minor::numeric, NULL, NULL
    FROM sold AS line
    JOIN sales_targets AS plan ON plan.store_id = line.store_id
        AND plan.month = date_trunc('month', line.day::timestamp)::date AND plan.amount_minor > 0
        AND plan.position <= :as_of::bigint AND plan.until_position > :as_of::bigint
    UNION ALL
    SELECT back.position, back.place * 100 + 12, 'OrderRefunded', back.occurred_at, 'refunded_to_target',
        back.store_id, back.day, back.hour, back.currency, back.channel, back.sku_id, back.campaign_id, back.order_id,
        back.customer_id, back.net_minor::numeric, NULL, NULL
    FROM refunds AS back
    JOIN sales_targets AS plan ON plan.store_id = back.store_id
        AND plan.month = date_trunc('month', back.day::timestamp)::date AND plan.amount_minor > 0
        AND plan.measure = 'net_sales' AND plan.position <= :as_of::bigint AND plan.until_position > :as_of::bigint
    WHERE back.net_minor <> 0
    UNION ALL
    SELECT task.position, said.place::bigint, task.event, task.occurred_at, said.measure, task.store_id, task.day,
        task.hour, NULL, NULL, NULL, task.campaign_id, NULL, NULL, 1::numeric, NULL, NULL
    FROM ad_windows AS task CROSS JOIN LATERAL (VALUES
        (66, 'ad_windows', true), (67, 'ad_windows_kept', task.kept)
    ) AS said (place, measure, counts)
    WHERE said.counts AND (:measures::text[] IS NULL OR :measures::text[] && ARRAY['ad_windows', 'ad_windows_kept'])
    UNION ALL
    -- A forecast stands on the day on which its campaign starts.
    SELECT hope.position, said.place::bigint, 'ForecastSet', hope.occurred_at, said.measure, hope.store_id, plan.day,
        plan.hour, hope.currency, NULL, NULL, hope.campaign_id, NULL, NULL, said.amount, NULL, NULL
    FROM forecasts AS hope
    JOIN schedules AS plan ON plan.campaign_id = hope.campaign_id
        AND plan.position <= :as_of::bigint AND plan.until_position > :as_of::bigint
    CROSS JOIN LATERAL (VALUES
        (1, 'forecast_visitors', hope.visitors::numeric), (2, 'forecast_units', hope.units),
        (3, 'forecast_gmv', hope.gmv_minor::numeric), (4, 'forecast_conversion', hope.conversion)
    ) AS said (place, measure, amount)
    WHERE hope.until_position > :as_of::bigint AND (:measures::text[] IS NULL OR :measures::text[] && ARRAY[
            'forecast_visitors', 'forecast_units', 'forecast_gmv', 'forecast_conversion'
        ])
    UNION ALL
    -- Points at what the store takes them for on that day, and, when it takes them for something else, what is open anew.
    SELECT move.position, 53::bigint, move.event, move.occurred_at, 'points_worth', move.store_id, move.day,
        move.hour, home.currency, NULL, NULL, NULL, move.order_id, NULL,
        CASE WHEN move.measure IN ('points_earned', 'points_merged') THEN move.amount ELSE -move.amount END
            * coalesce(worth.value_minor, rule.point_value_minor), NULL, NULL
    FROM moves AS move CROSS JOIN rules AS rule
    JOIN currencies AS home ON home.store_id = move.store_id AND home.position <= :as_of::bigint
    LEFT JOIN LATERAL (
        SELECT said.value_minor FROM point_values AS said
        WHERE said.store_id = move.store_id AND said.day <= move.day AND said.position <= :as_of::bigint
        ORDER BY said.day DESC, said.effective_from DESC, said.position DESC LIMIT 1
    ) AS worth ON true
    WHERE move.measure IN ('points_earned', 'points_spent', 'points_reversed', 'points_expired', 'points_merged')
    UNION ALL
    SELECT said.position, 54::bigint, 'PolicySet', said.occurred_at, 'points_worth', said.store_id, said.day, NULL,
        home.currency, NULL, NULL, NULL, NULL, NULL, ((said.value_minor - said.before_minor) * known.points)::numeric,
        NULL, NULL
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
    SELECT one.position, 51::bigint, one.event, one.occurred_at, 'members', one.store_id, one.day, one.hour, NULL,
        NULL, NULL, NULL, NULL, one.customer_id, 1::numeric, one.tier, NULL
    FROM tiers AS one WHERE one.tier IS NOT NULL
    UNION ALL
    SELECT one.until_position, 52::bigint, one.until_event, one.until_at, 'members', one.store_id, one.until_day,
        one.until_hour, NULL, NULL, NULL, NULL, NULL, one.customer_id, (-1)::numeric, one.tier, NULL
    FROM tiers AS one
    WHERE one.tier IS NOT NULL AND one.until_at IS NOT NULL
    UNION ALL
    SELECT one.position, said.place::bigint, one.event, one.occurred_at, said.measure, one.store_id, one.day,
        one.hour, NULL, NULL, NULL, NULL, NULL, one.customer_id, 1::numeric, one.tier, NULL
    FROM tiers AS one CROSS JOIN LATERAL (VALUES
        (55, 'joined'), (56, CASE one.source
            WHEN 'spend' THEN 'joined_by_spend' WHEN 'paid' THEN 'joined_for_money' ELSE 'joined_as_a_gift'
        END)
    ) AS said (place, measure)
    WHERE one.event = 'MembershipJoined' AND (:measures::text[] IS NULL OR :measures::text[] && ARRAY[
            'joined', 'joined_by_spend', 'joined_for_money', 'joined_as_a_gift'
        ])
    UNION ALL
    SELECT word.position, 57::bigint, word.event, word.occurred_at, 'referred', word.store_id, word.day, word.hour,
        NULL, NULL, NULL, NULL, NULL, word.customer_id, 1::numeric, NULL, NULL
    FROM referrals AS word
    UNION ALL
    SELECT began.first_position, 58::bigint, 'OrderPaid', began.first_at, 'referred_and_paid', word.store_id,
        word.day, word.hour, NULL, NULL, NULL, NULL, NULL, word.customer_id, 1::numeric, NULL, NULL
    FROM referrals AS word JOIN first_orders AS began ON began.customer_id = word.customer_id
        AND began.first_position <= :as_of::bigint AND began.until_position > :as_of::bigint
    WHERE word.position <= :as_of::bigint
        AND (:store_ids::uuid[] IS NULL OR began.store_id = ANY (:store_ids::uuid[]))
        AND (:by::text IS DISTINCT FROM 'store' OR began.store_id = word.store_id)
    UNION ALL
    SELECT look.position, said.place::bigint,
        CASE WHEN look.passed THEN 'PriceCheckPassed' ELSE 'PriceCheckFailed' END, look.occurred_at, said.measure,
        look.store_id, look.day, look.hour, NULL, NULL, NULL, look.campaign_id, NULL, NULL, 1::numeric, NULL, NULL
    FROM price_checks AS look CROSS JOIN LATERAL (VALUES
        (61, 'price_checks', true), (62, 'price_passed_first', look.passed AND look.is_first)
    ) AS said (place, measure, counts)
    WHERE said.counts
        AND (:measures::text[] IS NULL OR :measures::text[] && ARRAY['price_checks', 'price_passed_first'])
    UNION ALL
    -- How long an article had been in no other campaign when one with it started. Numbered in a query of its own: beside a
    -- window function no condition from outside would reach any of all these rows before they are made.
    SELECT start.position, 3000 + start.number, 'CampaignStarted', start.occurred_at, 'campaign_gap_days',
        start.store_id, start.day, start.hour, NULL, NULL, start.sku_id, start.campaign_id, NULL, NULL,
        (greatest(start.day - earlier.day, 0))::numeric, NULL, NULL
    FROM (
        SELECT turn.position, turn.occurred_at, turn.store_id, turn.day, turn.hour, turn.campaign_id, turn.ended,
            line.sku_id, row_number() OVER (PARTITION BY turn.position ORDER BY line.sku_id) AS number
        FROM campaign_turns AS turn
        JOIN campaign_lines AS line ON line.campaign_id = turn.campaign_id
            AND line.position < turn.position AND line.until_position > turn.position
    ) AS start
    CROSS JOIN LATERAL (
        SELECT max(stop.day) AS day
        FROM campaign_lines AS other
        JOIN campaign_turns AS stop ON stop.campaign_id = other.campaign_id
            AND stop.position > other.position AND stop.position < other.until_position
        WHERE other.sku_id = start.sku_id AND other.campaign_id <> start.campaign_id
            AND stop.ended AND stop.store_id = start.store_id AND stop.position < start.position
    ) AS earlier
    WHERE NOT start.ended AND earlier.day IS NOT NULL
    UNION ALL
    -- From the day on at whose end a campaign runs in a store it is 1, from that on at whose end none does 0.
    SELECT state.position, 5000 + state.number, CASE WHEN latest.ended THEN 'CampaignEnded' ELSE 'CampaignStarted' END,
        latest.occurred_at, 'in_campaign', state.store_id, state.day, NULL, NULL, NULL, state.sku_id, NULL, NULL, NULL,
        (state.runs - state.ran)::numeric, NULL, NULL
    FROM (
        SELECT sums.store_id, sums.sku_id, sums.day, sums.position,
            row_number() OVER (PARTITION BY sums.position ORDER BY sums.sku_id) AS number,
            least(greatest(sum(sums.change) OVER so_far, 0), 1) AS runs,
            least(greatest(sum(sums.change) OVER so_far - sums.change, 0), 1) AS ran
        FROM (
            SELECT turn.store_id, line.sku_id, turn.day, max(turn.position) AS position,
                sum(CASE WHEN turn.ended THEN -1 ELSE 1 END) AS change
            FROM campaign_turns AS turn
            -- Of articles only where they are asked for: of one, or of each.
            LEFT JOIN campaign_lines AS line ON line.campaign_id = turn.campaign_id
                AND line.position <= :as_of::bigint AND line.until_position > :as_of::bigint
                AND (:by::text = 'sku' OR line.sku_id = :sku_id::uuid)
            WHERE turn.position <= :as_of::bigint
                AND (line.sku_id IS NOT NULL OR :sku_id::uuid IS NULL AND :by::text IS DISTINCT FROM 'sku')
            GROUP BY 1, 2, 3
        ) AS sums
        WINDOW so_far AS (PARTITION BY sums.store_id, sums.sku_id ORDER BY sums.day)
    ) AS state
    JOIN campaign_turns AS latest ON latest.position = state.position
    WHERE state.runs <> state.ran
) AS fact
LEFT JOIN persons AS same ON same.customer_id = fact.customer_id
    AND same.since_position <= :as_of::bigint AND same.until_position > :as_of::bigint
-- Left out by the planner where neither is asked for.
LEFT JOIN origins AS came ON came.order_id = fact.order_id
WHERE (:store_ids::uuid[] IS NULL OR fact.store_id = ANY (:store_ids::uuid[]))
    AND (:measures::text[] IS NULL OR fact.measure = ANY (:measures::text[]))
    AND (:from_day::date IS NULL OR fact.day >= :from_day::date) AND (:to_day::date IS NULL OR fact.day <= :to_day::date)
    AND (:channel::text IS NULL OR fact.channel = :channel::text)
    AND (:sku_id::uuid IS NULL OR fact.sku_id = :sku_id::uuid)
    AND (:campaign_id::uuid IS NULL OR fact.campaign_id = :campaign_id::uuid)
    AND (:reason::text IS NULL OR fact.label = :reason::text) AND (:tier::text IS NULL OR fact.label = :tier::text)
    AND (:location_id::uuid IS NULL OR fact.label = :location_id::uuid::text)
    AND (:agent::text IS NULL OR fact.label = :agent::text)
    AND (:source::text IS NULL OR came.source = :source::text)
    AND (:device::text IS NULL OR came.device = :device::text)
    AND fact.position <= :as_of::bigint
    AND (:now::timestamptz IS NULL OR fact.due_at IS NULL OR fact.due_at <= :now::timestamptz);

-- fact_sums: what fact_rows of sales add up to in each store and on each day, for figures that are sums of them.
SELECT fact.measure, fact.store_id, fact.day, fact.hour, fact.currency, fact.amount, fact.slice
FROM (
    SELECT line.store_id, line.day, line.hour, line.currency, said.amount, said.measure, line.slice
    FROM (
        SELECT one.store_id, one.day, CASE WHEN :grain::text = 'hour' THEN one.hour END AS hour, one.currency,
            CASE :by::text
                WHEN 'store' THEN one.store_id::text WHEN 'channel' THEN one.channel WHEN 'sku' THEN one.sku_id::text
                WHEN 'campaign' THEN one.campaign_id::text WHEN 'source' THEN came.source
                WHEN 'device' THEN came.device
            END AS slice,
            sum(one.amount_minor) AS sold, sum(one.units) FILTER (WHERE one.units <> 0) AS units
        FROM sold AS one LEFT JOIN origins AS came ON came.order_id = one.order_id
        WHERE one.position <= :as_of::bigint
            AND (:store_ids::uuid[] IS NULL OR one.store_id = ANY (:store_ids::uuid[]))
            AND (:from_day::date IS NULL OR one.day >= :from_day::date)
            AND (:to_day::date IS NULL OR one.day <= :to_day::date)
            AND (:channel::text IS NULL OR one.channel = :channel::text)
            AND (:source::text IS NULL OR came.source = :source::text)
            AND (:device::text IS NULL OR came.device = :device::text)
            AND (:sku_id::uuid IS NULL OR one.sku_id = :sku_id::uuid)
            AND (:campaign_id::uuid IS NULL OR one.campaign_id = :campaign_id::uuid)
        GROUP BY 1, 2, 3, 4, 5
    ) AS line
    CROSS JOIN LATERAL (VALUES ('sold', line.sold), ('units', line.units)) AS said (measure, amount)
    WHERE said.amount IS NOT NULL AND (:measures::text[] IS NULL OR :measures::text[] && ARRAY['sold', 'units'])
    UNION ALL
    SELECT line.store_id, line.day + 7 * week.number, line.hour, line.currency, line.amount, 'baseline', line.slice
    FROM rules AS rule
    CROSS JOIN LATERAL generate_series(1, rule.baseline_weeks::integer) AS week (number)
    JOIN (
        -- Divided before they are added up, as each row is.
        SELECT one.store_id, one.day, CASE WHEN :grain::text = 'hour' THEN one.hour END AS hour, one.currency,
            CASE :by::text
                WHEN 'store' THEN one.store_id::text WHEN 'channel' THEN one.channel WHEN 'sku' THEN one.sku_id::text
                WHEN 'source' THEN came.source WHEN 'device' THEN came.device
            END AS slice,
            sum(one.amount_minor::numeric / each.baseline_weeks) AS amount
        FROM sold AS one CROSS JOIN rules AS each LEFT JOIN origins AS came ON came.order_id = one.order_id
        WHERE one.position <= :as_of::bigint AND one.campaign_id IS NULL AND :campaign_id::uuid IS NULL
            AND one.day >= :from_day::date - 7 * each.baseline_weeks::integer AND one.day <= :to_day::date - 7
            AND (:store_ids::uuid[] IS NULL OR one.store_id = ANY (:store_ids::uuid[]))
            AND (:channel::text IS NULL OR one.channel = :channel::text)
            AND (:source::text IS NULL OR came.source = :source::text)
            AND (:device::text IS NULL OR came.device = :device::text)
            AND (:sku_id::uuid IS NULL OR one.sku_id = :sku_id::uuid)
        GROUP BY 1, 2, 3, 4, 5
    ) AS line ON line.day >= :from_day::date - 7 * week.number AND line.day <= :to_day::date - 7 * week.number
    UNION ALL
    SELECT line.store_id, line.day + later.days, line.hour, line.currency, line.units,
        CASE WHEN later.days < 7 THEN 'units_of_week' ELSE 'units_of_week_before' END, line.slice
    FROM (
        SELECT one.store_id, one.day, CASE WHEN :grain::text = 'hour' THEN one.hour END AS hour, one.currency,
            CASE :by::text
                WHEN 'store' THEN one.store_id::text WHEN 'channel' THEN one.channel WHEN 'sku' THEN one.sku_id::text
                WHEN 'campaign' THEN one.campaign_id::text WHEN 'source' THEN came.source
                WHEN 'device' THEN came.device
            END AS slice,
            sum(one.units) AS units
        FROM sold AS one LEFT JOIN origins AS came ON came.order_id = one.order_id
        WHERE one.position <= :as_of::bigint AND one.units <> 0
            AND one.day >= :from_day::date - 13 AND one.day <= :to_day::date
            AND (:store_ids::uuid[] IS NULL OR one.store_id = ANY (:store_ids::uuid[]))
            AND (:channel::text IS NULL OR one.channel = :channel::text)
            AND (:source::text IS NULL OR came.source = :source::text)
            AND (:device::text IS NULL OR came.device = :device::text)
            AND (:sku_id::uuid IS NULL OR one.sku_id = :sku_id::uuid)
            AND (:campaign_id::uuid IS NULL OR one.campaign_id = :campaign_id::uuid)
        GROUP BY 1, 2, 3, 4, 5
    ) AS line
    CROSS JOIN LATERAL generate_series(
        greatest(:from_day::date - line.day, 0), least(:to_day::date - line.day, :last_day::date - line.day, 13)
    ) AS later (days)
    WHERE :measures::text[] IS NULL OR :measures::text[] && ARRAY['units_of_week', 'units_of_week_before']
) AS fact
WHERE (:store_ids::uuid[] IS NULL OR fact.store_id = ANY (:store_ids::uuid[]))
    AND (:measures::text[] IS NULL OR fact.measure = ANY (:measures::text[]))
    AND (:from_day::date IS NULL OR fact.day >= :from_day::date) AND (:to_day::date IS NULL OR fact.day <= :to_day::date)
    AND :reason::text IS NULL AND :tier::text IS NULL AND :location_id::uuid IS NULL
    AND :agent::text IS NULL;

-- cohorts: of the people whose first paid order in these stores fell into a month, how many paid in each month after it.
-- As known at :as_of; now if it is left out.
WITH began AS (
    SELECT coalesce(same.person_id, one.customer_id) AS person_id, min(one.day) AS day
    FROM first_orders AS one
    LEFT JOIN persons AS same ON same.customer_id = one.customer_id
        AND same.since_position <= coalesce(:as_of::bigint, 9223372036854775806)
        AND same.until_position > coalesce(:as_of::bigint, 9223372036854775806)
    WHERE one.first_position <= coalesce(:as_of::bigint, 9223372036854775806)
        AND one.until_position > coalesce(:as_of::bigint, 9223372036854775806)
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
    LEFT JOIN persons AS same ON same.customer_id = bill.customer_id
        AND same.since_position <= coalesce(:as_of::bigint, 9223372036854775806)
        AND same.until_position > coalesce(:as_of::bigint, 9223372036854775806)
    JOIN cohort ON cohort.person_id = coalesce(same.person_id, bill.customer_id)
    WHERE bill.position <= coalesce(:as_of::bigint, 9223372036854775806)
        AND (:store_ids::uuid[] IS NULL OR bill.store_id = ANY (:store_ids::uuid[]))
)
SELECT active.starts_on, active.months_later, count(*) AS active_customers,
    max(count(*)) OVER (PARTITION BY active.starts_on) AS customers
FROM active
GROUP BY 1, 2
ORDER BY 1, 2;

-- cohort_rows: the payments behind a cell of cohorts: those of the people of :starts_on in the month that is :months_later later.
-- Of how many there are in all, `total` tells.
WITH record AS (
    SELECT same.customer_id, same.person_id FROM persons AS same
    WHERE same.since_position <= coalesce(:as_of::bigint, 9223372036854775806)
        AND same.until_position > coalesce(:as_of::bigint, 9223372036854775806)
), began AS (
    SELECT coalesce(record.person_id, one.customer_id) AS person_id, min(one.day) AS day
    FROM first_orders AS one LEFT JOIN record ON record.customer_id = one.customer_id
    WHERE one.first_position <= coalesce(:as_of::bigint, 9223372036854775806)
        AND one.until_position > coalesce(:as_of::bigint, 9223372036854775806)
        AND (:store_ids::uuid[] IS NULL OR one.store_id = ANY (:store_ids::uuid[]))
    GROUP BY 1
), payment AS (
    SELECT bill.position, bill.occurred_at, bill.store_id, bill.day, bill.order_id, began.person_id,
        count(*) OVER () AS total
    FROM paid AS bill
    LEFT JOIN record ON record.customer_id = bill.customer_id
    JOIN began ON began.person_id = coalesce(record.person_id, bill.customer_id)
    WHERE began.day >= :starts_on::date AND began.day < (:starts_on::date + interval '1 month')::date
        AND (:from_day::date IS NULL OR began.day >= :from_day::date)
        AND (:to_day::date IS NULL OR began.day <= :to_day::date)
        AND bill.day >= (:starts_on::date + make_interval(months => :months_later::integer))::date
        AND bill.day < (:starts_on::date + make_interval(months => :months_later::integer + 1))::date
        AND bill.position <= coalesce(:as_of::bigint, 9223372036854775806)
        AND (:store_ids::uuid[] IS NULL OR bill.store_id = ANY (:store_ids::uuid[]))
)
SELECT payment.position, 'OrderPaid' AS event, payment.occurred_at, payment.store_id, payment.day, payment.order_id,
    payment.person_id, payment.total
FROM payment
WHERE payment.position > coalesce(:after_position::bigint, 0)
ORDER BY payment.position
LIMIT coalesce(:row_limit::bigint, 100);

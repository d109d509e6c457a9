-- fact_rows: what changed of stock and of what is on sale, as known at :as_of (always to be given); measures say what a row adds.
-- All branches have the very same types and no window function of their own, so that conditions reach each of them.
SELECT fact.position, fact.place, fact.event, fact.occurred_at, fact.measure, fact.store_id, fact.day, fact.hour,
    fact.currency, fact.order_id, NULL::uuid AS who, NULL::text AS channel, fact.amount, CASE :by::text
        WHEN 'store' THEN fact.store_id::text WHEN 'sku' THEN fact.sku_id::text
        WHEN 'location' THEN fact.location_id::text WHEN 'batch' THEN fact.batch WHEN 'age' THEN fact.age
    END AS slice
FROM (
    SELECT line.position, 1::bigint AS place, line.event, line.occurred_at, 'on_hand' AS measure, line.store_id,
        line.day, line.hour, line.order_id, line.sku_id, line.on_hand AS amount, line.location_id, line.batch,
        NULL::text AS age, NULL::text AS currency
    FROM unit_changes AS line WHERE line.on_hand <> 0
    UNION ALL
    SELECT line.position, 2::bigint, line.event, line.occurred_at, 'reserved', line.store_id, line.day, line.hour,
        line.order_id, line.sku_id, line.reserved, line.location_id, line.batch, NULL, NULL
    FROM unit_changes AS line WHERE line.reserved <> 0
    UNION ALL
    SELECT line.position, 3::bigint, line.event, line.occurred_at, 'allocated', line.store_id, line.day, line.hour,
        line.order_id, line.sku_id, line.allocated, line.location_id, line.batch, NULL, NULL
    FROM unit_changes AS line WHERE line.allocated <> 0
    UNION ALL
    SELECT line.position, 4::bigint, line.event, line.occurred_at, 'damaged', line.store_id, line.day, line.hour,
        line.order_id, line.sku_id, line.damaged, line.location_id, line.batch, NULL, NULL
    FROM unit_changes AS line WHERE line.damaged <> 0
    UNION ALL
    SELECT line.position, 11::bigint, line.event, line.occurred_at, 'quarantined', line.store_id, line.day, line.hour,
        line.order_id, line.sku_id, line.quarantined, line.location_id, line.batch, NULL, NULL
    FROM unit_changes AS line WHERE line.quarantined <> 0
    UNION ALL
    SELECT line.position, 5::bigint, line.event, line.occurred_at, 'received', line.store_id, line.day, line.hour,
        line.order_id, line.sku_id, line.on_hand, line.location_id, line.batch, NULL, NULL
    FROM unit_changes AS line WHERE line.event = 'StockReceived'
    UNION ALL
    SELECT line.position, 6::bigint, line.event, line.occurred_at, 'shipped', line.store_id, line.day, line.hour,
        line.order_id, line.sku_id, -line.on_hand, line.location_id, line.batch, NULL, NULL
    FROM unit_changes AS line WHERE line.event = 'StockShipped'
    UNION ALL
    SELECT line.position, 7::bigint, line.event, line.occurred_at, 'returned_good', line.store_id, line.day,
        line.hour, line.order_id, line.sku_id, line.on_hand, line.location_id, line.batch, NULL, NULL
    FROM unit_changes AS line WHERE line.event = 'StockReturned' AND line.damaged = 0 AND line.quarantined = 0
    UNION ALL
    SELECT shelf.position, 8::bigint, shelf.event, shelf.since_at, 'on_sale', shelf.store_id,
        (shelf.since_at AT TIME ZONE shelf.time_zone)::date,
        extract(hour FROM shelf.since_at AT TIME ZONE shelf.time_zone)::bigint, NULL, shelf.sku_id, 1::numeric, NULL,
        NULL, NULL, NULL
    FROM listings AS shelf WHERE shelf.state = 'on_sale'
    UNION ALL
    -- An article that is retired leaves the shelves of several stores by one event.
    SELECT shelf.until_position, 100 + shelf.number, shelf.until_event, shelf.until_at, 'on_sale', shelf.store_id,
        (shelf.until_at AT TIME ZONE shelf.time_zone)::date,
        extract(hour FROM shelf.until_at AT TIME ZONE shelf.time_zone)::bigint, NULL, shelf.sku_id, (-1)::numeric,
        NULL, NULL, NULL, NULL
    FROM (
        SELECT one.sku_id, one.store_id, one.time_zone, one.until_position, one.until_at, one.until_event,
            row_number() OVER (PARTITION BY one.until_position ORDER BY one.store_id) AS number
        FROM listings AS one WHERE one.state = 'on_sale' AND one.until_at IS NOT NULL
    ) AS shelf
    UNION ALL
    SELECT shelf.position, 10::bigint, shelf.event, shelf.since_at, 'arrivals', shelf.store_id,
        (shelf.since_at AT TIME ZONE shelf.time_zone)::date,
        extract(hour FROM shelf.since_at AT TIME ZONE shelf.time_zone)::bigint, NULL, shelf.sku_id, 1::numeric, NULL,
        NULL, NULL, NULL
    FROM listings AS shelf
    WHERE shelf.state = 'on_sale' AND NOT EXISTS (
        SELECT FROM listings AS early
        WHERE early.sku_id = shelf.sku_id AND early.store_id = shelf.store_id AND early.position < shelf.position
            AND early.state = 'on_sale'
    )
    UNION ALL
    -- The seconds of each day of the store on which an article was on sale, or sold out; what still goes on, goes on until :now.
    SELECT shelf.position, (1000 + (each.day::date - DATE '2000-01-01'))::bigint, shelf.event, shelf.since_at,
        shelf.state || '_seconds', shelf.store_id, each.day::date, NULL, NULL, shelf.sku_id,
        extract(epoch FROM
            least(shelf.end_at, (each.day + interval '1 day') AT TIME ZONE shelf.time_zone)
            - greatest(shelf.since_at, each.day AT TIME ZONE shelf.time_zone)
        ),
        NULL, NULL, NULL, NULL
    FROM (
        SELECT one.sku_id, one.store_id, one.position, one.state, one.event, one.since_at, one.time_zone,
            least(CASE WHEN one.until_position <= :as_of::bigint THEN one.until_at END, :now::timestamptz) AS end_at
        FROM listings AS one
        WHERE one.state IN ('on_sale', 'sold_out')
            AND (:measures::text[] IS NULL OR :measures::text[] && ARRAY['on_sale_seconds', 'sold_out_seconds'])
    ) AS shelf
    CROSS JOIN LATERAL generate_series(
        greatest(:from_day::date, (shelf.since_at AT TIME ZONE shelf.time_zone)::date)::timestamp,
        least(:to_day::date, (shelf.end_at AT TIME ZONE shelf.time_zone)::date)::timestamp, '1 day'
    ) AS each (day)
    WHERE shelf.end_at > greatest(shelf.since_at, each.day AT TIME ZONE shelf.time_zone)
    UNION ALL
    -- The days from a day with changes to the next one, as far as units were there: at the end of it, or on it at least.
    SELECT done.position, 50::bigint, done.event, done.occurred_at, 'in_stock_days', done.store_id,
        greatest(done.day, :from_day::date), NULL, NULL, done.sku_id,
        (CASE
            WHEN done.day BETWEEN :from_day::date AND :last_day::date
                AND (done.closing > 0 OR done.closing - done.change > 0 OR done.came > 0) THEN 1
            ELSE 0
        END + CASE
            WHEN done.closing > 0 THEN greatest(
                least(done.next_day - 1, :last_day::date) - greatest(done.day, :from_day::date - 1), 0
            )
            ELSE 0
        END)::numeric,
        NULL, NULL, NULL, NULL
    FROM (
        SELECT sums.sku_id, sums.store_id, sums.day, sums.position, sums.change, sums.came, last.event, last.occurred_at,
            sum(sums.change) OVER (PARTITION BY sums.sku_id ORDER BY sums.day) AS closing,
            lead(sums.day, 1, 'infinity') OVER (PARTITION BY sums.sku_id ORDER BY sums.day) AS next_day
        FROM (
            -- As it is known now, the change of each day is kept.
            SELECT kept.sku_id, kept.store_id, kept.day, kept.position, kept.on_hand AS change, kept.came
            FROM article_days AS kept WHERE :as_of::bigint = 9223372036854775806
            UNION ALL
            SELECT line.sku_id, line.store_id, line.day, max(line.position), sum(line.on_hand),
                sum(greatest(line.on_hand, 0))
            FROM unit_changes AS line
            WHERE line.on_hand <> 0 AND line.position <= :as_of::bigint AND :as_of::bigint <> 9223372036854775806
            GROUP BY 1, 2, 3
        ) AS sums
        -- There always is one; an outer join is left out where nobody asks for the event.
        LEFT JOIN unit_changes AS last ON last.position = sums.position
        WHERE sums.day <= :last_day::date
            AND (:measures::text[] IS NULL OR :measures::text[] && ARRAY['in_stock_days'])
            AND (:sku_id::uuid IS NULL OR sums.sku_id = :sku_id::uuid)
            AND (:store_ids::uuid[] IS NULL OR sums.store_id = ANY (:store_ids::uuid[]))
    ) AS done
    UNION ALL
    -- What is left of each arrival at the end of a window, when what came first has left first; what came back or was found is
    -- worth what was paid last before.
    SELECT came.position, (100 * (came.day - DATE '2000-01-01') + 60 + said.place)::bigint, came.event, came.occurred_at, said.measure, came.store_id,
        came.day, NULL, NULL, came.sku_id, CASE said.measure
            WHEN 'kept_units' THEN came.units WHEN 'unit_days' THEN came.units * came.days
            WHEN 'kept_value' THEN came.units * came.unit_minor
            WHEN 'provision' THEN came.units * came.unit_minor * band.rate
            ELSE CASE WHEN came.days > rule.tail_days THEN came.units ELSE 0 END
        END, NULL, NULL, band.age,
        CASE WHEN said.place > 3 THEN came.currency END
    FROM (
        SELECT line.position, line.event, line.occurred_at, line.store_id, line.sku_id, level.end_day AS day,
            sku.currency, level.last_day - line.day AS days, coalesce(line.unit_cost, early.unit_cost, 0) * sku.scale AS unit_minor,
            greatest(least(line.on_hand, level.on_hand - coalesce(sum(line.on_hand) OVER (
                PARTITION BY level.end_day, line.sku_id ORDER BY line.occurred_at DESC, line.position DESC
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ), 0)), 0) AS units
        FROM (
            SELECT one.sku_id, span.end_day, span.last_day, sum(one.on_hand) AS on_hand
            FROM (
                SELECT DISTINCT least(ends.day, :to_day::date) AS end_day, least(ends.day, :last_day::date) AS last_day
                FROM generate_series(:from_day::timestamp, :last_day::timestamp, '1 day') AS each (day)
                CROSS JOIN LATERAL (SELECT CASE
                    WHEN :grain::text = 'month' THEN (date_trunc('month', each.day) + interval '1 month')::date - 1
                    ELSE :to_day::date
                END AS day) AS ends
                WHERE :measures::text[] IS NULL OR :measures::text[]
                    && ARRAY['kept_units', 'aged_units', 'unit_days', 'kept_value', 'provision']
            ) AS span
            JOIN (
                SELECT kept.sku_id, kept.store_id, kept.day, kept.on_hand FROM article_days AS kept
                WHERE :as_of::bigint = 9223372036854775806
                UNION ALL
                SELECT line.sku_id, line.store_id, line.day, line.on_hand FROM unit_changes AS line
                WHERE line.on_hand <> 0 AND line.position <= :as_of::bigint AND :as_of::bigint <> 9223372036854775806
            ) AS one ON one.day <= span.last_day
            WHERE (:sku_id::uuid IS NULL OR one.sku_id = :sku_id::uuid)
                AND (:store_ids::uuid[] IS NULL OR one.store_id = ANY (:store_ids::uuid[]))
            GROUP BY 1, 2, 3
        ) AS level
        JOIN unit_changes AS line ON line.sku_id = level.sku_id AND line.day <= level.last_day
        JOIN articles AS sku ON sku.sku_id = line.sku_id
        LEFT JOIN LATERAL (
            SELECT known.unit_cost FROM unit_changes AS known
            WHERE line.unit_cost IS NULL AND (:measures::text[] IS NULL OR :measures::text[] && ARRAY['kept_value', 'provision'])
                AND known.sku_id = line.sku_id AND known.unit_cost IS NOT NULL
                AND known.position <= :as_of::bigint
                AND (known.occurred_at, known.position) < (line.occurred_at, line.position)
            ORDER BY known.occurred_at DESC, known.position DESC LIMIT 1
        ) AS early ON true
        WHERE line.on_hand > 0 AND line.event IN ('StockReceived', 'StockReturned', 'StockAdjusted')
            AND line.position <= :as_of::bigint
    ) AS came
    CROSS JOIN rules AS rule
    CROSS JOIN LATERAL (
        SELECT CASE
                WHEN came.days <= rule.age_days_1 THEN '0-' || rule.age_days_1
                WHEN came.days <= rule.age_days_2 THEN (rule.age_days_1 + 1) || '-' || rule.age_days_2
                WHEN came.days <= rule.age_days_3 THEN (rule.age_days_2 + 1) || '-' || rule.age_days_3
                WHEN came.days <= rule.age_days_4 THEN (rule.age_days_3 + 1) || '-' || rule.age_days_4
                ELSE (rule.age_days_4 + 1) || '-'
            END AS age,
            CASE
                WHEN came.days <= rule.age_days_1 THEN rule.provision_rate_1
                WHEN came.days <= rule.age_days_2 THEN rule.provision_rate_2
                WHEN came.days <= rule.age_days_3 THEN rule.provision_rate_3
                WHEN came.days <= rule.age_days_4 THEN rule.provision_rate_4
                ELSE rule.provision_rate_5
            END AS rate
    ) AS band
    CROSS JOIN (VALUES
        (1, 'kept_units'), (2, 'aged_units'), (3, 'unit_days'), (4, 'kept_value'), (5, 'provision')
    ) AS said (place, measure)
    WHERE came.units <> 0
) AS fact
WHERE (:store_ids::uuid[] IS NULL OR fact.store_id = ANY (:store_ids::uuid[]))
    AND (:measures::text[] IS NULL OR fact.measure = ANY (:measures::text[]))
    AND (:from_day::date IS NULL OR fact.day >= :from_day::date) AND (:to_day::date IS NULL OR fact.day <= :to_day::date)
    AND (:sku_id::uuid IS NULL OR fact.sku_id = :sku_id::uuid)
    AND (:location_id::uuid IS NULL OR fact.location_id = :location_id::uuid)
    AND (:batch::text IS NULL OR fact.batch = :batch::text) AND (:age::text IS NULL OR fact.age = :age::text)
    AND fact.position <= :as_of::bigint AND fact.amount <> 0;

-- fact_sums: what fact_rows of units add up to in each store and on each day, for figures that are sums of them.
SELECT fact.measure, fact.store_id, fact.day, fact.hour, NULL::text AS currency, fact.amount, fact.slice
FROM (
    -- What whole stores have by the day, as it is known now, is kept.
    SELECT kept.store_id, kept.day, NULL::bigint AS hour, said.amount, said.measure,
        CASE :by::text WHEN 'store' THEN kept.store_id::text END AS slice
    FROM store_days AS kept CROSS JOIN LATERAL (VALUES
        ('on_hand', kept.on_hand), ('reserved', kept.reserved), ('allocated', kept.allocated),
        ('quarantined', kept.quarantined), ('damaged', kept.damaged), ('received', kept.received),
        ('shipped', kept.shipped), ('returned_good', kept.returned_good)
    ) AS said (measure, amount)
    WHERE :as_of::bigint = 9223372036854775806 AND :grain::text IS DISTINCT FROM 'hour'
        AND (:by::text IS NULL OR :by::text = 'store')
        AND :sku_id::uuid IS NULL AND :location_id::uuid IS NULL AND :batch::text IS NULL
    UNION ALL
    SELECT line.store_id, line.day, line.hour, said.amount, said.measure, line.slice
    FROM (
        SELECT one.store_id, one.day, CASE WHEN :grain::text = 'hour' THEN one.hour END AS hour, CASE :by::text
                WHEN 'store' THEN one.store_id::text WHEN 'sku' THEN one.sku_id::text
                WHEN 'location' THEN one.location_id::text WHEN 'batch' THEN one.batch
            END AS slice,
            sum(one.on_hand) FILTER (WHERE one.on_hand <> 0) AS on_hand,
            sum(one.reserved) FILTER (WHERE one.reserved <> 0) AS reserved,
            sum(one.allocated) FILTER (WHERE one.allocated <> 0) AS allocated,
            sum(one.quarantined) FILTER (WHERE one.quarantined <> 0) AS quarantined,
            sum(one.damaged) FILTER (WHERE one.damaged <> 0) AS damaged,
            sum(one.on_hand) FILTER (WHERE one.event = 'StockReceived' AND one.on_hand <> 0) AS received,
            sum(-one.on_hand) FILTER (WHERE one.event = 'StockShipped' AND one.on_hand <> 0) AS shipped,
            sum(one.on_hand) FILTER (
                WHERE one.event = 'StockReturned' AND one.damaged = 0 AND one.quarantined = 0 AND one.on_hand <> 0
            ) AS returned_good
        FROM unit_changes AS one
        WHERE one.position <= :as_of::bigint
            AND NOT (
                :as_of::bigint = 9223372036854775806 AND :grain::text IS DISTINCT FROM 'hour'
                AND (:by::text IS NULL OR :by::text = 'store')
                AND :sku_id::uuid IS NULL AND :location_id::uuid IS NULL AND :batch::text IS NULL
            )
            AND (:store_ids::uuid[] IS NULL OR one.store_id = ANY (:store_ids::uuid[]))
            AND (:from_day::date IS NULL OR one.day >= :from_day::date)
            AND (:to_day::date IS NULL OR one.day <= :to_day::date)
            AND (:sku_id::uuid IS NULL OR one.sku_id = :sku_id::uuid)
            AND (:location_id::uuid IS NULL OR one.location_id = :location_id::uuid)
            AND (:batch::text IS NULL OR one.batch = :batch::text)
            -- Few changes are of what is damaged or in quarantine: no others are added up for it.
            AND (
                one.on_hand <> 0 AND (:measures::text[] IS NULL
                    OR :measures::text[] && ARRAY['on_hand', 'received', 'shipped', 'returned_good'])
                OR one.reserved <> 0 AND (:measures::text[] IS NULL OR :measures::text[] && ARRAY['reserved'])
                OR one.allocated <> 0 AND (:measures::text[] IS NULL OR :measures::text[] && ARRAY['allocated'])
                OR one.quarantined <> 0 AND (:measures::text[] IS NULL OR :measures::text[] && ARRAY['quarantined'])
                OR one.damaged <> 0 AND (:measures::text[] IS NULL OR :measures::text[] && ARRAY['damaged'])
            )
        GROUP BY 1, 2, 3, 4
    ) AS line
    CROSS JOIN LATERAL (VALUES
        ('on_hand', line.on_hand), ('reserved', line.reserved), ('allocated', line.allocated),
        ('quarantined', line.quarantined), ('damaged', line.damaged), ('received', line.received),
        ('shipped', line.shipped), ('returned_good', line.returned_good)
    ) AS said (measure, amount)
) AS fact
WHERE fact.amount IS NOT NULL AND :age::text IS NULL
    AND (:store_ids::uuid[] IS NULL OR fact.store_id = ANY (:store_ids::uuid[]))
    AND (:measures::text[] IS NULL OR fact.measure = ANY (:measures::text[]))
    AND (:from_day::date IS NULL OR fact.day >= :from_day::date) AND (:to_day::date IS NULL OR fact.day <= :to_day::date);

-- purchase_rows: purchases for these stores; a list chooses among them and sorts. Of the store's own calendar are `due_on` and
-- what is in time.
SELECT purchase.purchase_id, purchase.sku_id, sku.code AS sku_code, sku.name, sku.unit, purchase.store_id,
    purchase.supplier_id, supplier.company, purchase.ordered_at, purchase.due_on, purchase.due_by, purchase.quantity,
    purchase.received, purchase.received_in_time, purchase.cancelled,
    purchase.quantity - purchase.received - purchase.cancelled AS open,
    CASE
        WHEN purchase.received + purchase.cancelled < purchase.quantity AND purchase.received > 0 THEN 'partly_received'
        WHEN purchase.received + purchase.cancelled < purchase.quantity THEN 'on_order'
        WHEN purchase.received > 0 THEN 'received'
        ELSE 'cancelled'
    END AS state,
    purchase.unit_cost, purchase.best_quote_cost, sku.currency, owed.minor AS owed_minor, purchase.paid_minor,
    owed.minor - purchase.paid_minor AS unpaid_minor, purchase.document, purchase.last_received_at
FROM purchases AS purchase
JOIN articles AS sku ON sku.sku_id = purchase.sku_id
JOIN suppliers AS supplier ON supplier.supplier_id = purchase.supplier_id
CROSS JOIN LATERAL (
    SELECT round_half_even(purchase.unit_cost * (purchase.quantity - purchase.cancelled) * sku.scale)::bigint AS minor
) AS owed
WHERE :store_ids::uuid[] IS NULL OR purchase.store_id = ANY (:store_ids::uuid[]);

-- supplier_rows: suppliers of these stores with what came of what was due by :now (NULL: of all that was ordered); a list
-- chooses among them and sorts. Units that were called off before they were due were not due; of what a supplier was to deliver,
-- all that was called off is left out.
SELECT supplier.supplier_id, supplier.store_id, supplier.company, supplier.kind, supplier.status, supplier.applied_at,
    supplier.terms_at, supplier.deposit_minor, supplier.currency, coalesce(done.purchases, 0) AS purchases,
    coalesce(done.open_purchases, 0) AS open_purchases, coalesce(done.overdue, 0) AS overdue_purchases,
    coalesce(done.due_units, 0) AS due_units, coalesce(done.in_time, 0) AS in_time_units,
    coalesce(done.wanted, 0) AS wanted_units, coalesce(done.received, 0) AS received_units,
    round(done.in_time / nullif(done.due_units, 0), 6) AS on_time_rate,
    round(done.received / nullif(done.wanted, 0), 6) AS fill_rate
FROM suppliers AS supplier
LEFT JOIN LATERAL (
    SELECT count(*) AS purchases, count(*) FILTER (WHERE one.open > 0) AS open_purchases,
        count(*) FILTER (WHERE one.open > 0 AND one.due) AS overdue,
        sum(one.due_units) FILTER (WHERE one.due) AS due_units,
        sum(one.received_in_time) FILTER (WHERE one.due) AS in_time,
        sum(one.quantity - one.cancelled) FILTER (WHERE one.due) AS wanted,
        sum(one.received) FILTER (WHERE one.due) AS received
    FROM (
        SELECT purchase.quantity, purchase.received, purchase.received_in_time, purchase.cancelled,
            purchase.quantity - purchase.received - purchase.cancelled AS open,
            (:now::timestamptz IS NULL OR purchase.due_by <= :now::timestamptz) AS due,
            purchase.quantity - coalesce((
                SELECT sum(line.cancelled) FROM purchase_lines AS line CROSS JOIN rules AS rule
                WHERE line.purchase_id = purchase.purchase_id AND rule.cancelled_in_time_are_not_due
                    AND line.occurred_at < purchase.due_by
            ), 0) AS due_units
        FROM purchases AS purchase WHERE purchase.supplier_id = supplier.supplier_id
    ) AS one
) AS done ON true
WHERE :store_ids::uuid[] IS NULL OR supplier.store_id = ANY (:store_ids::uuid[]);

-- quote_rows: for what suppliers of these stores deliver which articles; a list chooses among them and sorts.
SELECT quote.sku_id, sku.code AS sku_code, sku.name, sku.unit, quote.store_id, quote.supplier_id, supplier.company,
    supplier.status AS supplier_status, quote.min_quantity, quote.unit_cost, sku.currency, quote.valid_until,
    quote.quoted_at, quote.position
FROM quotes AS quote
JOIN articles AS sku ON sku.sku_id = quote.sku_id
JOIN suppliers AS supplier ON supplier.supplier_id = quote.supplier_id
WHERE :store_ids::uuid[] IS NULL OR quote.store_id = ANY (:store_ids::uuid[]);

-- fact_rows: what was due, came, was ordered and inspected, as known at :as_of (always to be given); what falls due after :now is neither in
-- time nor late yet. Of one purchase everything that is due is dated on the day on which it is due, everything about its cost on
-- that on which it was ordered. All branches have the very same types and no window function of their own.
SELECT fact.position, fact.place, fact.event, fact.occurred_at, fact.measure, fact.store_id, fact.day, fact.hour,
    fact.currency, NULL::uuid AS order_id, NULL::uuid AS who, NULL::text AS channel, fact.amount, CASE :by::text
        WHEN 'store' THEN fact.store_id::text WHEN 'sku' THEN fact.sku_id::text
        WHEN 'supplier' THEN fact.supplier_id::text
    END AS slice
FROM (
    SELECT line.position, 1::bigint AS place, line.event, line.occurred_at, 'due_units' AS measure, purchase.store_id,
        purchase.due_on AS day, NULL::bigint AS hour, NULL::text AS currency, purchase.sku_id, purchase.supplier_id,
        line.ordered - line.cancelled AS amount, purchase.due_by AS due_at
    FROM purchase_lines AS line
    JOIN purchases AS purchase ON purchase.purchase_id = line.purchase_id
    CROSS JOIN rules AS rule
    WHERE line.ordered > 0
        OR (line.cancelled > 0 AND line.occurred_at < purchase.due_by AND rule.cancelled_in_time_are_not_due)
    UNION ALL
    SELECT line.position, 2::bigint, line.event, line.occurred_at, 'in_time_units', purchase.store_id, purchase.due_on,
        NULL, NULL, purchase.sku_id, purchase.supplier_id, line.received, purchase.due_by
    FROM purchase_lines AS line
    JOIN purchases AS purchase ON purchase.purchase_id = line.purchase_id
    WHERE line.received > 0 AND line.occurred_at < purchase.due_by
    UNION ALL
    SELECT line.position, 3::bigint, line.event, line.occurred_at, 'wanted_units', purchase.store_id, purchase.due_on,
        NULL, NULL, purchase.sku_id, purchase.supplier_id, line.ordered - line.cancelled, purchase.due_by
    FROM purchase_lines AS line
    JOIN purchases AS purchase ON purchase.purchase_id = line.purchase_id
    WHERE line.ordered > 0 OR line.cancelled > 0
    UNION ALL
    SELECT line.position, 4::bigint, line.event, line.occurred_at, 'purchased_units', purchase.store_id,
        purchase.due_on, NULL, NULL, purchase.sku_id, purchase.supplier_id, line.received, purchase.due_by
    FROM purchase_lines AS line
    JOIN purchases AS purchase ON purchase.purchase_id = line.purchase_id
    WHERE line.received > 0
    UNION ALL
    SELECT line.position, 5::bigint, line.event, line.occurred_at, 'over_quote', purchase.store_id, purchase.day,
        purchase.hour, sku.currency, purchase.sku_id, purchase.supplier_id,
        (line.ordered - line.cancelled) * (purchase.unit_cost - purchase.best_quote_cost) * sku.scale, NULL
    FROM purchase_lines AS line
    JOIN purchases AS purchase ON purchase.purchase_id = line.purchase_id
    JOIN articles AS sku ON sku.sku_id = purchase.sku_id
    WHERE (line.ordered > 0 OR line.cancelled > 0) AND purchase.best_quote_cost IS NOT NULL
    UNION ALL
    SELECT line.position, 6::bigint, line.event, line.occurred_at, 'quoted_units', purchase.store_id, purchase.day,
        purchase.hour, sku.currency, purchase.sku_id, purchase.supplier_id, line.ordered - line.cancelled, NULL
    FROM purchase_lines AS line
    JOIN purchases AS purchase ON purchase.purchase_id = line.purchase_id
    JOIN articles AS sku ON sku.sku_id = purchase.sku_id
    WHERE (line.ordered > 0 OR line.cancelled > 0) AND purchase.best_quote_cost IS NOT NULL
    UNION ALL
    SELECT line.position, 7::bigint, 'BatchInspected', line.occurred_at, 'inspected_units', line.store_id, line.day,
        line.hour, NULL, line.sku_id, line.supplier_id, line.accepted + line.failed, NULL
    FROM inspections AS line
    UNION ALL
    SELECT line.position, 8::bigint, 'BatchInspected', line.occurred_at, 'failed_units', line.store_id, line.day,
        line.hour, NULL, line.sku_id, line.supplier_id, line.failed, NULL
    FROM inspections AS line
) AS fact
WHERE (:store_ids::uuid[] IS NULL OR fact.store_id = ANY (:store_ids::uuid[]))
    AND (:measures::text[] IS NULL OR fact.measure = ANY (:measures::text[]))
    AND (:from_day::date IS NULL OR fact.day >= :from_day::date) AND (:to_day::date IS NULL OR fact.day <= :to_day::date)
    AND (:sku_id::uuid IS NULL OR fact.sku_id = :sku_id::uuid)
    AND (:supplier_id::uuid IS NULL OR fact.supplier_id = :supplier_id::uuid)
    AND fact.position <= :as_of::bigint AND fact.amount <> 0
    AND (:now::timestamptz IS NULL OR fact.due_at IS NULL OR fact.due_at <= :now::timestamptz);

-- reorder_rows: what whoever buys needs to know of the articles of these stores that are kept in stock: how much there is to be,
-- what is on order, until when the first of it is due, and how many days went by from the order to the last units that came.
SELECT sku.sku_id, sku.store_id, sku.code AS sku_code, sku.name, sku.unit, sku.places, sku.low_line, sku.cover_days,
    coalesce(done.on_order, 0) AS on_order, done.due_on, done.lead_days
FROM articles AS sku
LEFT JOIN (
    SELECT purchase.sku_id, sum(purchase.quantity - purchase.received - purchase.cancelled) AS on_order,
        min(purchase.due_on) FILTER (WHERE purchase.received + purchase.cancelled < purchase.quantity) AS due_on,
        ceil(avg(extract(epoch FROM purchase.last_received_at - purchase.ordered_at) / 86400)
            FILTER (WHERE purchase.received > 0 AND purchase.received + purchase.cancelled >= purchase.quantity))::bigint
            AS lead_days
    FROM purchases AS purchase GROUP BY 1
) AS done ON done.sku_id = sku.sku_id
WHERE sku.stocked AND NOT sku.retired AND (:store_ids::uuid[] IS NULL OR sku.store_id = ANY (:store_ids::uuid[]));

-- suppliers: a supplier begins with its application.
INSERT INTO suppliers (supplier_id, store_id, company, kind, status, applied_at)
SELECT supplier_id, stream_id, company, kind, 'applied', occurred_at FROM supplier_applied;

-- suppliers_stand: the last word of the window on how far a supplier is.
UPDATE suppliers AS supplier SET status = said.status
FROM (
    SELECT DISTINCT ON (supplier_id) supplier_id, status FROM (
        SELECT supplier_id, position, 'qualified' AS status FROM supplier_qualified
        UNION ALL SELECT supplier_id, position, 'rejected' FROM supplier_rejected
        UNION ALL SELECT supplier_id, position, 'active' FROM supplier_activated
        UNION ALL SELECT supplier_id, position, 'expelled' FROM supplier_expelled
    ) AS each ORDER BY supplier_id, position DESC
) AS said
WHERE supplier.supplier_id = said.supplier_id;

-- terms: when terms were agreed last.
UPDATE suppliers AS supplier SET terms_at = said.occurred_at, currency = said.currency
FROM (
    SELECT DISTINCT ON (supplier_id) supplier_id, occurred_at, currency FROM supplier_terms_agreed
    ORDER BY supplier_id, position DESC
) AS said
WHERE supplier.supplier_id = said.supplier_id;

-- deposits: what was frozen of a supplier, and went back or was withheld.
UPDATE suppliers AS supplier SET deposit_minor = supplier.deposit_minor + said.change_minor
FROM (
    SELECT supplier_id, sum(change_minor) AS change_minor FROM (
        SELECT supplier_id, amount_minor AS change_minor FROM supplier_deposit_frozen
        UNION ALL SELECT supplier_id, -(amount_minor + withheld_minor) FROM supplier_deposit_released
    ) AS each GROUP BY 1
) AS said
WHERE supplier.supplier_id = said.supplier_id;

-- articles: what is known of an article when it is registered.
INSERT INTO articles (sku_id, store_id, code, name, unit, currency, scale, stocked, places)
SELECT sku.stream_id, sku.store_id, sku.code, sku.name, sku.unit, sku.currency,
    10::numeric ^ currency_digits(sku.currency), sku.mode = 'stocked', sku.quantity_places
FROM sku_registered AS sku;

-- amended: what was said last of an article stands.
UPDATE articles AS sku SET name = said.name
FROM (
    SELECT DISTINCT ON (stream_id) stream_id, name FROM sku_amended ORDER BY stream_id, position DESC
) AS said
WHERE sku.sku_id = said.stream_id;

-- kept: how much of an article there is to be, as it was said last.
UPDATE articles AS sku SET low_line = said.low_line, cover_days = said.cover_days
FROM (
    SELECT DISTINCT ON (stream_id) stream_id, low_line, cover_days FROM stock_policy_set
    ORDER BY stream_id, position DESC
) AS said
WHERE sku.sku_id = said.stream_id;

-- retired: nothing is bought of what is never sold again.
UPDATE articles AS sku SET retired = true FROM sku_retired AS said WHERE sku.sku_id = said.stream_id;

-- purchases: a purchase begins with its order.
INSERT INTO purchases (
    purchase_id, sku_id, store_id, supplier_id, ordered_at, day, hour, quantity, unit_cost, best_quote_cost, due_on,
    due_by, document
)
SELECT said.purchase_id, said.stream_id, said.store_id, said.supplier_id, said.occurred_at,
    (said.occurred_at AT TIME ZONE said.time_zone)::date,
    extract(hour FROM said.occurred_at AT TIME ZONE said.time_zone)::bigint, said.quantity, said.unit_cost,
    said.best_quote_cost, said.due_on, said.due_by, said.document
FROM purchase_ordered AS said;

-- lines: what the window's events add to purchases. What came is in time when it happened before the day was over, whenever it
-- was recorded.
WITH line AS (
    INSERT INTO purchase_lines (position, purchase_id, event, occurred_at, ordered, received, cancelled, paid_minor)
    SELECT position, purchase_id, 'PurchaseOrdered', occurred_at, quantity, 0, 0, 0 FROM purchase_ordered
    UNION ALL
    SELECT position, purchase_id, 'StockReceived', occurred_at, 0, quantity, 0, 0 FROM stock_received
    WHERE purchase_id IS NOT NULL
    UNION ALL
    SELECT position, purchase_id, 'PurchaseCancelled', occurred_at, 0, 0, quantity, 0 FROM purchase_cancelled
    UNION ALL
    SELECT position, purchase_id, 'PurchasePaid', occurred_at, 0, 0, 0, amount_minor FROM purchase_paid
    RETURNING purchase_id, occurred_at, received, cancelled, paid_minor
)
UPDATE purchases AS purchase
SET received = purchase.received + said.received, cancelled = purchase.cancelled + said.cancelled,
    received_in_time = purchase.received_in_time + said.received_in_time,
    paid_minor = purchase.paid_minor + said.paid_minor,
    last_received_at = greatest(purchase.last_received_at, said.last_received_at)
FROM (
    SELECT line.purchase_id, sum(line.received) AS received, sum(line.cancelled) AS cancelled,
        sum(line.paid_minor)::bigint AS paid_minor,
        coalesce(sum(line.received) FILTER (WHERE line.occurred_at < own.due_by), 0) AS received_in_time,
        max(line.occurred_at) FILTER (WHERE line.received > 0) AS last_received_at
    FROM line CROSS JOIN LATERAL (
        SELECT known.due_by FROM purchases AS known WHERE known.purchase_id = line.purchase_id OFFSET 0
    ) AS own
    GROUP BY 1
) AS said
WHERE purchase.purchase_id = said.purchase_id;

-- inspections: each inspection; its store is the home store of the article, whosever location it was at.
INSERT INTO inspections (position, sku_id, store_id, supplier_id, batch, occurred_at, day, hour, accepted, failed)
SELECT said.position, said.stream_id, sku.store_id, said.supplier_id, said.batch, said.occurred_at,
    (said.occurred_at AT TIME ZONE said.time_zone)::date,
    extract(hour FROM said.occurred_at AT TIME ZONE said.time_zone)::bigint, said.accepted, said.failed
FROM batch_inspected AS said JOIN articles AS sku ON sku.sku_id = said.stream_id;

-- quotes: the last word of the window for an article, supplier and least quantity.
INSERT INTO quotes AS quote (sku_id, supplier_id, min_quantity, store_id, unit_cost, valid_until, quoted_at, position)
SELECT DISTINCT ON (stream_id, supplier_id, min_quantity) stream_id, supplier_id, min_quantity, store_id, unit_cost,
    valid_until, occurred_at, position
FROM quote_recorded ORDER BY stream_id, supplier_id, min_quantity, position DESC
ON CONFLICT (sku_id, supplier_id, min_quantity) DO UPDATE SET
    unit_cost = excluded.unit_cost, valid_until = excluded.valid_until, quoted_at = excluded.quoted_at,
    position = excluded.position;

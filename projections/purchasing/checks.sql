-- purchases_are_the_log: what was ordered, received, called off and paid of each purchase is what the log says, counted anew.
SELECT coalesce(kept.purchase_id, log.purchase_id) AS purchase_id, kept.quantity, log.ordered, kept.received,
    log.received AS received_in_log, kept.cancelled, log.cancelled AS cancelled_in_log, kept.paid_minor,
    log.paid_minor AS paid_in_log
FROM purchases AS kept
FULL JOIN (
    SELECT each.purchase_id, sum(each.ordered) AS ordered, sum(each.received) AS received,
        sum(each.cancelled) AS cancelled, sum(each.paid_minor) AS paid_minor
    FROM (
        SELECT purchase_id, quantity AS ordered, 0 AS received, 0 AS cancelled, 0 AS paid_minor FROM purchase_ordered
        UNION ALL SELECT purchase_id, 0, quantity, 0, 0 FROM stock_received WHERE purchase_id IS NOT NULL
        UNION ALL SELECT purchase_id, 0, 0, quantity, 0 FROM purchase_cancelled
        UNION ALL SELECT purchase_id, 0, 0, 0, amount_minor FROM purchase_paid
    ) AS each GROUP BY 1
) AS log ON log.purchase_id = kept.purchase_id
WHERE (kept.quantity, kept.received, kept.cancelled, kept.paid_minor)
    IS DISTINCT FROM (log.ordered, log.received, log.cancelled, log.paid_minor);

-- purchases_are_lines: the events of a purchase add up to it, and what came in time is part of what came.
SELECT kept.purchase_id, kept.quantity, line.ordered, kept.received, line.received AS of_lines, kept.received_in_time,
    line.in_time, kept.cancelled, line.cancelled AS cancelled_of_lines
FROM purchases AS kept
LEFT JOIN LATERAL (
    SELECT sum(one.ordered) AS ordered, sum(one.received) AS received, sum(one.cancelled) AS cancelled,
        sum(one.paid_minor) AS paid_minor,
        coalesce(sum(one.received) FILTER (WHERE one.occurred_at < kept.due_by), 0) AS in_time
    FROM purchase_lines AS one WHERE one.purchase_id = kept.purchase_id
) AS line ON true
WHERE (kept.quantity, kept.received, kept.received_in_time, kept.cancelled, kept.paid_minor)
    IS DISTINCT FROM (line.ordered, line.received, line.in_time, line.cancelled, line.paid_minor);

-- no_more_than_ordered: no more is received and called off than was ordered, and no less than nothing is paid.
SELECT kept.purchase_id, kept.quantity, kept.received, kept.cancelled, kept.paid_minor
FROM purchases AS kept
WHERE kept.received + kept.cancelled > kept.quantity OR kept.paid_minor < 0;

-- of_a_supplier_of_the_store: purchases and quotes are of suppliers of the store that the article is at home in.
SELECT found.what, found.sku_id, found.supplier_id, found.store_id
FROM (
    SELECT 'purchase' AS what, kept.sku_id, kept.supplier_id, kept.store_id FROM purchases AS kept
    UNION ALL SELECT 'quote', kept.sku_id, kept.supplier_id, kept.store_id FROM quotes AS kept
) AS found
LEFT JOIN suppliers AS supplier ON supplier.supplier_id = found.supplier_id
WHERE supplier.store_id IS DISTINCT FROM found.store_id;

-- inspections_are_the_log: every inspection is there, once, with what it found.
SELECT coalesce(kept.position, log.position) AS position, kept.accepted, log.accepted AS accepted_in_log, kept.failed,
    log.failed AS failed_in_log
FROM inspections AS kept FULL JOIN batch_inspected AS log ON log.position = kept.position
WHERE (kept.accepted, kept.failed) IS DISTINCT FROM (log.accepted, log.failed);

-- deposits_are_the_log: what is frozen of a supplier is what was frozen less what was released, and never below nothing.
SELECT kept.supplier_id, kept.deposit_minor, log.deposit_minor AS in_log
FROM suppliers AS kept
LEFT JOIN (
    SELECT each.supplier_id, sum(each.amount_minor) AS deposit_minor FROM (
        SELECT supplier_id, amount_minor FROM supplier_deposit_frozen
        UNION ALL SELECT supplier_id, -(amount_minor + withheld_minor) FROM supplier_deposit_released
    ) AS each GROUP BY 1
) AS log ON log.supplier_id = kept.supplier_id
WHERE kept.deposit_minor <> coalesce(log.deposit_minor, 0) OR kept.deposit_minor < 0;

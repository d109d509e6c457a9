-- purchases: the events of a purchase, each with what it added.
SELECT line.position, line.event, line.occurred_at, line.ordered AS quantity, line.received,
    CASE WHEN line.occurred_at < purchase.due_by THEN line.received ELSE 0 END AS received_in_time, line.cancelled,
    line.paid_minor
FROM purchase_lines AS line JOIN purchases AS purchase ON purchase.purchase_id = line.purchase_id
WHERE line.purchase_id = :purchase_id::uuid AND line.position > :window_from AND line.position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR purchase.store_id = ANY (:store_ids::uuid[]));

-- purchase_lines: the event behind a line.
SELECT line.position, line.event, line.occurred_at, line.ordered, line.received, line.cancelled, line.paid_minor
FROM purchase_lines AS line JOIN purchases AS purchase ON purchase.purchase_id = line.purchase_id
WHERE line.position = :position::bigint AND line.position > :window_from AND line.position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR purchase.store_id = ANY (:store_ids::uuid[]));

-- supplier_rows: the events behind what is told of a supplier: those that brought it where it is, and those of its purchases.
SELECT found.position, found.event, found.occurred_at, found.status, found.deposit_minor, found.ordered, found.received,
    found.cancelled
FROM (
    SELECT line.position, line.event, line.occurred_at, NULL AS status, 0 AS deposit_minor, line.ordered, line.received,
        line.cancelled, purchase.store_id
    FROM purchase_lines AS line JOIN purchases AS purchase ON purchase.purchase_id = line.purchase_id
    WHERE purchase.supplier_id = :supplier_id::uuid AND line.position > :window_from AND line.position <= :window_to
    UNION ALL SELECT position, 'SupplierApplied', occurred_at, 'applied', 0, 0, 0, 0, store_id FROM supplier_applied
    WHERE supplier_id = :supplier_id::uuid
    UNION ALL SELECT position, 'SupplierQualified', occurred_at, 'qualified', 0, 0, 0, 0, store_id FROM supplier_qualified
    WHERE supplier_id = :supplier_id::uuid
    UNION ALL SELECT position, 'SupplierRejected', occurred_at, 'rejected', 0, 0, 0, 0, store_id FROM supplier_rejected
    WHERE supplier_id = :supplier_id::uuid
    UNION ALL SELECT position, 'SupplierTermsAgreed', occurred_at, NULL, 0, 0, 0, 0, store_id FROM supplier_terms_agreed
    WHERE supplier_id = :supplier_id::uuid
    UNION ALL SELECT position, 'SupplierDepositFrozen', occurred_at, NULL, amount_minor, 0, 0, 0, store_id
    FROM supplier_deposit_frozen WHERE supplier_id = :supplier_id::uuid
    UNION ALL SELECT position, 'SupplierActivated', occurred_at, 'active', 0, 0, 0, 0, store_id FROM supplier_activated
    WHERE supplier_id = :supplier_id::uuid
    UNION ALL SELECT position, 'SupplierExpelled', occurred_at, 'expelled', 0, 0, 0, 0, store_id FROM supplier_expelled
    WHERE supplier_id = :supplier_id::uuid
    UNION ALL SELECT position, 'SupplierDepositReleased', occurred_at, NULL, -(amount_minor + withheld_minor), 0, 0, 0,
        store_id
    FROM supplier_deposit_released WHERE supplier_id = :supplier_id::uuid
) AS found
WHERE :store_ids::uuid[] IS NULL OR found.store_id = ANY (:store_ids::uuid[]);

-- suppliers: what was recorded about a supplier, each with what it added to the deposit.
SELECT found.position, found.event, found.occurred_at, found.status, found.deposit_minor
FROM (
    SELECT position, 'SupplierApplied' AS event, occurred_at, 'applied' AS status, 0 AS deposit_minor, store_id
    FROM supplier_applied WHERE supplier_id = :supplier_id::uuid
    UNION ALL SELECT position, 'SupplierQualified', occurred_at, 'qualified', 0, store_id FROM supplier_qualified
    WHERE supplier_id = :supplier_id::uuid
    UNION ALL SELECT position, 'SupplierRejected', occurred_at, 'rejected', 0, store_id FROM supplier_rejected
    WHERE supplier_id = :supplier_id::uuid
    UNION ALL SELECT position, 'SupplierTermsAgreed', occurred_at, NULL, 0, store_id FROM supplier_terms_agreed
    WHERE supplier_id = :supplier_id::uuid
    UNION ALL SELECT position, 'SupplierDepositFrozen', occurred_at, NULL, amount_minor, store_id
    FROM supplier_deposit_frozen WHERE supplier_id = :supplier_id::uuid
    UNION ALL SELECT position, 'SupplierActivated', occurred_at, 'active', 0, store_id FROM supplier_activated
    WHERE supplier_id = :supplier_id::uuid
    UNION ALL SELECT position, 'SupplierExpelled', occurred_at, 'expelled', 0, store_id FROM supplier_expelled
    WHERE supplier_id = :supplier_id::uuid
    UNION ALL SELECT position, 'SupplierDepositReleased', occurred_at, NULL, -(amount_minor + withheld_minor), store_id
    FROM supplier_deposit_released WHERE supplier_id = :supplier_id::uuid
) AS found
WHERE :store_ids::uuid[] IS NULL OR found.store_id = ANY (:store_ids::uuid[]);

-- quotes: everything that a supplier said of an article for a least quantity; the last word holds.
SELECT position, 'QuoteRecorded' AS event, occurred_at, unit_cost, valid_until FROM quote_recorded
WHERE stream_id = :sku_id::uuid AND supplier_id = :supplier_id::uuid AND min_quantity = :min_quantity::numeric
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]));

-- inspections: the inspection behind a row.
SELECT line.position, 'BatchInspected' AS event, line.occurred_at, line.accepted, line.failed
FROM inspections AS line
WHERE line.position = :position::bigint AND line.position > :window_from AND line.position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR line.store_id = ANY (:store_ids::uuid[]));

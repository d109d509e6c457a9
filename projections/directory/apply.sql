-- stores: a store begins when somebody applies for it.
INSERT INTO directory_stores (store_id, name, platform, kind, currency, time_zone, status, applied_at, changed_at, position)
SELECT stream_id, name, platform, kind, currency, applied.time_zone, 'applied', occurred_at, recorded_at, position
FROM store_applied AS applied;

-- stores_renamed: the last name of the window.
UPDATE directory_stores AS store SET name = said.name
FROM (
    SELECT DISTINCT ON (stream_id) stream_id, name FROM store_renamed ORDER BY stream_id, position DESC
) AS said
WHERE store.store_id = said.stream_id;

-- stores_stand: the last word of the window on how far a store is, and when it first opened.
UPDATE directory_stores AS store
SET status = said.status, opened_at = coalesce(store.opened_at, said.opened_at)
FROM (
    SELECT stream_id, (array_agg(status ORDER BY position DESC))[1] AS status, min(opened_at) AS opened_at
    FROM (
        SELECT stream_id, position, 'under_audit' AS status, NULL::timestamptz AS opened_at FROM store_audit_started
        UNION ALL SELECT stream_id, position, 'audited', NULL FROM store_audit_passed
        UNION ALL SELECT stream_id, position, 'applied', NULL FROM store_audit_rejected
        UNION ALL SELECT stream_id, position, 'open', occurred_at FROM store_opened
        UNION ALL SELECT stream_id, position, 'open', NULL FROM store_reopened
        UNION ALL SELECT stream_id, position, 'suspended', NULL FROM store_suspended
        UNION ALL SELECT stream_id, position, 'closed', NULL FROM store_closed
    ) AS each
    GROUP BY stream_id
) AS said
WHERE store.store_id = said.stream_id;

-- places: a location is a store's from when it is added.
INSERT INTO directory_places (store_id, location_id, is_open) SELECT stream_id, location_id, true FROM location_added;

-- places_closed: a location that is closed stays so.
UPDATE directory_places AS place SET is_open = false
FROM location_closed AS closed
WHERE place.store_id = closed.stream_id AND place.location_id = closed.location_id;

-- skus: an article begins when it is registered.
INSERT INTO directory_skus
    (sku_id, store_id, code, name, brand, category, unit, mode, currency, status, min_quantity, season_end, registered_at,
    changed_at, position)
SELECT stream_id, store_id, code, name, brand, category, unit, mode, currency, 'draft', min_order_quantity, season_end,
    occurred_at, recorded_at, position
FROM sku_registered;

-- skus_amended: what was said last of an article, all of it.
UPDATE directory_skus AS sku
SET name = said.name, brand = said.brand, category = said.category, min_quantity = said.min_order_quantity,
    season_end = said.season_end
FROM (
    SELECT DISTINCT ON (stream_id) stream_id, name, brand, category, min_order_quantity, season_end
    FROM sku_amended ORDER BY stream_id, position DESC
) AS said
WHERE sku.sku_id = said.stream_id;

-- changed: when anything was last recorded about a store or an article, each movement of its stock included; the log records
-- nothing earlier than what it has.
WITH said AS (
    SELECT stream_id, max(recorded_at) AS changed_at FROM every_event
    WHERE type IN (
        'StoreApplied', 'StoreRenamed', 'PaymentAccountCertified', 'StoreDocumentSubmitted', 'StoreInfoSubmitted',
        'StoreAgreementSigned', 'StoreAuditStarted', 'StoreAuditPassed', 'StoreAuditRejected', 'DepositFrozen',
        'ServiceFeePaid', 'StoreOpened', 'StoreSuspended', 'StoreReopened', 'StoreClosed', 'DepositReleased',
        'PaymentMethodsSet', 'CouriersSet', 'CalendarSet', 'LocationAdded', 'LocationClosed', 'PolicySet',
        'ExpenseRecorded', 'PeriodClosed', 'StaffRoleAssigned', 'StaffRoleEnded', 'StaffResignationFiled',
        'StaffResignationWithdrawn', 'StaffHandoverConfirmed', 'StaffLeft', 'SalesTargetSet', 'BudgetSet', 'HeroSkusSet',
        'CapitalInvested', 'FundsMoved', 'DepositDeducted', 'StorePositioned',
        'StoreProfileChanged', 'PlatformPenaltyRecorded',
        'CommissionSchemeProposed', 'CommissionSchemeApproved', 'CommissionSettled',
        'AgreementSigned', 'AgreementFeePaid', 'AgreementFirstPlanLaunched', 'AgreementBreachRecorded',
        'AgreementTerminationNoticed', 'AgreementRenewalRequested', 'AgreementRenewalAnswered', 'AgreementExtended',
        'AgreementEnded',
        'SupplierApplied', 'SupplierDocumentSubmitted', 'SupplierQualified', 'SupplierRejected', 'SupplierTermsAgreed',
        'SupplierDepositFrozen', 'SupplierActivated', 'SupplierExpelled', 'SupplierDepositReleased',
        'QuoteRecorded', 'PurchaseOrdered', 'PurchaseCancelled', 'PurchasePaid',
        'SkuRegistered', 'SkuAmended', 'SkuContentSet', 'SkuPriced', 'TierPricesSet', 'SkuSubmitted', 'SkuReviewPassed',
        'SkuReviewFailed', 'SkuListed', 'SkuDelisted', 'SkuRetired', 'StockPolicySet', 'StockReceived',
        'StockReserved', 'ReservationReleased', 'StockShipped', 'StockReturned', 'StockWrittenOff',
        'StockReclassified', 'SampleIssued', 'StockAdjusted', 'StockCounted', 'StockTransferredOut',
        'StockTransferredIn', 'CampaignStockAllocated', 'CampaignStockReleased', 'StockBackdated', 'LowStockReached',
        'StockDepleted', 'BatchRecalled', 'BatchRecallLifted', 'BatchExpired', 'BatchInspected'
    )
    GROUP BY 1
), stores AS (
    UPDATE directory_stores AS store SET changed_at = said.changed_at FROM said WHERE store.store_id = said.stream_id
)
UPDATE directory_skus AS sku SET changed_at = said.changed_at FROM said WHERE sku.sku_id = said.stream_id;

-- skus_stand: the last word of the window on how far an article is.
UPDATE directory_skus AS sku SET status = said.status
FROM (
    SELECT DISTINCT ON (stream_id) stream_id, status FROM (
        SELECT stream_id, position, 'review' AS status FROM sku_submitted
        UNION ALL SELECT stream_id, position, 'ready' FROM sku_review_passed
        UNION ALL SELECT stream_id, position, 'draft' FROM sku_review_failed
        UNION ALL SELECT stream_id, position, 'retired' FROM sku_retired
    ) AS each ORDER BY stream_id, position DESC
) AS said
WHERE sku.sku_id = said.stream_id;

-- priced: the last price of the window, store by store; a price alone puts nothing on sale.
INSERT INTO directory_shelves AS shelf (sku_id, store_id, listed, list_price)
SELECT DISTINCT ON (stream_id, store_id) stream_id, store_id, false, list_price
FROM sku_priced ORDER BY stream_id, store_id, position DESC
ON CONFLICT (sku_id, store_id) DO UPDATE SET list_price = excluded.list_price;

-- shelved: the last word of the window on whether an article is on sale, store by store.
INSERT INTO directory_shelves AS shelf (sku_id, store_id, listed, reason)
SELECT DISTINCT ON (stream_id, store_id) stream_id, store_id, listed, reason FROM (
    SELECT stream_id, store_id, position, true AS listed, NULL AS reason FROM sku_listed
    UNION ALL SELECT stream_id, store_id, position, false, reason FROM sku_delisted
) AS each ORDER BY stream_id, store_id, position DESC
ON CONFLICT (sku_id, store_id) DO UPDATE SET listed = excluded.listed, reason = excluded.reason;

-- units: what the window's movements changed of what may be bought; what is set aside, on its way or held for an order may not.
INSERT INTO directory_units AS kept (sku_id, location_id, sellable, allocated)
SELECT sku_id, location_id, sum(sellable), sum(allocated)
FROM (
    SELECT stream_id AS sku_id, location_id,
        CASE
            WHEN type IN ('StockReceived', 'StockReturned') AND coalesce(condition, 'good') = 'good' THEN quantity
            WHEN type = 'StockWrittenOff' AND coalesce(condition, 'good') = 'good' THEN -quantity
            WHEN type = 'StockReclassified' AND from_state = to_state THEN 0
            WHEN type = 'StockReclassified' AND to_state = 'available' THEN quantity
            WHEN type = 'StockReclassified' AND from_state = 'available' THEN -quantity
            WHEN type = 'StockAdjusted' THEN difference
            WHEN type IN ('StockTransferredIn', 'CampaignStockReleased') THEN quantity
            WHEN type IN ('SampleIssued', 'StockTransferredOut', 'CampaignStockAllocated') THEN -quantity
            WHEN type = 'StockReserved' AND campaign_id IS NULL THEN -quantity
            WHEN type = 'ReservationReleased' AND (campaign_id IS NULL OR NOT coalesce(to_quota, false)) THEN quantity
            ELSE 0
        END AS sellable,
        -- Out of a campaign's quota, units that were allocated become reserved.
        CASE
            WHEN type = 'CampaignStockAllocated' THEN quantity
            WHEN type = 'CampaignStockReleased' THEN -quantity
            WHEN type = 'StockReserved' AND campaign_id IS NOT NULL THEN -quantity
            WHEN type = 'ReservationReleased' AND campaign_id IS NOT NULL AND to_quota THEN quantity
            ELSE 0
        END AS allocated
    FROM every_event
    -- What leaves was reserved before, and a count moves nothing by itself.
    WHERE location_id IS NOT NULL AND type NOT IN ('LocationAdded', 'LocationClosed', 'StockShipped', 'StockCounted')
) AS moved
WHERE sellable <> 0 OR allocated <> 0
GROUP BY 1, 2
ON CONFLICT (sku_id, location_id) DO UPDATE SET
    sellable = kept.sellable + excluded.sellable, allocated = kept.allocated + excluded.allocated;

-- offered: what buyers meet of every article of which the window said something, and of what lies where a location came or went.
-- What is to be bought has to be in the store's open locations, as much of it as an order has to be for at the least.
UPDATE directory_shelves AS shelf SET asked_price = found.asked_price, availability = found.availability
FROM (
    SELECT stream_id AS sku_id FROM every_event
    UNION
    SELECT here.sku_id
    FROM (SELECT location_id FROM location_added UNION ALL SELECT location_id FROM location_closed) AS said
    CROSS JOIN LATERAL (
        SELECT kept.sku_id FROM directory_units AS kept WHERE kept.location_id = said.location_id OFFSET 0
    ) AS here
) AS touched
CROSS JOIN LATERAL (
    SELECT own.store_id, coalesce(own.list_price, home.list_price) AS asked_price,
        CASE
            WHEN NOT own.listed THEN CASE own.reason WHEN 'out_of_stock' THEN 'sold_out' END
            WHEN sku.mode <> 'stocked' THEN 'to_order'
            ELSE (
                SELECT CASE
                    WHEN sum(greatest(here.sellable, 0)) >= sku.min_quantity THEN 'in_stock'
                    WHEN sum(here.allocated) > 0 THEN 'campaign_only'
                    ELSE 'sold_out'
                END
                FROM directory_units AS here
                JOIN directory_places AS place ON place.location_id = here.location_id
                WHERE here.sku_id = own.sku_id AND place.store_id = own.store_id AND place.is_open
            )
        END AS availability
    FROM directory_shelves AS own
    JOIN directory_skus AS sku ON sku.sku_id = own.sku_id
    LEFT JOIN directory_shelves AS home ON home.sku_id = sku.sku_id AND home.store_id = sku.store_id
    WHERE own.sku_id = touched.sku_id
    OFFSET 0
) AS found
WHERE shelf.sku_id = touched.sku_id AND shelf.store_id = found.store_id
    AND (shelf.asked_price, shelf.availability) IS DISTINCT FROM (found.asked_price, found.availability);

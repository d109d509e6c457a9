-- planned: a campaign begins with its plan.
INSERT INTO campaigns (campaign_id, store_id, store_ids, name, goal, kind, type, currency, status, changed_at)
SELECT stream_id, store_id, store_ids, name, goal, kind, type, currency, 'planned', recorded_at FROM campaign_planned;

-- changed: when anything was last recorded about a campaign, what orders take of its budget included.
UPDATE campaigns AS campaign SET changed_at = said.changed_at
FROM (
    SELECT stream_id, max(recorded_at) AS changed_at FROM (
        SELECT stream_id, recorded_at FROM campaign_planned
        UNION ALL SELECT stream_id, recorded_at FROM campaign_renamed
        UNION ALL SELECT stream_id, recorded_at FROM campaign_line_added
        UNION ALL SELECT stream_id, recorded_at FROM campaign_line_removed
        UNION ALL SELECT stream_id, recorded_at FROM promotion_added
        UNION ALL SELECT stream_id, recorded_at FROM promotion_removed
        UNION ALL SELECT stream_id, recorded_at FROM campaign_scheduled
        UNION ALL SELECT stream_id, recorded_at FROM forecast_set
        UNION ALL SELECT stream_id, recorded_at FROM price_check_passed
        UNION ALL SELECT stream_id, recorded_at FROM price_check_failed
        UNION ALL SELECT stream_id, recorded_at FROM campaign_started
        UNION ALL SELECT stream_id, recorded_at FROM campaign_resumed
        UNION ALL SELECT stream_id, recorded_at FROM campaign_paused
        UNION ALL SELECT stream_id, recorded_at FROM campaign_ended
        UNION ALL SELECT stream_id, recorded_at FROM campaign_cancelled
        UNION ALL SELECT stream_id, recorded_at FROM campaign_evaluated
        UNION ALL SELECT stream_id, recorded_at FROM campaign_budget_set
        UNION ALL SELECT stream_id, recorded_at FROM campaign_budget_claimed
        UNION ALL SELECT stream_id, recorded_at FROM campaign_budget_released
        UNION ALL SELECT stream_id, recorded_at FROM coupon_claimed
        UNION ALL SELECT stream_id, recorded_at FROM coupon_released
        UNION ALL SELECT stream_id, recorded_at FROM ad_spend_recorded
        UNION ALL SELECT stream_id, recorded_at FROM resource_planned
        UNION ALL SELECT stream_id, recorded_at FROM resource_dropped
        UNION ALL SELECT stream_id, recorded_at FROM resource_submitted
        UNION ALL SELECT stream_id, recorded_at FROM resource_approved
        UNION ALL SELECT stream_id, recorded_at FROM resource_rejected
        UNION ALL SELECT stream_id, recorded_at FROM campaign_proposed
        UNION ALL SELECT stream_id, recorded_at FROM campaign_confirmed
        UNION ALL SELECT stream_id, recorded_at FROM campaign_declined
        UNION ALL SELECT stream_id, recorded_at FROM supplier_call_opened
        UNION ALL SELECT stream_id, recorded_at FROM supplier_call_closed
        UNION ALL SELECT stream_id, recorded_at FROM supply_offered
        UNION ALL SELECT stream_id, recorded_at FROM supply_offer_withdrawn
        UNION ALL SELECT stream_id, recorded_at FROM supply_offer_accepted
        UNION ALL SELECT stream_id, recorded_at FROM supply_offer_rejected
        UNION ALL SELECT stream_id, recorded_at FROM ad_budget_agreed
        UNION ALL SELECT stream_id, recorded_at FROM ad_plan_launched
        UNION ALL SELECT stream_id, recorded_at FROM ad_monitored
        UNION ALL SELECT stream_id, recorded_at FROM ad_adjusted
        UNION ALL SELECT stream_id, recorded_at FROM ad_plan_paused
        UNION ALL SELECT stream_id, recorded_at FROM ad_plan_resumed
        UNION ALL SELECT stream_id, recorded_at FROM ad_plan_ended
    ) AS each
    GROUP BY 1
) AS said
WHERE campaign.campaign_id = said.stream_id;

-- renamed: the last name of the window is the one that holds.
UPDATE campaigns AS campaign SET name = said.name
FROM (
    SELECT DISTINCT ON (stream_id) stream_id, name FROM campaign_renamed ORDER BY stream_id, position DESC
) AS said
WHERE campaign.campaign_id = said.stream_id;

-- stands: the last word of the window on where a campaign stands.
UPDATE campaigns AS campaign SET status = said.status
FROM (
    SELECT DISTINCT ON (stream_id) stream_id, status FROM (
        SELECT stream_id, position, 'scheduled' AS status FROM campaign_scheduled
        UNION ALL SELECT stream_id, position, 'live' FROM campaign_started
        UNION ALL SELECT stream_id, position, 'paused' FROM campaign_paused
        UNION ALL SELECT stream_id, position, 'live' FROM campaign_resumed
        UNION ALL SELECT stream_id, position, 'ended' FROM campaign_ended
        UNION ALL SELECT stream_id, position, 'cancelled' FROM campaign_cancelled
        UNION ALL SELECT stream_id, position, 'evaluated' FROM campaign_evaluated
    ) AS each ORDER BY stream_id, position DESC
) AS said
WHERE campaign.campaign_id = said.stream_id;

-- scheduled: the last schedule of the window is the one that holds.
UPDATE campaigns AS campaign SET starts_at = said.starts_at, ends_at = said.ends_at
FROM (
    SELECT DISTINCT ON (stream_id) stream_id, starts_at, ends_at FROM campaign_scheduled ORDER BY stream_id, position DESC
) AS said
WHERE campaign.campaign_id = said.stream_id;

-- forecast: the last forecast of the window is the one that holds.
UPDATE campaigns AS campaign
SET forecast_visitors = said.visitors, forecast_conversion = said.conversion, forecast_units = said.units,
    forecast_gmv_minor = said.gmv_minor, forecast_peak_hour = said.peak_hour, forecast_trough_hour = said.trough_hour,
    forecast_parcels_per_day = said.parcels_per_day
FROM (
    SELECT DISTINCT ON (stream_id) stream_id, visitors, conversion, units, gmv_minor, peak_hour, trough_hour, parcels_per_day
    FROM forecast_set ORDER BY stream_id, position DESC
) AS said
WHERE campaign.campaign_id = said.stream_id;

-- budget: the last budget of the window is the one that holds.
UPDATE campaigns AS campaign SET budget_minor = said.budget_minor
FROM (
    SELECT DISTINCT ON (stream_id) stream_id, budget_minor FROM campaign_budget_set ORDER BY stream_id, position DESC
) AS said
WHERE campaign.campaign_id = said.stream_id;

-- claimed: discounts and coupons that orders took of a campaign and gave back.
UPDATE campaigns AS campaign
SET budget_claimed_minor = campaign.budget_claimed_minor + said.claimed_minor,
    budget_released_minor = campaign.budget_released_minor + said.released_minor,
    coupons_claimed = campaign.coupons_claimed + said.coupons_claimed,
    coupons_released = campaign.coupons_released + said.coupons_released
FROM (
    SELECT stream_id, sum(claimed_minor) AS claimed_minor, sum(released_minor) AS released_minor,
        sum(coupons_claimed) AS coupons_claimed, sum(coupons_released) AS coupons_released
    FROM (
        SELECT stream_id, amount_minor AS claimed_minor, 0 AS released_minor, 0 AS coupons_claimed, 0 AS coupons_released
        FROM campaign_budget_claimed
        UNION ALL SELECT stream_id, 0, amount_minor, 0, 0 FROM campaign_budget_released
        UNION ALL SELECT stream_id, 0, 0, 1, 0 FROM coupon_claimed
        UNION ALL SELECT stream_id, 0, 0, 0, 1 FROM coupon_released
    ) AS each GROUP BY 1
) AS said
WHERE campaign.campaign_id = said.stream_id;

-- terms: the last word of the window on a SKU's line is the one that holds; one that was taken out leaves no terms.
INSERT INTO campaign_skus AS terms (campaign_id, sku_id, role, price, quota, max_per_customer, removed)
SELECT DISTINCT ON (stream_id, sku_id) stream_id, sku_id, role, price, quota, max_per_customer, removed
FROM (
    SELECT stream_id, sku_id, position, role, price, quota, max_per_customer, false AS removed FROM campaign_line_added
    UNION ALL SELECT stream_id, sku_id, position, NULL, NULL, NULL, NULL, true FROM campaign_line_removed
) AS said
ORDER BY stream_id, sku_id, position DESC
ON CONFLICT (campaign_id, sku_id) DO UPDATE SET
    role = excluded.role, price = excluded.price, quota = excluded.quota, max_per_customer = excluded.max_per_customer,
    removed = excluded.removed;

-- quota: open stock that became a campaign's, and went back.
INSERT INTO campaign_skus AS terms (campaign_id, sku_id, allocated, released)
SELECT campaign_id, sku_id, sum(allocated), sum(released)
FROM (
    SELECT campaign_id, stream_id AS sku_id, quantity AS allocated, 0 AS released FROM campaign_stock_allocated
    UNION ALL SELECT campaign_id, stream_id, 0, quantity FROM campaign_stock_released
) AS each
GROUP BY 1, 2
ON CONFLICT (campaign_id, sku_id) DO UPDATE SET
    allocated = terms.allocated + excluded.allocated, released = terms.released + excluded.released;

-- lines: which lines of new orders count for a campaign: the one whose price or gift it is, else that of the largest discount.
INSERT INTO campaign_lines (order_id, line, campaign_id, sku_id, quantity, counted)
SELECT placed.stream_id, placed.line, coalesce(placed.campaign_id, largest.campaign_id), placed.sku_id, placed.quantity,
    CASE WHEN placed.service OR (placed.gift AND NOT rule.gifts_are_units) THEN 0 ELSE placed.quantity END
FROM order_placed_lines AS placed CROSS JOIN rules AS rule
LEFT JOIN LATERAL (
    SELECT CASE WHEN given.value->>'source' = 'coupon' THEN placed.coupon_campaign_id
        ELSE (given.value->>'source_id')::uuid END AS campaign_id
    FROM jsonb_array_elements(placed.discounts) WITH ORDINALITY AS given (value, place)
    WHERE rule.discount_attributes AND given.value->>'source' NOT IN ('tier', 'points', 'manual')
        AND CASE WHEN given.value->>'source' = 'coupon' THEN placed.coupon_campaign_id
            ELSE (given.value->>'source_id')::uuid END IS NOT NULL
    ORDER BY (given.value->>'amount_minor')::bigint DESC, given.place
    LIMIT 1
) AS largest ON true
WHERE coalesce(placed.campaign_id, largest.campaign_id) IS NOT NULL;

-- amounts: what such a line costs, from its placing and from each amendment on; and what was called off of it.
INSERT INTO campaign_line_changes (order_id, line, position, amount_minor, cancelled, cancelled_minor)
SELECT said.order_id, said.line, said.position, max(said.amount_minor), sum(said.cancelled), sum(said.cancelled_minor)
FROM (
    SELECT stream_id AS order_id, line, position, amount_minor, 0 AS cancelled, 0 AS cancelled_minor
    FROM order_placed_lines
    UNION ALL SELECT stream_id, line, position, amount_minor, 0, 0 FROM order_price_amended
    UNION ALL SELECT stream_id, line, position, NULL, quantity, amount_minor FROM order_cancelled_lines
    UNION ALL SELECT stream_id, line, position, NULL, quantity, amount_minor FROM order_expired_lines
) AS said JOIN campaign_lines AS counts ON counts.order_id = said.order_id AND counts.line = said.line
GROUP BY 1, 2, 3;

-- paid: a line counts when its order is paid, at what it costs at that position.
INSERT INTO campaign_paid_lines
    (position, line, order_id, campaign_id, sku_id, store_id, currency, customer_id, units, gmv_minor)
SELECT paid.position, counts.line, counts.order_id, counts.campaign_id, counts.sku_id, paid.store_id, paid.currency,
    paid.customer_id, CASE WHEN counts.counted = 0 THEN 0 ELSE counts.counted - gone.cancelled END,
    price.amount_minor - gone.cancelled_minor
FROM order_paid AS paid
JOIN campaign_lines AS counts ON counts.order_id = paid.stream_id
CROSS JOIN LATERAL (
    SELECT change.amount_minor FROM campaign_line_changes AS change
    WHERE change.order_id = counts.order_id AND change.line = counts.line AND change.position < paid.position
        AND change.amount_minor IS NOT NULL
    ORDER BY change.position DESC LIMIT 1
) AS price
CROSS JOIN LATERAL (
    SELECT sum(change.cancelled) AS cancelled, sum(change.cancelled_minor) AS cancelled_minor
    FROM campaign_line_changes AS change
    WHERE change.order_id = counts.order_id AND change.line = counts.line AND change.position < paid.position
) AS gone
WHERE counts.quantity > gone.cancelled;

-- stand_ins: which line was sold where another stands in for it, followed from exchange to exchange to the first one; a line
-- stands in for one with a lower number. Here as in kpi_facts: a projection reads the log and its own tables alone.
WITH RECURSIVE given AS (
    SELECT one.stream_id AS order_id, one.line, one.from_line AS sold_line FROM shortage_resolved_exchanges AS one
    UNION ALL
    SELECT one.stream_id, one.line, one.from_line FROM return_exchanged_exchanges AS one
), way AS (
    SELECT given.order_id, given.line, given.sold_line FROM given
    UNION ALL
    SELECT way.order_id, way.line, earlier.sold_line
    FROM way JOIN (
        SELECT given.order_id, given.line, given.sold_line FROM given
        UNION ALL
        SELECT known.order_id, known.line, known.sold_line FROM campaign_stand_ins AS known
    ) AS earlier ON earlier.order_id = way.order_id AND earlier.line = way.sold_line
)
INSERT INTO campaign_stand_ins (order_id, line, sold_line)
SELECT way.order_id, way.line, min(way.sold_line) FROM way GROUP BY 1, 2;

-- refunded: money that went back for such a line, or for goods of an unknown order that name the campaign.
-- What goes back of a line that stands in for another takes the sale of that other back; its units are those that were sent.
INSERT INTO campaign_refund_lines
    (position, ordinal, campaign_id, sku_id, store_id, currency, refunded_units, refunded_minor)
SELECT refund.position, refund.ordinal, coalesce(counts.campaign_id, refund.campaign_id),
    coalesce(counts.sku_id, refund.sku_id), refund.store_id, refund.currency,
    CASE WHEN counts.counted = 0 THEN 0 ELSE refund.quantity END, refund.amount_minor
FROM order_refunded_lines AS refund
LEFT JOIN campaign_stand_ins AS given ON given.order_id = refund.stream_id AND given.line = refund.line
LEFT JOIN campaign_lines AS counts
    ON counts.order_id = refund.stream_id AND counts.line = coalesce(given.sold_line, refund.line)
WHERE counts.campaign_id IS NOT NULL OR (refund.line IS NULL AND refund.campaign_id IS NOT NULL);

-- sales: what the window's payments and refunds added in each store and currency.
INSERT INTO campaign_sales AS sales
    (campaign_id, store_id, currency, orders, units, gmv_minor, refunds, refunded_units, refunded_minor)
SELECT campaign_id, store_id, currency, count(DISTINCT position) FILTER (WHERE sold), sum(units), sum(gmv_minor),
    count(DISTINCT position) FILTER (WHERE NOT sold), sum(refunded_units), sum(refunded_minor)
FROM (
    SELECT position, campaign_id, store_id, currency, true AS sold, units, gmv_minor, 0 AS refunded_units,
        0 AS refunded_minor
    FROM campaign_paid_lines WHERE position > :window_from AND position <= :window_to
    UNION ALL
    SELECT position, campaign_id, store_id, currency, false, 0, 0, refunded_units, refunded_minor
    FROM campaign_refund_lines WHERE position > :window_from AND position <= :window_to
) AS each
GROUP BY 1, 2, 3
ON CONFLICT (campaign_id, store_id, currency) DO UPDATE SET
    orders = sales.orders + excluded.orders, units = sales.units + excluded.units,
    gmv_minor = sales.gmv_minor + excluded.gmv_minor, refunds = sales.refunds + excluded.refunds,
    refunded_units = sales.refunded_units + excluded.refunded_units,
    refunded_minor = sales.refunded_minor + excluded.refunded_minor;

-- sku_sales: the same for each SKU of a campaign.
INSERT INTO campaign_skus AS terms (campaign_id, sku_id, units, gmv_minor, refunded_units, refunded_minor)
SELECT campaign_id, sku_id, sum(units), sum(gmv_minor), sum(refunded_units), sum(refunded_minor)
FROM (
    SELECT campaign_id, sku_id, units, gmv_minor, 0 AS refunded_units, 0 AS refunded_minor
    FROM campaign_paid_lines WHERE position > :window_from AND position <= :window_to
    UNION ALL
    SELECT campaign_id, sku_id, 0, 0, refunded_units, refunded_minor
    FROM campaign_refund_lines WHERE position > :window_from AND position <= :window_to AND sku_id IS NOT NULL
) AS each
GROUP BY 1, 2
ON CONFLICT (campaign_id, sku_id) DO UPDATE SET
    units = terms.units + excluded.units, gmv_minor = terms.gmv_minor + excluded.gmv_minor,
    refunded_units = terms.refunded_units + excluded.refunded_units,
    refunded_minor = terms.refunded_minor + excluded.refunded_minor;

-- buyers: who paid for something of a campaign.
INSERT INTO campaign_buyers AS buyer (campaign_id, store_id, customer_id, orders)
SELECT campaign_id, store_id, customer_id, count(DISTINCT position)
FROM campaign_paid_lines
WHERE position > :window_from AND position <= :window_to AND customer_id IS NOT NULL
GROUP BY 1, 2, 3
ON CONFLICT (campaign_id, store_id, customer_id) DO UPDATE SET orders = buyer.orders + excluded.orders;

-- mergers: two records of one person are one buyer of a campaign, from the merger on.
-- Kept here as in kpi_daily: a projection reads the log and its own tables alone, so that its versions stand by themselves.
INSERT INTO campaign_mergers (customer_id, into_id)
SELECT DISTINCT ON (gone.stream_id) gone.stream_id, gone.into_id
FROM customer_merged_into AS gone
ORDER BY gone.stream_id, gone.position
ON CONFLICT (customer_id) DO NOTHING;

-- persons: of every record that these mergers touch, the last one on its way from record to record.
WITH RECURSIVE way AS (
    SELECT touched.customer_id, touched.customer_id AS person_id, ARRAY[touched.customer_id] AS path
    FROM (
        SELECT gone.stream_id AS customer_id FROM customer_merged_into AS gone
        UNION SELECT same.customer_id
        FROM campaign_persons AS same JOIN customer_merged_into AS gone ON gone.stream_id = same.person_id
    ) AS touched
    UNION ALL
    SELECT way.customer_id, link.into_id, way.path || link.into_id
    FROM way JOIN campaign_mergers AS link ON link.customer_id = way.person_id
    WHERE link.into_id <> ALL (way.path)
)
INSERT INTO campaign_persons (customer_id, person_id)
SELECT DISTINCT ON (way.customer_id) way.customer_id, way.person_id
FROM way
ORDER BY way.customer_id, cardinality(way.path) DESC
ON CONFLICT (customer_id) DO UPDATE SET person_id = excluded.person_id;

-- advertising: a higher revision replaces a lower one whenever it arrives; of two equal ones the later holds.
INSERT INTO campaign_ad_days AS spent
    (campaign_id, day, channel, currency, cost_minor, impressions, clicks, revision, position)
SELECT DISTINCT ON (stream_id, day, channel, currency) stream_id, day, channel, currency, cost_minor, impressions, clicks,
    revision, position
FROM ad_spend_recorded
ORDER BY stream_id, day, channel, currency, revision DESC, position DESC
ON CONFLICT (campaign_id, day, channel, currency) DO UPDATE SET
    cost_minor = excluded.cost_minor, impressions = excluded.impressions, clicks = excluded.clicks,
    revision = excluded.revision, position = excluded.position
WHERE (excluded.revision, excluded.position) > (spent.revision, spent.position);

-- resources: the last plan of the window for a place for advertising is the one that holds.
INSERT INTO campaign_resources (
    campaign_id, resource_id, channel, form, placement, quantity, budget_minor, currency, starts_at, ends_at, needs_review,
    submit_by, submit_until, status
)
SELECT DISTINCT ON (stream_id, resource_id) stream_id, resource_id, channel, form, placement, quantity, budget_minor,
    currency, starts_at, ends_at, needs_review, submit_by, submit_until, 'planned'
FROM resource_planned
ORDER BY stream_id, resource_id, position DESC
ON CONFLICT (campaign_id, resource_id) DO UPDATE SET
    channel = excluded.channel, form = excluded.form, placement = excluded.placement, quantity = excluded.quantity,
    budget_minor = excluded.budget_minor, currency = excluded.currency, starts_at = excluded.starts_at,
    ends_at = excluded.ends_at, needs_review = excluded.needs_review, submit_by = excluded.submit_by,
    submit_until = excluded.submit_until, status = excluded.status;

-- resources_stand: the last word of the window on how far such a place is; planned again, its review begins anew.
UPDATE campaign_resources AS place SET status = said.status
FROM (
    SELECT DISTINCT ON (stream_id, resource_id) stream_id, resource_id, status FROM (
        SELECT stream_id, resource_id, position, 'planned' AS status FROM resource_planned
        UNION ALL SELECT stream_id, resource_id, position, 'submitted' FROM resource_submitted
        UNION ALL SELECT stream_id, resource_id, position, 'approved' FROM resource_approved
        UNION ALL SELECT stream_id, resource_id, position, 'rejected' FROM resource_rejected
        UNION ALL SELECT stream_id, resource_id, position, 'dropped' FROM resource_dropped
    ) AS each ORDER BY stream_id, resource_id, position DESC
) AS said
WHERE place.campaign_id = said.stream_id AND place.resource_id = said.resource_id;

-- proposed: what the owner said last, and when they were asked last.
UPDATE campaigns AS campaign
SET proposal_status = said.status, proposed_at = coalesce(said.proposed_at, campaign.proposed_at)
FROM (
    SELECT stream_id, (array_agg(status ORDER BY position DESC))[1] AS status,
        (array_agg(proposed_at ORDER BY position DESC) FILTER (WHERE proposed_at IS NOT NULL))[1] AS proposed_at
    FROM (
        SELECT stream_id, position, 'proposed' AS status, occurred_at AS proposed_at FROM campaign_proposed
        UNION ALL SELECT stream_id, position, 'confirmed', NULL FROM campaign_confirmed
        UNION ALL SELECT stream_id, position, 'declined', NULL FROM campaign_declined
    ) AS each
    GROUP BY 1
) AS said
WHERE campaign.campaign_id = said.stream_id;

-- called: until when suppliers may offer something; the last word of the window holds.
UPDATE campaigns AS campaign SET call_until = said.until
FROM (
    SELECT DISTINCT ON (stream_id) stream_id, until FROM (
        SELECT stream_id, position, until FROM supplier_call_opened
        UNION ALL SELECT stream_id, position, NULL FROM supplier_call_closed
    ) AS each ORDER BY stream_id, position DESC
) AS said
WHERE campaign.campaign_id = said.stream_id;

-- offered: what suppliers offer.
INSERT INTO campaign_offers (
    campaign_id, offer_id, supplier_id, sku_id, quantity, unit_cost, currency, offered_at, status, accepted
)
SELECT stream_id, offer_id, supplier_id, sku_id, quantity, unit_cost, currency, occurred_at, 'offered', 0
FROM supply_offered;

-- answered: an offer is answered, or taken back, once.
UPDATE campaign_offers AS offer SET status = said.status, accepted = said.accepted
FROM (
    SELECT stream_id, offer_id, 'accepted' AS status, quantity AS accepted FROM supply_offer_accepted
    UNION ALL SELECT stream_id, offer_id, 'rejected', 0 FROM supply_offer_rejected
    UNION ALL SELECT stream_id, offer_id, 'withdrawn', 0 FROM supply_offer_withdrawn
) AS said
WHERE offer.campaign_id = said.stream_id AND offer.offer_id = said.offer_id;

-- ad_plans: an ad plan begins with its launch.
INSERT INTO campaign_ad_plans (campaign_id, plan_id, channel, status, adjust_by, monitor_by)
SELECT stream_id, plan_id, channel, 'running', adjust_by, monitor_by FROM ad_plan_launched;

-- ad_plans_stand: the last words of the window on whether a plan runs, and until when it is to be adjusted and looked at.
-- Each event says some of the three; what is said may be that nobody has to.
UPDATE campaign_ad_plans AS plan
SET status = coalesce(said.status, plan.status),
    adjust_by = CASE WHEN said.adjusts THEN said.adjust_by ELSE plan.adjust_by END,
    monitor_by = CASE WHEN said.monitors THEN said.monitor_by ELSE plan.monitor_by END
FROM (
    SELECT each.stream_id, each.plan_id,
        (array_agg(each.status ORDER BY each.position DESC) FILTER (WHERE each.status IS NOT NULL))[1] AS status,
        bool_or(each.adjusts) AS adjusts,
        (array_agg(each.adjust_by ORDER BY each.position DESC) FILTER (WHERE each.adjusts))[1] AS adjust_by,
        bool_or(each.monitors) AS monitors,
        (array_agg(each.monitor_by ORDER BY each.position DESC) FILTER (WHERE each.monitors))[1] AS monitor_by
    FROM (
        SELECT stream_id, plan_id, position, 'running' AS status, true AS adjusts, adjust_by, true AS monitors, monitor_by
        FROM ad_plan_resumed
        UNION ALL SELECT stream_id, plan_id, position, 'paused', true, NULL, true, NULL FROM ad_plan_paused
        UNION ALL SELECT stream_id, plan_id, position, NULL, true, adjust_by, false, NULL FROM ad_adjusted
        UNION ALL SELECT stream_id, plan_id, position, NULL, false, NULL, true, monitor_by FROM ad_monitored
        UNION ALL SELECT stream_id, plan_id, position, 'ended', true, NULL, true, NULL FROM ad_plan_ended
    ) AS each
    GROUP BY 1, 2
) AS said
WHERE plan.campaign_id = said.stream_id AND plan.plan_id = said.plan_id;

-- registered: a card begins when its customer is registered.
INSERT INTO customer_card
    (customer_id, store_id, status, registered_at, channel, region, birth_year, referrer_id, changed_at, position)
SELECT stream_id, store_id, 'registered', occurred_at, channel, region, birth_year, referrer_id, recorded_at, position
FROM customer_registered;

-- changed: when anything was last recorded about a customer; the log records nothing earlier than what it has.
UPDATE customer_card AS card SET changed_at = said.changed_at
FROM (
    SELECT stream_id, max(recorded_at) AS changed_at FROM (
        SELECT stream_id, recorded_at FROM customer_registered
        UNION ALL SELECT stream_id, recorded_at FROM contact_card_set
        UNION ALL SELECT stream_id, recorded_at FROM customer_contact_disclosed
        UNION ALL SELECT stream_id, recorded_at FROM consent_set
        UNION ALL SELECT stream_id, recorded_at FROM membership_joined
        UNION ALL SELECT stream_id, recorded_at FROM tier_changed
        UNION ALL SELECT stream_id, recorded_at FROM referral_made
        UNION ALL SELECT stream_id, recorded_at FROM referral_rewarded
        UNION ALL SELECT stream_id, recorded_at FROM points_earned
        UNION ALL SELECT stream_id, recorded_at FROM points_spent
        UNION ALL SELECT stream_id, recorded_at FROM points_returned
        UNION ALL SELECT stream_id, recorded_at FROM points_reversed
        UNION ALL SELECT stream_id, recorded_at FROM points_expired
        UNION ALL SELECT stream_id, recorded_at FROM coupon_granted
        UNION ALL SELECT stream_id, recorded_at FROM coupon_used
        UNION ALL SELECT stream_id, recorded_at FROM coupon_returned
        UNION ALL SELECT stream_id, recorded_at FROM campaign_redeemed
        UNION ALL SELECT stream_id, recorded_at FROM redemption_reversed
        UNION ALL SELECT stream_id, recorded_at FROM spend_credited
        UNION ALL SELECT stream_id, recorded_at FROM spend_debited
        UNION ALL SELECT stream_id, recorded_at FROM customers_merged
        UNION ALL SELECT stream_id, recorded_at FROM customer_merged_into
        UNION ALL SELECT stream_id, recorded_at FROM customer_blocked
        UNION ALL SELECT stream_id, recorded_at FROM customer_unblocked
        UNION ALL SELECT stream_id, recorded_at FROM customer_erased
    ) AS each
    GROUP BY 1
) AS said
WHERE card.customer_id = said.stream_id;

-- referred: who brought a customer, where that was said after the registration.
UPDATE customer_card AS card SET referrer_id = said.referrer_id
FROM (
    SELECT DISTINCT ON (stream_id) stream_id, referrer_id FROM referral_made ORDER BY stream_id, position DESC
) AS said
WHERE card.customer_id = said.stream_id;

-- stands: the last word of the window on whether the customer may act; who is erased or merged stays so.
UPDATE customer_card AS card SET status = said.status
FROM (
    SELECT DISTINCT ON (stream_id) stream_id, status FROM (
        SELECT stream_id, position, 'blocked' AS status, 1 AS weight FROM customer_blocked
        UNION ALL SELECT stream_id, position, 'registered', 1 FROM customer_unblocked
        UNION ALL SELECT stream_id, position, 'merged', 2 FROM customer_merged_into
        UNION ALL SELECT stream_id, position, 'erased', 3 FROM customer_erased
    ) AS each ORDER BY stream_id, weight DESC, position DESC
) AS said
WHERE card.customer_id = said.stream_id AND card.status <> 'erased'
    AND (card.status <> 'merged' OR said.status IN ('merged', 'erased'));

-- merged: which record took this one in.
UPDATE customer_card AS card SET merged_into = said.into_id
FROM (
    SELECT DISTINCT ON (stream_id) stream_id, into_id FROM customer_merged_into ORDER BY stream_id, position DESC
) AS said
WHERE card.customer_id = said.stream_id;

-- erased: when the customer's key was destroyed.
UPDATE customer_card AS card SET erased_at = least(card.erased_at, said.erased_at)
FROM (SELECT stream_id, min(occurred_at) AS erased_at FROM customer_erased GROUP BY 1) AS said
WHERE card.customer_id = said.stream_id;

-- regions: the last region that a contact card of the window names.
UPDATE customer_card AS card SET region = said.region
FROM (
    SELECT DISTINCT ON (stream_id) stream_id, region FROM contact_card_set
    WHERE region IS NOT NULL ORDER BY stream_id, position DESC
) AS said
WHERE card.customer_id = said.stream_id;

-- joined: a member since the first time of joining.
UPDATE customer_card AS card SET member_since = least(card.member_since, said.member_since)
FROM (SELECT stream_id, min(occurred_at) AS member_since FROM membership_joined GROUP BY 1) AS said
WHERE card.customer_id = said.stream_id;

-- tiers: the last tier of the window, by joining, change or merging.
UPDATE customer_card AS card SET tier = said.tier
FROM (
    SELECT DISTINCT ON (stream_id) stream_id, tier FROM (
        SELECT stream_id, position, tier FROM membership_joined
        UNION ALL SELECT stream_id, position, to_tier FROM tier_changed
        UNION ALL SELECT stream_id, position, tier FROM customers_merged WHERE tier IS NOT NULL
    ) AS each ORDER BY stream_id, position DESC
) AS said
WHERE card.customer_id = said.stream_id;

-- points: what was earned, spent, returned, reversed, expired or moved by a merge; a balance may be below zero.
UPDATE customer_card AS card
SET points = card.points + said.points, points_earned = card.points_earned + said.earned,
    points_spent = card.points_spent + said.spent, points_reversed = card.points_reversed + said.reversed,
    points_expired = card.points_expired + said.expired
FROM (
    SELECT stream_id, sum(points) AS points, sum(earned) AS earned, sum(spent) AS spent, sum(reversed) AS reversed,
        sum(expired) AS expired
    FROM (
        SELECT stream_id, amount AS points, amount AS earned, 0 AS spent, 0 AS reversed, 0 AS expired FROM points_earned
        UNION ALL SELECT stream_id, -amount, 0, amount, 0, 0 FROM points_spent
        UNION ALL SELECT stream_id, amount, 0, -amount, 0, 0 FROM points_returned
        UNION ALL SELECT stream_id, -amount, 0, 0, amount, 0 FROM points_reversed
        UNION ALL SELECT stream_id, -amount, 0, 0, 0, amount FROM points_expired
        UNION ALL SELECT stream_id, amount, 0, 0, 0, 0 FROM customers_merged_lots
        UNION ALL SELECT stream_id, -owed, 0, 0, 0, 0 FROM customers_merged
        UNION ALL SELECT stream_id, -amount, 0, 0, 0, 0 FROM customer_merged_into_lots
        UNION ALL SELECT stream_id, owed, 0, 0, 0, 0 FROM customer_merged_into
    ) AS each GROUP BY 1
) AS said
WHERE card.customer_id = said.stream_id;

-- granted: coupons come by grant, or with a customer that was taken in.
INSERT INTO customer_card_coupons (customer_id, coupon_id, code, currency, campaign_id, expires_at, state, position)
SELECT DISTINCT ON (customer_id, coupon_id) customer_id, coupon_id, code, currency, campaign_id, expires_at, 'held',
    position
FROM (
    SELECT stream_id AS customer_id, position, coupon_id, code, currency, campaign_id, expires_at FROM coupon_granted
    UNION ALL SELECT stream_id, position, coupon_id, code, currency, campaign_id, expires_at FROM customers_merged_coupons
) AS each
ORDER BY customer_id, coupon_id, position
ON CONFLICT (customer_id, coupon_id) DO NOTHING;

-- coupons: the last word of the window on each coupon.
UPDATE customer_card_coupons AS coupon SET state = said.state, order_id = said.order_id, position = said.position
FROM (
    SELECT DISTINCT ON (stream_id, coupon_id) stream_id, coupon_id, position, state, order_id FROM (
        SELECT stream_id, position, coupon_id, 'used' AS state, order_id FROM coupon_used
        UNION ALL SELECT stream_id, position, coupon_id, 'held', NULL FROM coupon_returned
        UNION ALL SELECT stream_id, position, coupon_id, 'held', NULL FROM coupon_granted
        UNION ALL SELECT stream_id, position, coupon_id, 'held', NULL FROM customers_merged_coupons
    ) AS each ORDER BY stream_id, coupon_id, position DESC
) AS said
WHERE coupon.customer_id = said.stream_id AND coupon.coupon_id = said.coupon_id;

-- moved: a coupon that a customer held when its record was given up went along; what was said of it later holds.
UPDATE customer_card_coupons AS coupon SET state = 'moved'
FROM (SELECT stream_id, max(position) AS position FROM customer_merged_into GROUP BY 1) AS given_up
WHERE coupon.customer_id = given_up.stream_id AND coupon.state = 'held' AND coupon.position < given_up.position;

-- consents: the last word of the window on each channel.
INSERT INTO customer_card_consents AS consent (customer_id, channel, granted, since)
SELECT DISTINCT ON (stream_id, channel) stream_id, channel, granted, occurred_at
FROM consent_set ORDER BY stream_id, channel, position DESC
ON CONFLICT (customer_id, channel) DO UPDATE SET granted = excluded.granted, since = excluded.since;

-- forgotten: nobody may reach an erased customer any more, whatever was agreed before; nor by a record that was given up,
-- because the one that stays says by what the person may be reached.
DELETE FROM customer_card_consents AS consent USING customer_card AS card
WHERE card.customer_id = consent.customer_id AND (card.erased_at IS NOT NULL OR card.merged_into IS NOT NULL)
    AND consent.customer_id IN (
        SELECT stream_id FROM customer_erased UNION SELECT stream_id FROM customer_merged_into
        UNION SELECT stream_id FROM consent_set
    );

-- sales: what the window's payments and refunds added; sales stay with the record they were made to.
INSERT INTO customer_card_sales AS sales (
    customer_id, store_id, currency, orders, units, gmv_minor, refunds, refunded_minor, first_order_at, last_order_at
)
SELECT customer_id, store_id, currency, sum(orders), sum(units), sum(gmv_minor), sum(refunds), sum(refunded_minor),
    min(paid_at), max(paid_at)
FROM (
    SELECT customer_id, store_id, currency, 1 AS orders, units, goods_minor AS gmv_minor, 0 AS refunds,
        0 AS refunded_minor, occurred_at AS paid_at
    FROM order_paid WHERE customer_id IS NOT NULL
    UNION ALL
    SELECT customer_id, store_id, currency, 0, 0, 0, 1,
        goods_minor + CASE WHEN refund_counts_freight THEN freight_minor ELSE 0 END, NULL
    FROM order_refunded CROSS JOIN rules WHERE customer_id IS NOT NULL
) AS each
GROUP BY 1, 2, 3
ON CONFLICT (customer_id, store_id, currency) DO UPDATE SET
    orders = sales.orders + excluded.orders, units = sales.units + excluded.units,
    gmv_minor = sales.gmv_minor + excluded.gmv_minor, refunds = sales.refunds + excluded.refunds,
    refunded_minor = sales.refunded_minor + excluded.refunded_minor,
    first_order_at = least(sales.first_order_at, excluded.first_order_at),
    last_order_at = greatest(sales.last_order_at, excluded.last_order_at);

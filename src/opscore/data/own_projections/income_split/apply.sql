-- income: a paid order is an income on the store's own day, split by the shares in force on that day.
INSERT INTO income_entries
    (position, order_id, store_id, day, currency, kind, amount_minor, other_share, working_share,
     other_minor, working_minor, purchasing_minor)
SELECT
    paid.position, paid.stream_id, paid.store_id, paid.day, paid.currency, 'income', paid.total_minor,
    rule.other_share, rule.working_share,
    floor(paid.total_minor * rule.other_share), floor(paid.total_minor * rule.working_share),
    paid.total_minor - floor(paid.total_minor * rule.other_share) - floor(paid.total_minor * rule.working_share)
FROM (
    SELECT position, stream_id, store_id, (occurred_at AT TIME ZONE time_zone)::date AS day, currency, total_minor
    FROM order_paid
) AS paid JOIN rules_by_day AS rule ON paid.day >= rule.from_day AND paid.day < rule.until_day;

-- refund: what goes back leaves the funds by the shares of the income it came from; all of it back leaves nothing over.
INSERT INTO income_entries
    (position, order_id, store_id, day, currency, kind, amount_minor, other_share, working_share,
     other_minor, working_minor, purchasing_minor)
SELECT
    refund.position, refund.stream_id, refund.store_id, refund.day, refund.currency, 'refund', -refund.amount_minor,
    refund.other_share, refund.working_share,
    floor(before.minor * refund.other_share) - floor((before.minor + refund.amount_minor) * refund.other_share),
    floor(before.minor * refund.working_share) - floor((before.minor + refund.amount_minor) * refund.working_share),
    -refund.amount_minor
        - floor(before.minor * refund.other_share) + floor((before.minor + refund.amount_minor) * refund.other_share)
        - floor(before.minor * refund.working_share) + floor((before.minor + refund.amount_minor) * refund.working_share)
FROM (
    SELECT
        back.position, back.stream_id, back.store_id, (back.occurred_at AT TIME ZONE back.time_zone)::date AS day,
        back.currency, back.goods_minor + back.freight_minor AS amount_minor, income.other_share, income.working_share,
        sum(back.goods_minor + back.freight_minor) OVER (PARTITION BY back.stream_id ORDER BY back.position)
            AS running_minor
    FROM order_refunded AS back
    -- An order is paid in full once more after it was amended; its shares are those of its first income.
    CROSS JOIN LATERAL (
        SELECT entry.other_share, entry.working_share FROM income_entries AS entry
        WHERE entry.order_id = back.stream_id AND entry.kind = 'income' AND entry.position < back.position
        ORDER BY entry.position LIMIT 1
    ) AS income
) AS refund
-- What went back of the order before: in this window, and in the windows before it.
CROSS JOIN LATERAL (
    SELECT refund.running_minor - refund.amount_minor - coalesce(sum(entry.amount_minor), 0) AS minor
    FROM income_entries AS entry
    WHERE entry.order_id = refund.stream_id AND entry.kind = 'refund' AND entry.position <= :window_from
) AS before;

-- split: the shares of each income, from a moment on.
INSERT INTO income_splits (position, store_id, effective_from, working_share, other_share)
SELECT said.position, said.store_id, said.effective_from, (said.params ->> 'working_share')::numeric,
    (said.params ->> 'other_share')::numeric
FROM policy_set AS said
WHERE said.kind = 'income_split';

-- income: a paid order is an income, goods and freight, divided by the shares that were in force when it was paid.
INSERT INTO fund_entries (
    position, event, store_id, occurred_at, day, currency, order_id, working_share, other_share, amount_minor,
    purchasing_minor, working_minor, other_minor
)
SELECT paid.position, 'OrderPaid', paid.store_id, paid.occurred_at, (paid.occurred_at AT TIME ZONE paid.time_zone)::date,
    paid.currency, paid.stream_id, share.working, share.other, paid.total_minor,
    paid.total_minor - floor(paid.total_minor * share.working) - floor(paid.total_minor * share.other),
    floor(paid.total_minor * share.working), floor(paid.total_minor * share.other)
FROM order_paid AS paid CROSS JOIN rules AS rule
LEFT JOIN LATERAL (
    SELECT split.working_share, split.other_share
    FROM income_splits AS split
    WHERE split.store_id = paid.store_id AND split.position < paid.position
        AND split.effective_from <= paid.occurred_at
    ORDER BY split.effective_from DESC, split.position DESC LIMIT 1
) AS set_by ON true
CROSS JOIN LATERAL (
    SELECT coalesce(set_by.working_share, rule.working_share) AS working,
        coalesce(set_by.other_share, rule.other_share) AS other
) AS share;

-- refund: what goes back leaves the funds by the shares of its income; all of it back leaves nothing over.
INSERT INTO fund_entries (
    position, event, store_id, occurred_at, day, currency, order_id, working_share, other_share, amount_minor,
    purchasing_minor, working_minor, other_minor
)
SELECT refund.position, 'OrderRefunded', refund.store_id, refund.occurred_at, refund.day, refund.currency,
    refund.stream_id, refund.working_share, refund.other_share, -refund.amount_minor,
    -refund.amount_minor + part.working_minor + part.other_minor, -part.working_minor, -part.other_minor
FROM (
    SELECT back.position, back.stream_id, back.store_id, back.occurred_at,
        (back.occurred_at AT TIME ZONE back.time_zone)::date AS day, back.currency,
        back.goods_minor + back.freight_minor AS amount_minor, income.working_share, income.other_share,
        sum(back.goods_minor + back.freight_minor) OVER (PARTITION BY back.stream_id ORDER BY back.position)
            AS running_minor
    FROM order_refunded AS back
    -- An order is paid in full once more after it was amended; its shares are those of its first income.
    CROSS JOIN LATERAL (
        SELECT entry.working_share, entry.other_share
        FROM fund_entries AS entry
        WHERE entry.order_id = back.stream_id AND entry.event = 'OrderPaid' AND entry.position < back.position
        ORDER BY entry.position LIMIT 1
    ) AS income
) AS refund
-- What went back of the order before: in this window, and in the windows before it.
CROSS JOIN LATERAL (
    SELECT refund.running_minor - refund.amount_minor - coalesce(sum(entry.amount_minor), 0) AS minor
    FROM fund_entries AS entry
    WHERE entry.order_id = refund.stream_id AND entry.event = 'OrderRefunded' AND entry.position <= :window_from
) AS before
CROSS JOIN LATERAL (
    SELECT
        floor((before.minor + refund.amount_minor) * refund.working_share)
            - floor(before.minor * refund.working_share) AS working_minor,
        floor((before.minor + refund.amount_minor) * refund.other_share)
            - floor(before.minor * refund.other_share) AS other_minor
) AS part;

-- moved: capital comes in, funds change places, and what the store pays leaves the fund that the rules name.
INSERT INTO fund_entries (
    position, event, store_id, occurred_at, day, currency, order_id, amount_minor, purchasing_minor, working_minor,
    other_minor
)
SELECT said.position, said.event, said.store_id, said.occurred_at,
    (said.occurred_at AT TIME ZONE said.time_zone)::date, said.currency, said.order_id, sum(said.amount_minor),
    coalesce(sum(said.amount_minor) FILTER (WHERE said.fund = 'purchasing'), 0),
    coalesce(sum(said.amount_minor) FILTER (WHERE said.fund = 'working'), 0),
    coalesce(sum(said.amount_minor) FILTER (WHERE said.fund = 'other'), 0)
FROM (
    SELECT put.position, 'CapitalInvested' AS event, put.store_id, put.occurred_at, put.time_zone, put.currency,
        NULL::uuid AS order_id, part.fund, part.amount_minor
    FROM capital_invested AS put CROSS JOIN LATERAL (VALUES
        ('purchasing', put.purchasing_minor), ('working', put.working_minor), ('other', put.other_minor)
    ) AS part (fund, amount_minor)
    UNION ALL
    SELECT move.position, 'FundsMoved', move.store_id, move.occurred_at, move.time_zone, move.currency, NULL, part.fund,
        part.amount_minor
    FROM funds_moved AS move CROSS JOIN LATERAL (VALUES
        (move.from_fund, -move.amount_minor), (move.to_fund, move.amount_minor)
    ) AS part (fund, amount_minor)
    UNION ALL
    -- Less than nothing is what a supplier gave back.
    SELECT paid.position, 'PurchasePaid', paid.store_id, paid.occurred_at, paid.time_zone, paid.currency, NULL,
        'purchasing', -paid.amount_minor
    FROM purchase_paid AS paid
    UNION ALL
    SELECT spent.position, 'ExpenseRecorded', spent.store_id, spent.occurred_at, spent.time_zone, spent.currency, NULL,
        rule.spending_fund, -spent.amount_minor
    FROM expense_recorded AS spent CROSS JOIN rules AS rule
    UNION ALL
    SELECT fee.position, 'ServiceFeePaid', fee.store_id, fee.occurred_at, fee.time_zone, fee.currency, NULL,
        rule.spending_fund, -fee.amount_minor
    FROM service_fee_paid AS fee CROSS JOIN rules AS rule
    UNION ALL
    SELECT given.position, 'CompensationPaid', given.store_id, given.occurred_at, given.time_zone, given.currency,
        given.stream_id, rule.spending_fund, -given.amount_minor
    FROM compensation_paid AS given CROSS JOIN rules AS rule
    UNION ALL
    SELECT paid.position, 'ReturnFreightPaid', paid.store_id, paid.occurred_at, paid.time_zone, paid.currency,
        paid.stream_id, rule.spending_fund, -paid.amount_minor
    FROM return_freight_paid AS paid CROSS JOIN rules AS rule
    UNION ALL
    SELECT fee.position, 'AgreementFeePaid', fee.store_id, fee.occurred_at, fee.time_zone, fee.currency, NULL,
        rule.spending_fund, -fee.amount_minor
    FROM agreement_fee_paid AS fee CROSS JOIN rules AS rule
    UNION ALL
    -- What an agency was paid for time in which it will not work comes back.
    SELECT over.position, 'AgreementEnded', over.store_id, over.occurred_at, over.time_zone, over.currency, NULL,
        rule.spending_fund, over.refund_minor
    FROM agreement_ended AS over CROSS JOIN rules AS rule WHERE over.refund_minor <> 0
    UNION ALL
    -- A courier that pays for a lost parcel makes good what was spent.
    SELECT claim.position, 'CourierClaimSettled', claim.store_id, claim.occurred_at, claim.time_zone, claim.currency,
        claim.stream_id, rule.spending_fund, claim.amount_minor
    FROM courier_claim_settled AS claim CROSS JOIN rules AS rule
    UNION ALL
    SELECT frozen.position, 'DepositFrozen', frozen.store_id, frozen.occurred_at, frozen.time_zone, frozen.currency,
        NULL, rule.deposit_fund, -frozen.amount_minor
    FROM deposit_frozen AS frozen CROSS JOIN rules AS rule
    UNION ALL
    SELECT back.position, 'DepositReleased', back.store_id, back.occurred_at, back.time_zone, back.currency, NULL,
        rule.deposit_fund, back.amount_minor
    FROM deposit_released AS back CROSS JOIN rules AS rule
) AS said
GROUP BY said.position, said.event, said.store_id, said.occurred_at, said.time_zone, said.currency, said.order_id;

-- origins: where an order, or a return of no order we know, came from.
CREATE TABLE origins (
    order_id  uuid PRIMARY KEY,
    channel   text
);

-- agreed_lines: the lines of orders as they were placed, and the campaign that each counts for.
CREATE TABLE agreed_lines (
    order_id     uuid NOT NULL,
    line         bigint NOT NULL,
    sku_id       uuid NOT NULL,
    campaign_id  uuid,
    quantity     numeric NOT NULL,
    counted      boolean NOT NULL,
    PRIMARY KEY (order_id, line)
);

-- agreed_changes: what a line costs from a position on, and what was called off of it there.
CREATE TABLE agreed_changes (
    order_id         uuid NOT NULL,
    line             bigint NOT NULL,
    position         bigint NOT NULL,
    amount_minor     bigint,
    cancelled        numeric NOT NULL,
    cancelled_minor  bigint NOT NULL,
    PRIMARY KEY (order_id, line, position)
);

-- sold: one row for each line of a paid order, at what it cost when it was paid; day and hour are the store's own.
CREATE TABLE sold (
    position      bigint NOT NULL,
    line          bigint NOT NULL,
    order_id      uuid NOT NULL,
    store_id      uuid NOT NULL,
    occurred_at   timestamptz NOT NULL,
    day           date NOT NULL,
    hour          bigint NOT NULL,
    currency      text COLLATE "C" NOT NULL,
    channel       text,
    sku_id        uuid NOT NULL,
    campaign_id   uuid,
    customer_id   uuid,
    units         numeric NOT NULL,
    amount_minor  bigint NOT NULL,
    PRIMARY KEY (position, line)
);

-- sold_days: what a store sold in a window.
CREATE INDEX sold_days ON sold (store_id, day);

-- sold_customers: what a customer bought.
CREATE INDEX sold_customers ON sold (customer_id, store_id);

-- paid: one row for each paid order: what was promised, when it left, whether it was called off first.
CREATE TABLE paid (
    order_id          uuid PRIMARY KEY,
    position          bigint NOT NULL,
    store_id          uuid NOT NULL,
    occurred_at       timestamptz NOT NULL,
    time_zone         text NOT NULL,
    day               date NOT NULL,
    hour              bigint NOT NULL,
    currency          text COLLATE "C" NOT NULL,
    channel           text,
    customer_id       uuid,
    goods_minor       bigint NOT NULL,
    total_minor       bigint NOT NULL,
    due_at            timestamptz NOT NULL,
    hard_at           timestamptz NOT NULL,
    shipped_at        timestamptz,
    shipped_position  bigint,
    cancelled_at      timestamptz
) WITH (fillfactor = 70);

-- paid_days: what was paid in a store in a window.
CREATE INDEX paid_days ON paid (store_id, day);

-- first_orders: the earliest paid order of each customer in each store.
CREATE TABLE first_orders (
    customer_id     uuid NOT NULL,
    store_id        uuid NOT NULL,
    first_at        timestamptz NOT NULL,
    first_position  bigint NOT NULL,
    day             date NOT NULL,
    PRIMARY KEY (customer_id, store_id)
) WITH (fillfactor = 80);

-- refunds: money that went back for goods; place 0 is the whole refund with what no line accounts for.
CREATE TABLE refunds (
    position      bigint NOT NULL,
    place         bigint NOT NULL,
    order_id      uuid NOT NULL,
    store_id      uuid NOT NULL,
    occurred_at   timestamptz NOT NULL,
    day           date NOT NULL,
    hour          bigint NOT NULL,
    sold_day      date,
    sold_hour     bigint,
    currency      text COLLATE "C" NOT NULL,
    channel       text,
    sku_id        uuid,
    campaign_id   uuid,
    customer_id   uuid,
    goods_minor   bigint NOT NULL,
    whole_minor   bigint NOT NULL,
    PRIMARY KEY (position, place)
);

-- refunds_days: what went back in a store in a window.
CREATE INDEX refunds_days ON refunds (store_id, day);

-- refunds_orders: what went back of an order.
CREATE INDEX refunds_orders ON refunds (order_id);

-- users: who registered, and whether the record turned out to be another's.
CREATE TABLE users (
    customer_id      uuid PRIMARY KEY,
    position         bigint NOT NULL,
    store_id         uuid NOT NULL,
    occurred_at      timestamptz NOT NULL,
    day              date NOT NULL,
    hour             bigint NOT NULL,
    channel          text,
    campaign_id      uuid,
    merged_position  bigint,
    merged_at        timestamptz
) WITH (fillfactor = 80);

-- moves: what happened to stock and quotas, and shortages: each with the figure it adds to.
CREATE TABLE moves (
    position     bigint NOT NULL,
    measure      text COLLATE "C" NOT NULL,
    event        text COLLATE "C" NOT NULL,
    store_id     uuid NOT NULL,
    occurred_at  timestamptz NOT NULL,
    day          date NOT NULL,
    hour         bigint NOT NULL,
    sku_id       uuid,
    campaign_id  uuid,
    order_id     uuid,
    amount       numeric NOT NULL,
    PRIMARY KEY (position, measure)
);

-- moves_days: what happened in a store in a window.
CREATE INDEX moves_days ON moves (store_id, measure, day);

-- facts: everything above in one shape; place makes a row of an event unique, due_at says when a promise falls due.
CREATE VIEW facts AS
SELECT line.position, line.line * 100 + 1 AS place, 'OrderPaid' AS event, line.occurred_at, 'sold' AS measure,
    line.store_id, line.day, line.hour, line.currency, line.channel, line.sku_id, line.campaign_id, line.order_id,
    CASE WHEN rule.guest_order_is_buyer THEN coalesce(line.customer_id, line.order_id) ELSE line.customer_id END AS who,
    line.amount_minor::numeric AS amount, NULL::timestamptz AS due_at
FROM sold AS line CROSS JOIN rules AS rule
UNION ALL
SELECT line.position, line.line * 100 + 2, 'OrderPaid', line.occurred_at, 'sold_in_campaigns', line.store_id, line.day,
    line.hour, line.currency, line.channel, line.sku_id, line.campaign_id, line.order_id, line.customer_id,
    line.amount_minor, NULL
FROM sold AS line WHERE line.campaign_id IS NOT NULL
UNION ALL
SELECT line.position, line.line * 100 + 3, 'OrderPaid', line.occurred_at, 'sold_to_returning', line.store_id, line.day,
    line.hour, line.currency, line.channel, line.sku_id, line.campaign_id, line.order_id, line.customer_id,
    line.amount_minor, NULL
FROM sold AS line JOIN first_orders AS began ON began.customer_id = line.customer_id AND began.store_id = line.store_id
WHERE began.first_position <> line.position
UNION ALL
SELECT line.position, line.line * 100 + 4, 'OrderPaid', line.occurred_at, 'units', line.store_id, line.day, line.hour,
    line.currency, line.channel, line.sku_id, line.campaign_id, line.order_id, line.customer_id, line.units, NULL
FROM sold AS line WHERE line.units <> 0
UNION ALL
SELECT line.position, line.line * 100 + 5, 'OrderPaid', line.occurred_at, 'first_order', line.store_id, line.day,
    line.hour, line.currency, line.channel, line.sku_id, line.campaign_id, line.order_id, line.customer_id,
    line.amount_minor, NULL
FROM sold AS line JOIN first_orders AS began ON began.customer_id = line.customer_id AND began.store_id = line.store_id
WHERE began.first_position = line.position
UNION ALL
SELECT line.position, line.line * 100 + 6, 'OrderPaid', line.occurred_at, 'first_order_anywhere', line.store_id,
    line.day, line.hour, line.currency, line.channel, line.sku_id, line.campaign_id, line.order_id, line.customer_id,
    line.amount_minor, NULL
FROM sold AS line WHERE line.position = (
    SELECT began.first_position FROM first_orders AS began WHERE began.customer_id = line.customer_id
    ORDER BY began.first_at, began.first_position LIMIT 1
)
UNION ALL
-- A fully refunded order brings nobody back.
SELECT line.position, line.line * 100 + 7, 'OrderPaid', line.occurred_at, 'kept', line.store_id, line.day, line.hour,
    line.currency, line.channel, line.sku_id, line.campaign_id, line.order_id, line.customer_id, line.amount_minor, NULL
FROM sold AS line JOIN paid AS bill ON bill.order_id = line.order_id
WHERE line.customer_id IS NOT NULL AND greatest(bill.goods_minor, 1) > (
    SELECT coalesce(sum(back.goods_minor), 0) FROM refunds AS back WHERE back.order_id = line.order_id
)
UNION ALL
SELECT bill.position, 8, 'OrderPaid', bill.occurred_at, 'paid_in_full', bill.store_id, bill.day, bill.hour, bill.currency,
    bill.channel, NULL, NULL, bill.order_id, bill.customer_id, bill.total_minor, NULL
FROM paid AS bill
UNION ALL
SELECT back.position, back.place * 100 + 9, 'OrderRefunded', back.occurred_at, 'refunded', back.store_id, back.day,
    back.hour, back.currency, back.channel, back.sku_id, back.campaign_id, back.order_id, back.customer_id,
    back.goods_minor, NULL
FROM refunds AS back WHERE back.goods_minor <> 0
UNION ALL
SELECT back.position, back.place * 100 + 10, 'OrderRefunded', back.occurred_at, 'refunded_of_sale', back.store_id,
    back.sold_day, back.sold_hour, back.currency, back.channel, back.sku_id, back.campaign_id, back.order_id,
    back.customer_id, back.goods_minor, NULL
FROM refunds AS back WHERE back.goods_minor <> 0 AND back.sold_day IS NOT NULL
UNION ALL
SELECT back.position, 11, 'OrderRefunded', back.occurred_at, 'given_back', back.store_id, back.day, back.hour,
    back.currency, back.channel, NULL, NULL, back.order_id, back.customer_id, back.whole_minor, NULL
FROM refunds AS back WHERE back.place = 0
UNION ALL
SELECT person.position, 12, 'CustomerRegistered', person.occurred_at, 'registered', person.store_id, person.day,
    person.hour, NULL, person.channel, NULL, person.campaign_id, NULL, person.customer_id, 1, NULL
FROM users AS person
UNION ALL
-- A merged duplicate is taken off on the day on which it had been counted.
SELECT person.merged_position, 13, 'CustomerMergedInto', person.merged_at, 'registered', person.store_id, person.day,
    person.hour, NULL, person.channel, NULL, person.campaign_id, NULL, person.customer_id, -1, NULL
FROM users AS person WHERE person.merged_position IS NOT NULL
UNION ALL
SELECT bill.position, 14, 'OrderPaid', bill.occurred_at, 'due', bill.store_id,
    (bill.due_at AT TIME ZONE bill.time_zone)::date, extract(hour FROM bill.due_at AT TIME ZONE bill.time_zone)::bigint,
    bill.currency, bill.channel, NULL, NULL, bill.order_id, bill.customer_id, 1, bill.due_at
FROM paid AS bill WHERE bill.cancelled_at IS NULL OR bill.cancelled_at > bill.due_at
UNION ALL
SELECT bill.shipped_position, 15, 'OrderShipped', bill.shipped_at, 'shipped_in_time', bill.store_id,
    (bill.due_at AT TIME ZONE bill.time_zone)::date, extract(hour FROM bill.due_at AT TIME ZONE bill.time_zone)::bigint,
    bill.currency, bill.channel, NULL, NULL, bill.order_id, bill.customer_id, 1, bill.due_at
FROM paid AS bill
WHERE bill.shipped_at <= bill.due_at AND (bill.cancelled_at IS NULL OR bill.cancelled_at > bill.due_at)
UNION ALL
SELECT bill.position, 16, 'OrderPaid', bill.occurred_at, 'hard_due', bill.store_id,
    (bill.hard_at AT TIME ZONE bill.time_zone)::date,
    extract(hour FROM bill.hard_at AT TIME ZONE bill.time_zone)::bigint,
    bill.currency, bill.channel, NULL, NULL, bill.order_id, bill.customer_id, 1, bill.hard_at
FROM paid AS bill WHERE bill.cancelled_at IS NULL OR bill.cancelled_at > bill.hard_at
UNION ALL
SELECT bill.position, 17, 'OrderPaid', bill.occurred_at, 'hard_broken', bill.store_id,
    (bill.hard_at AT TIME ZONE bill.time_zone)::date,
    extract(hour FROM bill.hard_at AT TIME ZONE bill.time_zone)::bigint,
    bill.currency, bill.channel, NULL, NULL, bill.order_id, bill.customer_id, 1, bill.hard_at
FROM paid AS bill
WHERE (bill.cancelled_at IS NULL OR bill.cancelled_at > bill.hard_at)
    AND (bill.shipped_at IS NULL OR bill.shipped_at > bill.hard_at)
UNION ALL
SELECT bill.shipped_position, 18, 'OrderShipped', bill.shipped_at, 'ship_seconds', bill.store_id, bill.day, bill.hour,
    bill.currency, bill.channel, NULL, NULL, bill.order_id, bill.customer_id,
    extract(epoch FROM bill.shipped_at - bill.occurred_at), NULL
FROM paid AS bill WHERE bill.shipped_at IS NOT NULL
UNION ALL
SELECT move.position, 19 + (move.measure = 'counted_book')::int, move.event, move.occurred_at, move.measure,
    move.store_id, move.day, move.hour, NULL, origin.channel, move.sku_id, move.campaign_id, move.order_id, NULL,
    move.amount, NULL
FROM moves AS move LEFT JOIN origins AS origin ON origin.order_id = move.order_id;

-- origins: every order as it was placed, and every return of no order we know (a return sells nothing).
CREATE TABLE origins (
    order_id          uuid PRIMARY KEY,
    position          bigint NOT NULL,
    store_id          uuid NOT NULL,
    occurred_at       timestamptz NOT NULL,
    day               date NOT NULL,
    hour              bigint NOT NULL,
    currency          text COLLATE "C" NOT NULL,
    channel           text,
    -- By which way and with what the buyer came; none where nobody knows. What happens to the order is told apart by both.
    source            text COLLATE "C",
    device            text COLLATE "C",
    customer_id       uuid,
    is_order          boolean NOT NULL,
    -- Called off as a whole before it was paid.
    dropped_position  bigint,
    dropped_at        timestamptz,
    dropped_by        text COLLATE "C"
);

-- origins_days: what was placed in a store in a window.
CREATE INDEX origins_days ON origins (store_id, day);

-- origins_customers: when a customer ordered.
CREATE INDEX origins_customers ON origins (customer_id, day);

-- agreed_lines: the lines of orders as they were placed, and the campaign that each counts for.
CREATE TABLE agreed_lines (
    order_id      uuid NOT NULL,
    line          bigint NOT NULL,
    sku_id        uuid NOT NULL,
    campaign_id   uuid,
    quantity      numeric NOT NULL,
    amount_minor  bigint NOT NULL,
    counted       boolean NOT NULL,
    service       boolean NOT NULL,
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

-- stand_ins: the line of an order that was sold where another line stands in for it, after a shortage.
CREATE TABLE stand_ins (
    order_id   uuid NOT NULL,
    line       bigint NOT NULL,
    sold_line  bigint NOT NULL,
    PRIMARY KEY (order_id, line)
);

-- waivers: the freight of an order that a campaign took over.
CREATE TABLE waivers (
    order_id      uuid NOT NULL,
    place         bigint NOT NULL,
    campaign_id   uuid NOT NULL,
    amount_minor  bigint NOT NULL,
    PRIMARY KEY (order_id, place)
);

-- sold: one row for each line of a paid order, at what it cost when it was paid; day and hour are the store's own. Line 0 is
-- the freight, where GMV counts it (rule gmv_counts_freight); it is of no article.
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
    sku_id        uuid,
    campaign_id   uuid,
    customer_id   uuid,
    units         numeric NOT NULL,
    amount_minor  bigint NOT NULL,
    -- What all goods of the order cost.
    goods_minor   bigint NOT NULL,
    PRIMARY KEY (position, line)
);

-- sold_days: what a store sold in a window.
CREATE INDEX sold_days ON sold (store_id, day);

-- sold_skus: how an article sold in a window.
CREATE INDEX sold_skus ON sold (sku_id, day);

-- paid: one row for each paid order: what was promised, when it left, whether it was called off first.
CREATE TABLE paid (
    order_id            uuid PRIMARY KEY,
    position            bigint NOT NULL,
    store_id            uuid NOT NULL,
    occurred_at         timestamptz NOT NULL,
    time_zone           text NOT NULL,
    day                 date NOT NULL,
    hour                bigint NOT NULL,
    currency            text COLLATE "C" NOT NULL,
    channel             text,
    customer_id         uuid,
    goods_minor         bigint NOT NULL,
    total_minor         bigint NOT NULL,
    due_at              timestamptz NOT NULL,
    hard_at             timestamptz NOT NULL,
    -- Whether anything is to be sent at all: services are not.
    to_ship             boolean NOT NULL,
    -- When its last parcel left; and when nothing more of it was owed, which may have been later, by a cancellation.
    shipped_at          timestamptz,
    settled_at          timestamptz,
    settled_position    bigint,
    settled_by          text COLLATE "C",
    cancelled_at        timestamptz,
    cancelled_position  bigint,
    completed_at        timestamptz,
    completed_position  bigint,
    -- The store's own days of both promises.
    due_day             date NOT NULL GENERATED ALWAYS AS ((due_at AT TIME ZONE time_zone)::date) STORED,
    hard_day            date NOT NULL GENERATED ALWAYS AS ((hard_at AT TIME ZONE time_zone)::date) STORED
) WITH (fillfactor = 70);

-- paid_due_days: what a store had promised for a window.
CREATE INDEX paid_due_days ON paid (store_id, due_day);

-- paid_hard_days: what a store had promised for a window at the latest.
CREATE INDEX paid_hard_days ON paid (store_id, hard_day);

-- paid_days: what was paid in a store in a window.
CREATE INDEX paid_days ON paid (store_id, day);

-- paid_customers: when a customer paid.
CREATE INDEX paid_customers ON paid (customer_id, day);

-- first_orders: what was known as the earliest paid order of a customer in a store, from a position until another.
CREATE TABLE first_orders (
    customer_id     uuid NOT NULL,
    store_id        uuid NOT NULL,
    first_at        timestamptz NOT NULL,
    first_position  bigint NOT NULL,
    day             date NOT NULL,
    until_position  bigint NOT NULL DEFAULT 9223372036854775807,
    PRIMARY KEY (customer_id, store_id, first_position)
) WITH (fillfactor = 80);

-- first_orders_days: who began in a store in a window.
CREATE INDEX first_orders_days ON first_orders (store_id, day);

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
    -- What net sales lose: the goods, and at place 0 the freight where the rule refund_counts_freight says so.
    net_minor     bigint NOT NULL,
    whole_minor   bigint NOT NULL,
    PRIMARY KEY (position, place)
);

-- refunds_days: what went back in a store in a window.
CREATE INDEX refunds_days ON refunds (store_id, day);

-- refunds_orders: what went back of an order.
CREATE INDEX refunds_orders ON refunds (order_id);

-- assists: who of the staff helped the buyer of an order, from a position on until somebody else was named.
CREATE TABLE assists (
    order_id        uuid NOT NULL,
    position        bigint NOT NULL,
    until_position  bigint NOT NULL,
    -- None: it was taken back that anybody did.
    agent           text COLLATE "C",
    PRIMARY KEY (order_id, position)
);

-- return_cases: when somebody asked to send goods back, and when it was decided what becomes of them.
CREATE TABLE return_cases (
    return_id        uuid PRIMARY KEY,
    order_id         uuid NOT NULL,
    store_id         uuid NOT NULL,
    position         bigint NOT NULL,
    asked_at         timestamptz NOT NULL,
    day              date NOT NULL,
    hour             bigint NOT NULL,
    closed_position  bigint,
    closed_at        timestamptz,
    closed_by        text COLLATE "C",
    reason           text COLLATE "C" NOT NULL
);

-- asked_back: the units of each line that somebody wanted to send back, and why they said so.
CREATE TABLE asked_back (
    position     bigint NOT NULL,
    place        bigint NOT NULL,
    order_id     uuid NOT NULL,
    store_id     uuid NOT NULL,
    occurred_at  timestamptz NOT NULL,
    day          date NOT NULL,
    hour         bigint NOT NULL,
    sku_id       uuid NOT NULL,
    reason       text COLLATE "C" NOT NULL,
    quantity     numeric NOT NULL,
    PRIMARY KEY (position, place)
);

-- asked_back_days: what a store was asked to take back in a window.
CREATE INDEX asked_back_days ON asked_back (store_id, day);

-- users: who registered, and whether the record turned out to be another's.
CREATE TABLE users (
    customer_id      uuid PRIMARY KEY,
    position         bigint NOT NULL,
    store_id         uuid NOT NULL,
    occurred_at      timestamptz NOT NULL,
    time_zone        text NOT NULL,
    day              date NOT NULL,
    hour             bigint NOT NULL,
    channel          text,
    campaign_id      uuid,
    merged_position  bigint,
    merged_at        timestamptz
) WITH (fillfactor = 80);

-- users_days: who registered in a store in a window.
CREATE INDEX users_days ON users (store_id, day);

-- mergers: which record was given up for which; the first merger of a record counts.
CREATE TABLE mergers (
    customer_id  uuid PRIMARY KEY,
    into_id      uuid NOT NULL,
    position     bigint NOT NULL
);

-- persons: whose each record of a merger was known to be, from a position until another, its own at first.
CREATE TABLE persons (
    customer_id     uuid NOT NULL,
    person_id       uuid NOT NULL,
    since_position  bigint NOT NULL,
    until_position  bigint NOT NULL,
    PRIMARY KEY (customer_id, since_position),
    -- All records of a person are moved together.
    UNIQUE (person_id, customer_id, since_position)
);

-- coupons: which coupon was put into whose hands, and for which campaign.
CREATE TABLE coupons (
    coupon_id    uuid PRIMARY KEY,
    customer_id  uuid NOT NULL,
    campaign_id  uuid,
    position     bigint NOT NULL,
    store_id     uuid NOT NULL,
    occurred_at  timestamptz NOT NULL,
    day          date NOT NULL,
    hour         bigint NOT NULL
);

-- coupon_uses: which coupon was used on which order, until it came back.
CREATE TABLE coupon_uses (
    position        bigint PRIMARY KEY,
    until_position  bigint NOT NULL DEFAULT 9223372036854775807,
    coupon_id       uuid NOT NULL,
    order_id        uuid NOT NULL,
    customer_id     uuid NOT NULL,
    store_id        uuid NOT NULL,
    occurred_at     timestamptz NOT NULL,
    day             date NOT NULL,
    hour            bigint NOT NULL,
    -- A coupon that comes back looks for its use.
    UNIQUE (coupon_id, order_id, position)
);

-- moves: what happened to stock and quotas, shortages, freight and deposits: each with the figure it adds to.
CREATE TABLE moves (
    position     bigint NOT NULL,
    measure      text COLLATE "C" NOT NULL,
    event        text COLLATE "C" NOT NULL,
    store_id     uuid NOT NULL,
    occurred_at  timestamptz NOT NULL,
    day          date NOT NULL,
    hour         bigint NOT NULL,
    currency     text COLLATE "C",
    sku_id       uuid,
    campaign_id  uuid,
    order_id     uuid,
    location_id  uuid,
    amount       numeric NOT NULL,
    PRIMARY KEY (position, measure)
);

-- moves_days: what happened in a store in a window.
CREATE INDEX moves_days ON moves (measure, store_id, day);

-- budgets: what a campaign may cost, from a position until another.
CREATE TABLE budgets (
    campaign_id     uuid NOT NULL,
    position        bigint NOT NULL,
    until_position  bigint NOT NULL,
    store_id        uuid NOT NULL,
    occurred_at     timestamptz NOT NULL,
    day             date NOT NULL,
    currency        text COLLATE "C" NOT NULL,
    amount_minor    bigint NOT NULL,
    PRIMARY KEY (campaign_id, position)
);

-- sales_targets: what a store is to sell in a month, and by which measure, from a position until another.
CREATE TABLE sales_targets (
    store_id        uuid NOT NULL,
    month           date NOT NULL,
    position        bigint NOT NULL,
    until_position  bigint NOT NULL,
    occurred_at     timestamptz NOT NULL,
    currency        text COLLATE "C" NOT NULL,
    measure         text COLLATE "C" NOT NULL,
    amount_minor    bigint NOT NULL,
    PRIMARY KEY (store_id, month, position)
);

-- ad_windows: the times in which an ad plan was to be adjusted, as each came to its end, and whether it was.
CREATE TABLE ad_windows (
    position     bigint PRIMARY KEY,
    event        text COLLATE "C" NOT NULL,
    campaign_id  uuid NOT NULL,
    store_id     uuid NOT NULL,
    occurred_at  timestamptz NOT NULL,
    day          date NOT NULL,
    hour         bigint NOT NULL,
    kept         boolean NOT NULL
);

-- schedules: when a campaign was known to start, from a position until another; the day is the store's own.
CREATE TABLE schedules (
    campaign_id     uuid NOT NULL,
    position        bigint NOT NULL,
    until_position  bigint NOT NULL,
    day             date NOT NULL,
    hour            bigint NOT NULL,
    PRIMARY KEY (campaign_id, position)
);

-- forecasts: what was expected of a campaign, from a position until another.
CREATE TABLE forecasts (
    campaign_id     uuid NOT NULL,
    position        bigint NOT NULL,
    until_position  bigint NOT NULL,
    store_id        uuid NOT NULL,
    occurred_at     timestamptz NOT NULL,
    currency        text COLLATE "C" NOT NULL,
    visitors        bigint NOT NULL,
    conversion      numeric NOT NULL,
    units           numeric NOT NULL,
    gmv_minor       bigint NOT NULL,
    PRIMARY KEY (campaign_id, position)
);

-- visits: what counts as somebody being active, and on which day.
CREATE VIEW visits AS
SELECT one.customer_id, one.store_id, one.day, one.hour, one.position, 'OrderPlaced' AS event, one.occurred_at,
    one.order_id, one.currency, one.channel
FROM origins AS one CROSS JOIN rules AS rule
WHERE one.is_order AND rule.ordering_is_activity AND one.customer_id IS NOT NULL
UNION ALL
SELECT bill.customer_id, bill.store_id, bill.day, bill.hour, bill.position, 'OrderPaid', bill.occurred_at,
    bill.order_id, bill.currency, bill.channel
FROM paid AS bill CROSS JOIN rules AS rule
WHERE rule.paying_is_activity AND bill.customer_id IS NOT NULL;

-- parcels: when a parcel left, on the store's own day, and when it arrived.
CREATE TABLE parcels (
    parcel_id           uuid NOT NULL,
    order_id            uuid NOT NULL,
    store_id            uuid NOT NULL,
    position            bigint NOT NULL,
    shipped_at          timestamptz NOT NULL,
    day                 date NOT NULL,
    hour                bigint NOT NULL,
    delivered_position  bigint,
    delivered_at        timestamptz,
    PRIMARY KEY (order_id, parcel_id)
);

-- parcels_days: what left a store in a window.
CREATE INDEX parcels_days ON parcels (store_id, day);

-- currencies: which currency each store has.
CREATE TABLE currencies (
    store_id  uuid PRIMARY KEY,
    position  bigint NOT NULL,
    currency  text COLLATE "C" NOT NULL
);

-- point_values: what a point is worth in a store from a day on, the store's own.
CREATE TABLE point_values (
    position        bigint PRIMARY KEY,
    store_id        uuid NOT NULL,
    occurred_at     timestamptz NOT NULL,
    effective_from  timestamptz NOT NULL,
    day             date NOT NULL,
    value_minor     bigint NOT NULL
);

-- tiers: which tier a customer was in from a position until another, at which the next tier began or the record ended.
CREATE TABLE tiers (
    customer_id     uuid NOT NULL,
    position        bigint NOT NULL,
    store_id        uuid NOT NULL,
    occurred_at     timestamptz NOT NULL,
    day             date NOT NULL,
    hour            bigint NOT NULL,
    event           text COLLATE "C" NOT NULL,
    source          text COLLATE "C",
    -- None once the record was given up for another.
    tier            text COLLATE "C",
    until_position  bigint NOT NULL,
    until_at        timestamptz,
    until_day       date,
    until_hour      bigint,
    until_event     text COLLATE "C",
    PRIMARY KEY (customer_id, position)
) WITH (fillfactor = 80);

-- referrals: whom somebody else brought, by the first word of it.
CREATE TABLE referrals (
    customer_id  uuid PRIMARY KEY,
    position     bigint NOT NULL,
    store_id     uuid NOT NULL,
    occurred_at  timestamptz NOT NULL,
    day          date NOT NULL,
    hour         bigint NOT NULL,
    event        text COLLATE "C" NOT NULL
);

-- price_checks: whether a campaign's prices were found as planned, and whether it was looked at for the first time.
CREATE TABLE price_checks (
    position     bigint PRIMARY KEY,
    campaign_id  uuid NOT NULL,
    store_id     uuid NOT NULL,
    occurred_at  timestamptz NOT NULL,
    day          date NOT NULL,
    hour         bigint NOT NULL,
    passed       boolean NOT NULL,
    is_first     boolean NOT NULL,
    -- Whether a campaign was checked before.
    UNIQUE (campaign_id, position)
);

-- campaign_lines: which article takes part in which campaign, from a position on until it is taken out of it.
CREATE TABLE campaign_lines (
    campaign_id     uuid NOT NULL,
    sku_id          uuid NOT NULL,
    position        bigint NOT NULL,
    until_position  bigint NOT NULL,
    PRIMARY KEY (campaign_id, sku_id, position)
);

-- campaign_turns: when a campaign started and when it ended.
CREATE TABLE campaign_turns (
    position     bigint PRIMARY KEY,
    campaign_id  uuid NOT NULL,
    store_id     uuid NOT NULL,
    occurred_at  timestamptz NOT NULL,
    day          date NOT NULL,
    hour         bigint NOT NULL,
    ended        boolean NOT NULL
);

-- disputes: what somebody complained about, when they were answered, whether it was arbitrated, and when it was over.
CREATE TABLE disputes (
    dispute_id           uuid PRIMARY KEY,
    order_id             uuid NOT NULL,
    store_id             uuid NOT NULL,
    position             bigint NOT NULL,
    opened_at            timestamptz NOT NULL,
    day                  date NOT NULL,
    hour                 bigint NOT NULL,
    accepted_position    bigint,
    accepted_at          timestamptz,
    -- Seconds for which the customer had an offer to answer.
    waited               numeric NOT NULL DEFAULT 0,
    arbitrated_position  bigint,
    arbitrated_at        timestamptz,
    decided_for          text COLLATE "C",
    closed_position      bigint,
    closed_at            timestamptz,
    closed_by            text COLLATE "C"
) WITH (fillfactor = 80);

-- disputes_days: what a store was complained to in a window.
CREATE INDEX disputes_days ON disputes (store_id, day);

-- disputed_units: the article of each line that a complaint is about; place 0, and none, where it is about the order.
CREATE TABLE disputed_units (
    position     bigint NOT NULL,
    place        bigint NOT NULL,
    order_id     uuid NOT NULL,
    store_id     uuid NOT NULL,
    occurred_at  timestamptz NOT NULL,
    day          date NOT NULL,
    hour         bigint NOT NULL,
    sku_id       uuid,
    PRIMARY KEY (position, place)
);

-- disputed_units_days: what a store was complained to about in a window.
CREATE INDEX disputed_units_days ON disputed_units (store_id, day);

-- reviews: what buyers think of what they bought, when they were answered first, and whether that was found malicious.
CREATE TABLE reviews (
    order_id          uuid NOT NULL,
    line              bigint NOT NULL,
    store_id          uuid NOT NULL,
    position          bigint NOT NULL,
    posted_at         timestamptz NOT NULL,
    day               date NOT NULL,
    hour              bigint NOT NULL,
    sku_id            uuid NOT NULL,
    score             bigint NOT NULL,
    reply_by          timestamptz NOT NULL,
    replied_position  bigint,
    replied_at        timestamptz,
    hidden_position   bigint,
    hidden_at         timestamptz,
    PRIMARY KEY (order_id, line)
) WITH (fillfactor = 80);

-- reviews_days: what buyers thought in a window.
CREATE INDEX reviews_days ON reviews (store_id, day);

-- reviews_skus: what buyers thought of an article in a window.
CREATE INDEX reviews_skus ON reviews (sku_id, day);

-- compensations: what was paid on top of an order, and who bears it.
CREATE TABLE compensations (
    position      bigint PRIMARY KEY,
    order_id      uuid NOT NULL,
    store_id      uuid NOT NULL,
    occurred_at   timestamptz NOT NULL,
    day           date NOT NULL,
    hour          bigint NOT NULL,
    currency      text COLLATE "C" NOT NULL,
    borne_by      text COLLATE "C" NOT NULL,
    amount_minor  bigint NOT NULL
);

-- losses: which parcels were lost (1), and which of them were found (-1).
CREATE TABLE losses (
    position     bigint PRIMARY KEY,
    order_id     uuid NOT NULL,
    parcel_id    uuid NOT NULL,
    event        text COLLATE "C" NOT NULL,
    occurred_at  timestamptz NOT NULL,
    amount       bigint NOT NULL
);

-- courier_claims: what was claimed for a lost parcel, and what the courier paid.
CREATE TABLE courier_claims (
    order_id          uuid NOT NULL,
    parcel_id         uuid NOT NULL,
    position          bigint NOT NULL,
    store_id          uuid NOT NULL,
    filed_at          timestamptz NOT NULL,
    day               date NOT NULL,
    hour              bigint NOT NULL,
    currency          text COLLATE "C" NOT NULL,
    amount_minor      bigint NOT NULL,
    settled_position  bigint,
    settled_at        timestamptz,
    recovered_minor   bigint,
    PRIMARY KEY (order_id, parcel_id)
);

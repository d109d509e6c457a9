-- customer_card: one row for each customer.
CREATE TABLE customer_card (
    customer_id      uuid PRIMARY KEY,
    store_id         uuid,
    status           text COLLATE "C",
    merged_into      uuid,
    registered_at    timestamptz,
    channel          text,
    region           text,
    birth_year       bigint,
    referrer_id      uuid,
    member_since     timestamptz,
    tier             text COLLATE "C",
    points           bigint NOT NULL DEFAULT 0,
    points_earned    bigint NOT NULL DEFAULT 0,
    points_spent     bigint NOT NULL DEFAULT 0,
    points_reversed  bigint NOT NULL DEFAULT 0,
    points_expired   bigint NOT NULL DEFAULT 0,
    erased_at        timestamptz,
    -- When the last event of any kind was recorded about this customer.
    changed_at       timestamptz NOT NULL,
    position         bigint NOT NULL
) WITH (fillfactor = 50);

-- customer_card_store: the customers of a store, latest first.
CREATE INDEX customer_card_store ON customer_card (store_id, registered_at DESC, customer_id DESC);

-- customer_card_latest: the customers of all stores, or of several, latest first.
CREATE INDEX customer_card_latest ON customer_card (registered_at DESC, customer_id DESC);

-- customer_card_changed: the customers of all stores, or of several, in the order in which they last changed.
CREATE INDEX customer_card_changed ON customer_card (changed_at, customer_id);

-- customer_card_merged: the records that a customer took in.
CREATE INDEX customer_card_merged ON customer_card (merged_into) WHERE merged_into IS NOT NULL;

-- customer_card_sales: what a customer bought, in each store and currency.
CREATE TABLE customer_card_sales (
    customer_id     uuid NOT NULL,
    store_id        uuid NOT NULL,
    currency        text COLLATE "C" NOT NULL,
    orders          bigint NOT NULL,
    units           numeric NOT NULL,
    gmv_minor       bigint NOT NULL,
    refunds         bigint NOT NULL,
    refunded_minor  bigint NOT NULL,
    first_order_at  timestamptz,
    last_order_at   timestamptz,
    PRIMARY KEY (customer_id, store_id, currency)
) WITH (fillfactor = 50);

-- customer_card_sales_store: what a store sold in a currency, for lists that sort its customers by it.
CREATE INDEX customer_card_sales_store ON customer_card_sales (store_id, currency);

-- customer_card_coupons: the coupons that a customer holds or has used.
CREATE TABLE customer_card_coupons (
    customer_id  uuid NOT NULL,
    coupon_id    uuid NOT NULL,
    code         text COLLATE "C" NOT NULL,
    currency     text COLLATE "C" NOT NULL,
    campaign_id  uuid,
    expires_at   timestamptz,
    state        text COLLATE "C" NOT NULL,
    order_id     uuid,
    position     bigint NOT NULL,
    PRIMARY KEY (customer_id, coupon_id)
) WITH (fillfactor = 50);

-- customer_card_consents: by which channel a customer agreed to be reached.
CREATE TABLE customer_card_consents (
    customer_id  uuid NOT NULL,
    channel      text COLLATE "C" NOT NULL,
    granted      boolean NOT NULL,
    since        timestamptz NOT NULL,
    PRIMARY KEY (customer_id, channel)
);

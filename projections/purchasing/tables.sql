-- suppliers: who wants to deliver to a store, how far it is, and what is frozen of it.
CREATE TABLE suppliers (
    supplier_id    uuid PRIMARY KEY,
    store_id       uuid NOT NULL,
    company        text NOT NULL,
    kind           text COLLATE "C" NOT NULL,
    status         text COLLATE "C" NOT NULL,
    applied_at     timestamptz NOT NULL,
    terms_at       timestamptz,
    -- Known once terms are agreed; the currency is that of the store.
    currency       text COLLATE "C",
    deposit_minor  bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

-- articles: what a purchase needs to know of its article; the home store is the one that it is bought for.
CREATE TABLE articles (
    sku_id    uuid PRIMARY KEY,
    store_id  uuid NOT NULL,
    code      text COLLATE "C" NOT NULL,
    name      text NOT NULL,
    unit      text NOT NULL,
    currency  text COLLATE "C" NOT NULL,
    -- Minor units in one unit of the currency: 100 pence in a pound.
    scale     numeric NOT NULL,
    -- Whether stock is kept of it at all; how many decimal places its quantities have.
    stocked   boolean NOT NULL,
    places    bigint NOT NULL,
    -- At how many sellable units it is low, and for how many days it is to last; null where nobody said.
    low_line    numeric,
    cover_days  bigint,
    retired     boolean NOT NULL DEFAULT false
);

-- purchases: what was ordered of a supplier, and how much of it came, was called off and was paid.
CREATE TABLE purchases (
    purchase_id       uuid PRIMARY KEY,
    sku_id            uuid NOT NULL,
    store_id          uuid NOT NULL,
    supplier_id       uuid NOT NULL,
    ordered_at        timestamptz NOT NULL,
    -- The day and the hour of the store on which it was ordered.
    day               date NOT NULL,
    hour              bigint NOT NULL,
    quantity          numeric NOT NULL,
    unit_cost         numeric NOT NULL,
    best_quote_cost   numeric,
    due_on            date NOT NULL,
    due_by            timestamptz NOT NULL,
    document          text,
    received          numeric NOT NULL DEFAULT 0,
    -- Of these, units that came before the day was over on which they were due.
    received_in_time  numeric NOT NULL DEFAULT 0,
    cancelled         numeric NOT NULL DEFAULT 0,
    paid_minor        bigint NOT NULL DEFAULT 0,
    last_received_at  timestamptz
) WITH (fillfactor = 50);

-- purchases_due: purchases by when they are due.
CREATE INDEX purchases_due ON purchases (due_by, purchase_id);

-- purchases_suppliers: what is ordered of a supplier.
CREATE INDEX purchases_suppliers ON purchases (supplier_id, due_by);

-- purchases_skus: what is ordered of an article.
CREATE INDEX purchases_skus ON purchases (sku_id, due_by);

-- purchase_lines: each event of a purchase, with what it adds: units ordered, received or called off, money paid.
CREATE TABLE purchase_lines (
    position     bigint PRIMARY KEY,
    purchase_id  uuid NOT NULL,
    event        text COLLATE "C" NOT NULL,
    occurred_at  timestamptz NOT NULL,
    ordered      numeric NOT NULL,
    received     numeric NOT NULL,
    cancelled    numeric NOT NULL,
    paid_minor   bigint NOT NULL
);

-- purchase_lines_purchase: the events of a purchase.
CREATE INDEX purchase_lines_purchase ON purchase_lines (purchase_id, position);

-- inspections: what was found of units of a batch, and who had delivered them where that is known.
CREATE TABLE inspections (
    position     bigint PRIMARY KEY,
    sku_id       uuid NOT NULL,
    store_id     uuid NOT NULL,
    supplier_id  uuid,
    batch        text COLLATE "C" NOT NULL,
    occurred_at  timestamptz NOT NULL,
    day          date NOT NULL,
    hour         bigint NOT NULL,
    accepted     numeric NOT NULL,
    failed       numeric NOT NULL
);

-- quotes: for what a supplier delivers an article, from a quantity on; its last word.
CREATE TABLE quotes (
    sku_id        uuid NOT NULL,
    supplier_id   uuid NOT NULL,
    min_quantity  numeric NOT NULL,
    store_id      uuid NOT NULL,
    unit_cost     numeric NOT NULL,
    valid_until   date,
    quoted_at     timestamptz NOT NULL,
    position      bigint NOT NULL,
    PRIMARY KEY (sku_id, supplier_id, min_quantity)
);

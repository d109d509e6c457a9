-- stock_skus: what a ledger line needs to know of its SKU; `store_id` is the home store, by which access is decided.
CREATE TABLE stock_skus (
    sku_id        uuid PRIMARY KEY,
    store_id      uuid NOT NULL,
    code          text COLLATE "C" NOT NULL,
    name          text NOT NULL,
    category      text NOT NULL,
    unit          text NOT NULL,
    mode          text NOT NULL,
    currency      text COLLATE "C" NOT NULL,
    -- Minor units in one unit of the currency: 100 pence in a pound.
    scale         numeric NOT NULL,
    -- Sellable units, over all places, at which there are few of it, and above which there are too many; null: never.
    low_line      numeric,
    high_line     numeric
);

-- stock_skus_code: the articles by their codes.
CREATE INDEX stock_skus_code ON stock_skus (code, sku_id);

-- stock_movements: one immutable row for each movement (a transfer out has two legs: what left, and what is under way).
CREATE TABLE stock_movements (
    position             bigint NOT NULL,
    leg                  smallint NOT NULL,
    sku_id               uuid NOT NULL,
    location_id          uuid NOT NULL,
    kind                 text COLLATE "C" NOT NULL,
    occurred_at          timestamptz NOT NULL,
    -- What the movement changed: units that are there, and of these the ones set apart (null: not touched).
    on_hand              numeric NOT NULL,
    reserved             numeric,
    allocated            numeric,
    quarantined          numeric,
    damaged              numeric,
    in_transit           numeric,
    -- What came of it: units at the location; units, moving average and value of the SKU in all, in transit included.
    running_on_hand      numeric NOT NULL,
    running_quantity     numeric NOT NULL,
    unit_cost            numeric,
    value_minor          bigint NOT NULL,
    running_value_minor  bigint NOT NULL
);

-- stock_movements_line: a line by its position.
CREATE UNIQUE INDEX stock_movements_line ON stock_movements (position, leg);

-- stock_movements_place: the last movement at or before a position, for each SKU and location.
CREATE INDEX stock_movements_place ON stock_movements (sku_id, location_id, position, leg);

-- stock_movements_time: what happened to a SKU by a time.
CREATE INDEX stock_movements_time ON stock_movements (sku_id, occurred_at);

-- stock_levels: what is at each location now.
CREATE TABLE stock_levels (
    sku_id       uuid NOT NULL,
    location_id  uuid NOT NULL,
    on_hand      numeric NOT NULL,
    reserved     numeric NOT NULL,
    allocated    numeric NOT NULL,
    quarantined  numeric NOT NULL,
    damaged      numeric NOT NULL,
    in_transit   numeric NOT NULL,
    movements    bigint NOT NULL,
    position     bigint NOT NULL,
    PRIMARY KEY (sku_id, location_id)
) WITH (fillfactor = 50);

-- stock_values: how many units of each SKU there are in all, their average cost, and what they are worth.
CREATE TABLE stock_values (
    sku_id       uuid PRIMARY KEY,
    quantity     numeric NOT NULL,
    unit_cost    numeric,
    value_minor  bigint NOT NULL,
    position     bigint NOT NULL
) WITH (fillfactor = 50);

-- stock_days: what the movements that happened on one UTC day changed, by the block of the log in which they were recorded
-- (position / 16384), so that no figure as of a time, a position or both adds up a whole history.
CREATE TABLE stock_days (
    sku_id       uuid NOT NULL,
    location_id  uuid NOT NULL,
    day          date NOT NULL,
    block        bigint NOT NULL,
    on_hand      numeric NOT NULL,
    reserved     numeric NOT NULL,
    allocated    numeric NOT NULL,
    quarantined  numeric NOT NULL,
    damaged      numeric NOT NULL,
    in_transit   numeric NOT NULL,
    value_minor  bigint NOT NULL,
    PRIMARY KEY (sku_id, location_id, day, block)
) WITH (fillfactor = 50);

-- stock_batch_movements: what the movements that name a batch changed of it.
CREATE TABLE stock_batch_movements (
    position     bigint NOT NULL,
    leg          smallint NOT NULL,
    sku_id       uuid NOT NULL,
    location_id  uuid NOT NULL,
    batch        text COLLATE "C" NOT NULL,
    kind         text COLLATE "C" NOT NULL,
    occurred_at  timestamptz NOT NULL,
    on_hand      numeric NOT NULL,
    quarantined  numeric NOT NULL,
    damaged      numeric NOT NULL,
    in_transit   numeric NOT NULL,
    PRIMARY KEY (sku_id, batch, position, leg)
);

-- stock_batches: what is left of each batch that was named, at each location. Below zero: more left under a number than had
-- come in under it.
CREATE TABLE stock_batches (
    sku_id       uuid NOT NULL,
    location_id  uuid NOT NULL,
    batch        text COLLATE "C" NOT NULL,
    on_hand      numeric NOT NULL,
    quarantined  numeric NOT NULL,
    damaged      numeric NOT NULL,
    in_transit   numeric NOT NULL,
    movements    bigint NOT NULL,
    position     bigint NOT NULL,
    PRIMARY KEY (sku_id, location_id, batch)
) WITH (fillfactor = 50);

-- stock_batch_notes: what was said of a batch, and what keeps its units from being sold; no row where nothing was.
CREATE TABLE stock_batch_notes (
    sku_id           uuid NOT NULL,
    batch            text COLLATE "C" NOT NULL,
    produced_on      date,
    -- The last day on which its units may be sold, by the calendar of the home store.
    expires_on       date,
    place_of_origin  text,
    -- When its units were set aside after that day; null while they may be sold.
    expired_at       timestamptz,
    -- When it was recalled, and why; null when it was not, or may be sold after all.
    recalled_at      timestamptz,
    recall_reason    text,
    PRIMARY KEY (sku_id, batch)
);

-- stock_batch_orders: which orders got how many units of a batch, and how many came back from them.
CREATE TABLE stock_batch_orders (
    order_id          uuid NOT NULL,
    sku_id            uuid NOT NULL,
    batch             text COLLATE "C" NOT NULL,
    store_id          uuid NOT NULL,
    shipped           numeric NOT NULL,
    returned          numeric NOT NULL,
    first_shipped_at  timestamptz,
    PRIMARY KEY (order_id, sku_id, batch, store_id)
);

-- stock_batch_orders_batch: the orders that got units of a batch.
CREATE INDEX stock_batch_orders_batch ON stock_batch_orders (sku_id, batch, order_id);

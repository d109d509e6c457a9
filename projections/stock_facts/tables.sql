-- articles: the home store of each article, whose figures these are.
CREATE TABLE articles (
    sku_id    uuid PRIMARY KEY,
    store_id  uuid NOT NULL,
    currency  text COLLATE "C" NOT NULL,
    -- Minor units in one unit of the currency: 100 pence in a pound.
    scale     numeric NOT NULL
);

-- unit_changes: what each stock event changed, at its location; the day is the store's own.
CREATE TABLE unit_changes (
    position     bigint PRIMARY KEY,
    sku_id       uuid NOT NULL,
    store_id     uuid NOT NULL,
    event        text COLLATE "C" NOT NULL,
    occurred_at  timestamptz NOT NULL,
    day          date NOT NULL,
    hour         bigint NOT NULL,
    order_id     uuid,
    location_id  uuid NOT NULL,
    -- As far as the event names them: the batch that moved, and what a unit cost that came in.
    batch        text COLLATE "C",
    unit_cost    numeric,
    on_hand      numeric NOT NULL,
    reserved     numeric NOT NULL,
    allocated    numeric NOT NULL,
    quarantined  numeric NOT NULL,
    damaged      numeric NOT NULL
);

-- unit_changes_skus: what changed of an article by the end of a day.
CREATE INDEX unit_changes_skus ON unit_changes (sku_id, day);

-- unit_changes_costs: what was paid last for an article before a time.
CREATE INDEX unit_changes_costs ON unit_changes (sku_id, occurred_at, position) WHERE unit_cost IS NOT NULL;

-- unit_changes_arrivals: what came in of an article by the end of a day.
CREATE INDEX unit_changes_arrivals ON unit_changes (sku_id, day)
WHERE on_hand > 0 AND event IN ('StockReceived', 'StockReturned', 'StockAdjusted');

-- unit_changes_days: what changed in a store by the end of a day.
CREATE INDEX unit_changes_days ON unit_changes (store_id, day);

-- store_days: what the changes of a store's own day add up to, of all its articles; none where no event of the day changed it.
CREATE TABLE store_days (
    store_id       uuid NOT NULL,
    day            date NOT NULL,
    on_hand        numeric,
    reserved       numeric,
    allocated      numeric,
    quarantined    numeric,
    damaged        numeric,
    received       numeric,
    shipped        numeric,
    returned_good  numeric,
    PRIMARY KEY (store_id, day)
) WITH (fillfactor = 50);

-- article_days: by how much the units of an article that are there changed on a day, how many came in, and the last change of it.
CREATE TABLE article_days (
    sku_id    uuid NOT NULL,
    day       date NOT NULL,
    store_id  uuid NOT NULL,
    on_hand   numeric NOT NULL,
    came      numeric NOT NULL,
    position  bigint NOT NULL,
    PRIMARY KEY (sku_id, day)
) WITH (fillfactor = 80);

-- article_days_stores: what changed of all articles of a store by the end of a day.
CREATE INDEX article_days_stores ON article_days (store_id, day);

-- listings: whether an article was on sale in a store, from when until when; sold_out is off sale for being out of stock.
CREATE TABLE listings (
    sku_id          uuid NOT NULL,
    store_id        uuid NOT NULL,
    position        bigint NOT NULL,
    state           text COLLATE "C" NOT NULL,
    event           text COLLATE "C" NOT NULL,
    since_at        timestamptz NOT NULL,
    time_zone       text NOT NULL,
    until_position  bigint NOT NULL,
    until_at        timestamptz,
    until_event     text COLLATE "C",
    PRIMARY KEY (sku_id, store_id, position)
);

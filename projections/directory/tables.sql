-- directory_stores: one row for each store.
CREATE TABLE directory_stores (
    store_id    uuid PRIMARY KEY,
    name        text NOT NULL,
    platform    text COLLATE "C" NOT NULL,
    kind        text COLLATE "C" NOT NULL,
    currency    text COLLATE "C" NOT NULL,
    time_zone   text COLLATE "C" NOT NULL,
    status      text COLLATE "C" NOT NULL,
    applied_at  timestamptz NOT NULL,
    opened_at   timestamptz,
    -- When the last event of any kind was recorded about this store.
    changed_at  timestamptz NOT NULL,
    position    bigint NOT NULL
);

-- directory_skus: one row for each article; `store_id` is its home store.
CREATE TABLE directory_skus (
    sku_id         uuid PRIMARY KEY,
    store_id       uuid NOT NULL,
    code           text COLLATE "C" NOT NULL,
    name           text NOT NULL,
    brand          text,
    category       text COLLATE "C" NOT NULL,
    unit           text NOT NULL,
    mode           text COLLATE "C" NOT NULL,
    currency       text COLLATE "C" NOT NULL,
    status         text COLLATE "C" NOT NULL,
    min_quantity   numeric NOT NULL,
    season_end     timestamptz,
    registered_at  timestamptz NOT NULL,
    -- When the last event of any kind was recorded about this article. Every sale changes it: an index of it would have to
    -- follow each time.
    changed_at     timestamptz NOT NULL,
    position       bigint NOT NULL
) WITH (fillfactor = 70);

-- directory_skus_store: the articles of a store, latest first.
CREATE INDEX directory_skus_store ON directory_skus (store_id, registered_at DESC, sku_id DESC);

-- directory_skus_latest: the articles of all stores, or of several, latest first.
CREATE INDEX directory_skus_latest ON directory_skus (registered_at DESC, sku_id DESC);

-- directory_skus_code: the articles of a code, or of codes that begin alike.
CREATE INDEX directory_skus_code ON directory_skus (code);

-- directory_shelves: what a store asks for an article, and whether it is on sale there.
CREATE TABLE directory_shelves (
    sku_id        uuid NOT NULL,
    store_id      uuid NOT NULL,
    listed        boolean NOT NULL,
    reason        text COLLATE "C",
    list_price    numeric,
    -- What buyers meet: the home store's price where this one has none of its own, and whether it can be bought here now;
    -- null where it is neither on sale nor was taken off because nothing was left.
    asked_price   numeric,
    availability  text COLLATE "C",
    PRIMARY KEY (sku_id, store_id)
) WITH (fillfactor = 70);

-- directory_shelves_store: what a store sells.
CREATE INDEX directory_shelves_store ON directory_shelves (store_id, sku_id);

-- directory_places: where a store takes what it sells from.
CREATE TABLE directory_places (
    store_id     uuid NOT NULL,
    location_id  uuid NOT NULL,
    is_open      boolean NOT NULL,
    PRIMARY KEY (store_id, location_id)
);

-- directory_units: the units of an article at a location that anybody may buy, and those that campaigns have there.
CREATE TABLE directory_units (
    sku_id       uuid NOT NULL,
    location_id  uuid NOT NULL,
    sellable     numeric NOT NULL,
    allocated    numeric NOT NULL,
    PRIMARY KEY (sku_id, location_id)
) WITH (fillfactor = 50);

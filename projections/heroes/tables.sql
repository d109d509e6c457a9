-- hero_lists: the hero articles that a store named for a month, and the day of the store from which it has them.
CREATE TABLE hero_lists (
    position     bigint PRIMARY KEY,
    store_id     uuid NOT NULL,
    month        date NOT NULL,
    holds_from   date NOT NULL,
    occurred_at  timestamptz NOT NULL,
    sku_ids      uuid[] NOT NULL,
    -- An order looks up the list that its store had: that of the latest month, as it was named last.
    UNIQUE (store_id, month, position)
);

-- hero_lines: the lines of orders that were of a hero article when they were placed.
CREATE TABLE hero_lines (
    order_id       uuid NOT NULL,
    line           bigint NOT NULL,
    sku_id         uuid NOT NULL,
    -- Where the list stands that made a hero of it.
    list_position  bigint NOT NULL,
    quantity       numeric NOT NULL,
    amount_minor   bigint NOT NULL,
    PRIMARY KEY (order_id, line)
);

-- hero_changes: what such a line costs from an amendment on, and what was called off of it.
CREATE TABLE hero_changes (
    order_id         uuid NOT NULL,
    line             bigint NOT NULL,
    position         bigint NOT NULL,
    amount_minor     bigint,
    cancelled        numeric NOT NULL,
    cancelled_minor  bigint NOT NULL,
    PRIMARY KEY (order_id, line, position)
);

-- hero_sold: the lines of hero articles that were paid for.
CREATE TABLE hero_sold (
    position       bigint NOT NULL,
    line           bigint NOT NULL,
    order_id       uuid NOT NULL,
    store_id       uuid NOT NULL,
    occurred_at    timestamptz NOT NULL,
    day            date NOT NULL,
    currency       text COLLATE "C" NOT NULL,
    channel        text,
    sku_id         uuid NOT NULL,
    list_position  bigint NOT NULL,
    amount_minor   bigint NOT NULL,
    PRIMARY KEY (position, line)
);

-- hero_sold_days: what a store sold of its heroes in a window.
CREATE INDEX hero_sold_days ON hero_sold (store_id, day);

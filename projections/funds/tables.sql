-- income_splits: the shares of each income that a store set, from a moment on.
CREATE TABLE income_splits (
    position        bigint PRIMARY KEY,
    store_id        uuid NOT NULL,
    effective_from  timestamptz NOT NULL,
    working_share   numeric NOT NULL,
    other_share     numeric NOT NULL,
    -- An income looks up the shares of its store.
    UNIQUE (store_id, position)
);

-- fund_entries: what each event put into the funds of a store, or took out of them. Of an income, and of what goes back of
-- it, the shares are kept.
CREATE TABLE fund_entries (
    position          bigint PRIMARY KEY,
    event             text COLLATE "C" NOT NULL,
    store_id          uuid NOT NULL,
    occurred_at       timestamptz NOT NULL,
    day               date NOT NULL,
    currency          text COLLATE "C" NOT NULL,
    order_id          uuid,
    working_share     numeric,
    other_share       numeric,
    amount_minor      bigint NOT NULL,
    purchasing_minor  bigint NOT NULL,
    working_minor     bigint NOT NULL,
    other_minor       bigint NOT NULL,
    -- A refund looks up the income it came from.
    UNIQUE (order_id, position)
);

-- fund_entries_days: what happened in a store up to a day.
CREATE INDEX fund_entries_days ON fund_entries (store_id, day);

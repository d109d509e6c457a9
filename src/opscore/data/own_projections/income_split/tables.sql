-- income_entries: one row for each income, and one for each time some of it went back.
CREATE TABLE income_entries (
    position         bigint PRIMARY KEY,
    order_id         uuid NOT NULL,
    store_id         uuid NOT NULL,
    day              date NOT NULL,
    currency         text COLLATE "C" NOT NULL,
    kind             text COLLATE "C" NOT NULL,
    amount_minor     bigint NOT NULL,
    other_share      numeric NOT NULL,
    working_share    numeric NOT NULL,
    other_minor      bigint NOT NULL,
    working_minor    bigint NOT NULL,
    purchasing_minor bigint NOT NULL,
    -- A refund looks up the income it came from.
    UNIQUE (order_id, position)
);

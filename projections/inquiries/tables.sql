-- inquiries: one row for each inquiry.
CREATE TABLE inquiries (
    position     bigint PRIMARY KEY,
    store_id     uuid NOT NULL,
    day          date NOT NULL,
    occurred_at  timestamptz NOT NULL,
    inquirer_id  uuid NOT NULL,
    agent        text COLLATE "C" NOT NULL,
    channel      text COLLATE "C" NOT NULL
);

-- inquiries_day: the inquiries of a store by its day.
CREATE INDEX inquiries_day ON inquiries (store_id, day);

-- inquiries_inquirer: when somebody last asked a store.
CREATE INDEX inquiries_inquirer ON inquiries (inquirer_id, store_id, occurred_at, position);

-- payments: one row for each paid order of a customer.
CREATE TABLE payments (
    position     bigint PRIMARY KEY,
    order_id     uuid NOT NULL,
    store_id     uuid NOT NULL,
    day          date NOT NULL,
    occurred_at  timestamptz NOT NULL,
    customer_id  uuid NOT NULL
);

-- payments_day: what was paid in a store by its day.
CREATE INDEX payments_day ON payments (store_id, day);

-- mergers: which record was given up for which; the first merger of a record counts.
CREATE TABLE mergers (
    customer_id  uuid PRIMARY KEY,
    into_id      uuid NOT NULL,
    position     bigint NOT NULL
);

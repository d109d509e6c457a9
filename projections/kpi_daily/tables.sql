-- kpi_daily: one row for each store, store-local day and currency on which anything was paid or refunded.
CREATE TABLE kpi_daily (
    store_id                uuid NOT NULL,
    day                     date NOT NULL,
    currency                text COLLATE "C" NOT NULL,
    orders                  bigint NOT NULL DEFAULT 0,
    guest_orders            bigint NOT NULL DEFAULT 0,
    units                   numeric NOT NULL DEFAULT 0,
    gmv_minor               bigint NOT NULL DEFAULT 0,
    discount_minor          bigint NOT NULL DEFAULT 0,
    freight_minor           bigint NOT NULL DEFAULT 0,
    refunds                 bigint NOT NULL DEFAULT 0,
    refunded_minor          bigint NOT NULL DEFAULT 0,
    refunded_freight_minor  bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (store_id, day, currency)
) WITH (fillfactor = 50);

-- kpi_daily_buyers: who paid on that day, so that buyers of any window can be counted exactly.
CREATE TABLE kpi_daily_buyers (
    store_id     uuid NOT NULL,
    day          date NOT NULL,
    currency     text COLLATE "C" NOT NULL,
    customer_id  uuid NOT NULL,
    orders       bigint NOT NULL,
    PRIMARY KEY (store_id, day, currency, customer_id)
);

-- kpi_daily_mergers: which record was given up for which; the first merger counts.
CREATE TABLE kpi_daily_mergers (
    customer_id  uuid PRIMARY KEY,
    into_id      uuid NOT NULL
);

-- kpi_daily_persons: whose a record is that was given up, at the end of all mergers. Any other record is its own person.
CREATE TABLE kpi_daily_persons (
    customer_id  uuid PRIMARY KEY,
    person_id    uuid NOT NULL
);

-- kpi_daily_persons_person: the records of a person.
CREATE INDEX kpi_daily_persons_person ON kpi_daily_persons (person_id);

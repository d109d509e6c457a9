-- valued_skus: what a valuation needs to know of an article; `store_id` is its home store, whose policy and closes hold.
CREATE TABLE valued_skus (
    sku_id        uuid PRIMARY KEY,
    store_id      uuid NOT NULL,
    code          text COLLATE "C" NOT NULL,
    name          text NOT NULL,
    unit          text NOT NULL,
    currency      text COLLATE "C" NOT NULL,
    minor_digits  integer NOT NULL,
    time_zone     text NOT NULL,
    UNIQUE (store_id, sku_id)
);

-- moved_zones: the zone that a store had when something was recorded, where it is not the one of the article's registration.
CREATE TABLE moved_zones (
    position   bigint PRIMARY KEY,
    time_zone  text NOT NULL
);

-- costing_policies: from when on which method holds in a store.
CREATE TABLE costing_policies (
    store_id        uuid NOT NULL,
    effective_from  timestamptz NOT NULL,
    position        bigint NOT NULL,
    method          text COLLATE "C" NOT NULL,
    PRIMARY KEY (store_id, effective_from, position)
);

-- closed_periods: from when on the books of a store were open after each close.
CREATE TABLE closed_periods (
    store_id   uuid NOT NULL,
    position   bigint NOT NULL,
    open_from  timestamptz NOT NULL,
    PRIMARY KEY (store_id, position)
);

-- order_channels: through which channel each order came.
CREATE TABLE order_channels (
    order_id  uuid PRIMARY KEY,
    channel   text COLLATE "C" NOT NULL
);

-- order_campaigns: the campaigns that an article's lines of an order count for; no row where there is none.
CREATE TABLE order_campaigns (
    order_id      uuid NOT NULL,
    sku_id        uuid NOT NULL,
    campaign_ids  uuid[] NOT NULL,
    PRIMARY KEY (order_id, sku_id)
);

-- order_campaign_lines: the lines of orders that count for a campaign, those that stand in for one of these among them.
CREATE TABLE order_campaign_lines (
    order_id     uuid NOT NULL,
    line         bigint NOT NULL,
    sku_id       uuid NOT NULL,
    campaign_id  uuid NOT NULL,
    PRIMARY KEY (order_id, line)
);

-- valued_movements: one immutable row for each movement, valued as it was known when it was recorded.
-- `value_minor` is what the stock's value changed by its units; `revalued_minor` what it changed by the units that had left
-- before they were there, or whose cost had been unknown, and whose cost is known by it. The last unit takes the rest.
CREATE TABLE valued_movements (
    sku_id               uuid NOT NULL,
    occurred_at          timestamptz NOT NULL,
    position             bigint NOT NULL,
    location_id          uuid NOT NULL,
    store_id             uuid NOT NULL,
    kind                 text COLLATE "C" NOT NULL,
    recorded_at          timestamptz NOT NULL,
    order_id             uuid,
    batch                text,
    document             text,
    -- What moved at the location, on the way between locations, and both together.
    on_hand              numeric NOT NULL,
    in_transit           numeric NOT NULL,
    quantity             numeric NOT NULL,
    -- The cost that a receipt or a count names, and the units that a count found of that cost; the cost of the units that moved (a mean, where they are of several layers).
    given_cost           numeric,
    counted              numeric,
    unit_cost            numeric,
    layer_sizes          numeric[],
    layer_costs          numeric[],
    method               text COLLATE "C" NOT NULL,
    value_minor          bigint NOT NULL,
    revalued_minor       bigint NOT NULL,
    -- The article's units and their value in all, as known right after this was recorded.
    running_quantity     numeric NOT NULL,
    running_value_minor  bigint NOT NULL,
    PRIMARY KEY (sku_id, occurred_at, position),
    -- Returns look for what their order took.
    UNIQUE (order_id, sku_id, position)
);

-- valued_movements_known: the last movement of an article that was recorded at or before a position.
CREATE INDEX valued_movements_known ON valued_movements (sku_id, position);

-- valued_movements_store: what happened to a store's articles in a time.
CREATE INDEX valued_movements_store ON valued_movements (occurred_at);

-- value_adjustments: what was learnt afterwards about a movement (`position`) by a later record (`cause_position`).
-- Position 0 stands for all movements of closed periods together: their difference is booked when the books open.
CREATE TABLE value_adjustments (
    sku_id          uuid NOT NULL,
    occurred_at     timestamptz NOT NULL,
    position        bigint NOT NULL,
    cause_position  bigint NOT NULL,
    kind            text COLLATE "C" NOT NULL,
    recorded_at     timestamptz NOT NULL,
    value_minor     bigint NOT NULL,
    revalued_minor  bigint NOT NULL,
    cogs_minor      bigint NOT NULL,
    -- Whose cost of goods sold it is and by which order, as of the movement; what the later record is (see event_of).
    store_id        uuid NOT NULL,
    order_id        uuid,
    cause_kind      text COLLATE "C" NOT NULL,
    PRIMARY KEY (sku_id, occurred_at, position, cause_position)
);

-- value_adjustments_cause: what one record changed afterwards.
CREATE INDEX value_adjustments_cause ON value_adjustments (cause_position);

-- value_adjustments_known: what was learnt about an article up to a position.
CREATE INDEX value_adjustments_known ON value_adjustments (sku_id, cause_position);

-- value_changes: what each movement changed when it was recorded, and what was learnt about it, as of the record that said so.
CREATE VIEW value_changes AS
SELECT line.position, line.sku_id, line.store_id, line.order_id, line.occurred_at,
    (line.value_minor + line.revalued_minor)::numeric AS worth,
    CASE WHEN line.kind IN ('shipped', 'returned') THEN -line.value_minor::numeric ELSE 0 END AS cost_of_sales
FROM valued_movements AS line
UNION ALL
SELECT more.cause_position, more.sku_id, more.store_id, more.order_id, more.occurred_at,
    (more.value_minor + more.revalued_minor)::numeric, more.cogs_minor::numeric
FROM value_adjustments AS more;

-- value_days: what the changes of a store's own day add up to, by measure of fact_rows; none where nothing changed it.
-- `share` divides the articles, so that the parts of a rebuild do not wait for each other's rows (see share_of).
CREATE TABLE value_days (
    store_id      uuid NOT NULL,
    measure       text COLLATE "C" NOT NULL,
    day           date NOT NULL,
    currency      text COLLATE "C" NOT NULL,
    share         integer NOT NULL,
    amount_minor  numeric NOT NULL,
    PRIMARY KEY (store_id, measure, day, currency, share)
) WITH (fillfactor = 50);

-- true_costs: what a movement is valued at now, where that is not what its row says; replaced whenever more is learnt.
CREATE TABLE true_costs (
    sku_id          uuid NOT NULL,
    occurred_at     timestamptz NOT NULL,
    position        bigint NOT NULL,
    value_minor     bigint NOT NULL,
    revalued_minor  bigint NOT NULL,
    unit_cost       numeric,
    layer_sizes     numeric[],
    layer_costs     numeric[],
    PRIMARY KEY (sku_id, occurred_at, position)
);

-- valuation_state: how each article stands, as true now: units, booked value, cost, and under FIFO the layers, oldest first.
-- `unit_cost` is the moving average, or under FIFO the cost last paid; unknown until a first cost is.
CREATE TABLE valuation_state (
    sku_id       uuid PRIMARY KEY,
    last_at      timestamptz NOT NULL,
    position     bigint NOT NULL,
    quantity     numeric NOT NULL,
    value_minor  bigint NOT NULL,
    method       text COLLATE "C" NOT NULL,
    unit_cost    numeric,
    layer_sizes  numeric[] NOT NULL,
    layer_costs  numeric[] NOT NULL
) WITH (fillfactor = 50);

-- valuation_days: what each UTC day changed, as booked, and how the article stood at its end; what is found out late about
-- a day begins again from the end of the day before. A day on which only a difference was booked has no end of its own.
CREATE TABLE valuation_days (
    sku_id          uuid NOT NULL,
    day             date NOT NULL,
    change          numeric NOT NULL,
    change_minor    bigint NOT NULL,
    end_position    bigint,
    end_quantity    numeric,
    end_value       bigint,
    end_method      text COLLATE "C",
    end_cost        numeric,
    end_sizes       numeric[],
    end_costs       numeric[],
    PRIMARY KEY (sku_id, day)
) WITH (fillfactor = 50);

-- valuation_blocks: what each UTC day changed, by the block of the log in which it was recorded (position / 16384), so that no
-- value as of a time, a position or both adds up a whole history.
CREATE TABLE valuation_blocks (
    sku_id        uuid NOT NULL,
    day           date NOT NULL,
    block         bigint NOT NULL,
    change        numeric NOT NULL,
    change_minor  bigint NOT NULL,
    PRIMARY KEY (sku_id, day, block)
) WITH (fillfactor = 50);

-- valued_places: units of each batch ('' where none is named) at each location.
CREATE TABLE valued_places (
    sku_id       uuid NOT NULL,
    location_id  uuid NOT NULL,
    batch        text COLLATE "C" NOT NULL,
    on_hand      numeric NOT NULL,
    in_transit   numeric NOT NULL,
    PRIMARY KEY (sku_id, location_id, batch)
) WITH (fillfactor = 50);

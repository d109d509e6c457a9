-- costs: what each event cost a store, below zero where it lowers what was spent, by the store's own day.
CREATE TABLE costs (
    position      bigint PRIMARY KEY,
    event         text COLLATE "C" NOT NULL,
    store_id      uuid NOT NULL,
    occurred_at   timestamptz NOT NULL,
    day           date NOT NULL,
    hour          bigint NOT NULL,
    currency      text COLLATE "C" NOT NULL,
    category      text COLLATE "C" NOT NULL,
    campaign_id   uuid,
    order_id      uuid,
    amount_minor  bigint NOT NULL
);

-- costs_days: what was spent in a store in a window.
CREATE INDEX costs_days ON costs (store_id, day);

-- ad_costs: what advertising on a channel cost and brought on a day, by the report that was the highest revision from a position on.
CREATE TABLE ad_costs (
    campaign_id     uuid NOT NULL,
    day             date NOT NULL,
    channel         text COLLATE "C" NOT NULL,
    currency        text COLLATE "C" NOT NULL,
    revision        bigint NOT NULL,
    position        bigint NOT NULL,
    until_position  bigint NOT NULL,
    store_id        uuid NOT NULL,
    occurred_at     timestamptz NOT NULL,
    category        text COLLATE "C" NOT NULL,
    amount_minor    bigint NOT NULL,
    impressions     bigint NOT NULL,
    clicks          bigint NOT NULL,
    PRIMARY KEY (campaign_id, day, channel, currency, position)
);

-- ad_costs_days: what a store reported of its advertising in a window.
CREATE INDEX ad_costs_days ON ad_costs (store_id, day);

-- ad_budgets: what advertising for a campaign may cost in a month, from a position until another.
CREATE TABLE ad_budgets (
    campaign_id     uuid NOT NULL,
    month           date NOT NULL,
    position        bigint NOT NULL,
    until_position  bigint NOT NULL,
    store_id        uuid NOT NULL,
    occurred_at     timestamptz NOT NULL,
    currency        text COLLATE "C" NOT NULL,
    amount_minor    bigint NOT NULL,
    PRIMARY KEY (campaign_id, month, position)
);

-- cost_budgets: what a category of costs may come to in a month, from a position until another.
CREATE TABLE cost_budgets (
    store_id        uuid NOT NULL,
    month           date NOT NULL,
    category        text COLLATE "C" NOT NULL,
    position        bigint NOT NULL,
    until_position  bigint NOT NULL,
    occurred_at     timestamptz NOT NULL,
    currency        text COLLATE "C" NOT NULL,
    amount_minor    bigint NOT NULL,
    PRIMARY KEY (store_id, month, category, position)
);

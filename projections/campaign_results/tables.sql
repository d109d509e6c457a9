-- campaigns: what was planned, where it stands, and what it may spend.
CREATE TABLE campaigns (
    campaign_id               uuid PRIMARY KEY,
    store_id                  uuid NOT NULL,
    store_ids                 uuid[] NOT NULL,
    name                      text NOT NULL,
    goal                      text NOT NULL,
    kind                      text NOT NULL,
    type                      text NOT NULL,
    currency                  text COLLATE "C" NOT NULL,
    status                    text COLLATE "C" NOT NULL,
    starts_at                 timestamptz,
    ends_at                   timestamptz,
    -- What the owner said to the store's joining a platform's campaign, and when they were asked last; null if they were not.
    proposal_status           text COLLATE "C",
    proposed_at               timestamptz,
    -- Until when suppliers may offer something for it; null without a call, and once one was closed.
    call_until                timestamptz,
    forecast_visitors         bigint,
    forecast_conversion       numeric,
    forecast_units            numeric,
    forecast_gmv_minor        bigint,
    forecast_peak_hour        bigint,
    forecast_trough_hour      bigint,
    forecast_parcels_per_day  bigint,
    budget_minor              bigint,
    budget_claimed_minor      bigint NOT NULL DEFAULT 0,
    budget_released_minor     bigint NOT NULL DEFAULT 0,
    coupons_claimed           bigint NOT NULL DEFAULT 0,
    coupons_released          bigint NOT NULL DEFAULT 0,
    -- When the last event of any kind was recorded about this campaign.
    changed_at                timestamptz NOT NULL
) WITH (fillfactor = 50);

-- campaign_skus: what a campaign sells of a SKU: its terms, its quota, and what came of it.
CREATE TABLE campaign_skus (
    campaign_id       uuid NOT NULL,
    sku_id            uuid NOT NULL,
    role              text,
    price             numeric,
    quota             numeric,
    max_per_customer  bigint,
    removed           boolean NOT NULL DEFAULT false,
    allocated         numeric NOT NULL DEFAULT 0,
    released          numeric NOT NULL DEFAULT 0,
    units             numeric NOT NULL DEFAULT 0,
    gmv_minor         bigint NOT NULL DEFAULT 0,
    refunded_units    numeric NOT NULL DEFAULT 0,
    refunded_minor    bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (campaign_id, sku_id)
) WITH (fillfactor = 50);

-- campaign_lines: the order lines that count for a campaign, as they were placed.
CREATE TABLE campaign_lines (
    order_id     uuid NOT NULL,
    line         bigint NOT NULL,
    campaign_id  uuid NOT NULL,
    sku_id       uuid NOT NULL,
    quantity     numeric NOT NULL,
    counted      numeric NOT NULL,
    PRIMARY KEY (order_id, line)
);

-- campaign_line_changes: what became of such a line before it was paid: its amount, or units that were called off.
CREATE TABLE campaign_line_changes (
    order_id         uuid NOT NULL,
    line             bigint NOT NULL,
    position         bigint NOT NULL,
    amount_minor     bigint,
    cancelled        numeric NOT NULL,
    cancelled_minor  bigint NOT NULL,
    PRIMARY KEY (order_id, line, position)
);

-- campaign_stand_ins: the line of an order that was sold where another line stands in for it, after a shortage.
CREATE TABLE campaign_stand_ins (
    order_id   uuid NOT NULL,
    line       bigint NOT NULL,
    sold_line  bigint NOT NULL,
    PRIMARY KEY (order_id, line)
);

-- campaign_paid_lines: the lines that were paid, at what they cost then.
CREATE TABLE campaign_paid_lines (
    position     bigint NOT NULL,
    line         bigint NOT NULL,
    order_id     uuid NOT NULL,
    campaign_id  uuid NOT NULL,
    sku_id       uuid NOT NULL,
    store_id     uuid NOT NULL,
    currency     text COLLATE "C" NOT NULL,
    customer_id  uuid,
    units        numeric NOT NULL,
    gmv_minor    bigint NOT NULL,
    PRIMARY KEY (position, line)
);

-- campaign_paid_lines_campaign: the sales behind a campaign's figures.
CREATE INDEX campaign_paid_lines_campaign ON campaign_paid_lines (campaign_id, position);

-- campaign_refund_lines: what went back for such lines.
CREATE TABLE campaign_refund_lines (
    position        bigint NOT NULL,
    ordinal         bigint NOT NULL,
    campaign_id     uuid NOT NULL,
    sku_id          uuid,
    store_id        uuid NOT NULL,
    currency        text COLLATE "C" NOT NULL,
    refunded_units  numeric NOT NULL,
    refunded_minor  bigint NOT NULL,
    PRIMARY KEY (position, ordinal)
);

-- campaign_refund_lines_campaign: the refunds behind a campaign's figures.
CREATE INDEX campaign_refund_lines_campaign ON campaign_refund_lines (campaign_id, position);

-- campaign_sales: what a campaign sold in a store, in a currency.
CREATE TABLE campaign_sales (
    campaign_id     uuid NOT NULL,
    store_id        uuid NOT NULL,
    currency        text COLLATE "C" NOT NULL,
    orders          bigint NOT NULL,
    units           numeric NOT NULL,
    gmv_minor       bigint NOT NULL,
    refunds         bigint NOT NULL,
    refunded_units  numeric NOT NULL,
    refunded_minor  bigint NOT NULL,
    PRIMARY KEY (campaign_id, store_id, currency)
) WITH (fillfactor = 50);

-- campaign_buyers: who bought in a campaign, so that buyers can be counted exactly.
CREATE TABLE campaign_buyers (
    campaign_id  uuid NOT NULL,
    store_id     uuid NOT NULL,
    customer_id  uuid NOT NULL,
    orders       bigint NOT NULL,
    PRIMARY KEY (campaign_id, store_id, customer_id)
);

-- campaign_mergers: which record was given up for which; the first merger counts.
CREATE TABLE campaign_mergers (
    customer_id  uuid PRIMARY KEY,
    into_id      uuid NOT NULL
);

-- campaign_persons: whose a record is that was given up, at the end of all mergers. Any other record is its own person.
CREATE TABLE campaign_persons (
    customer_id  uuid PRIMARY KEY,
    person_id    uuid NOT NULL
);

-- campaign_persons_person: the records of a person.
CREATE INDEX campaign_persons_person ON campaign_persons (person_id);

-- campaign_ad_days: what advertising cost on a day and channel, by the highest revision that was reported.
CREATE TABLE campaign_ad_days (
    campaign_id  uuid NOT NULL,
    day          date NOT NULL,
    channel      text COLLATE "C" NOT NULL,
    currency     text COLLATE "C" NOT NULL,
    cost_minor   bigint NOT NULL,
    impressions  bigint NOT NULL,
    clicks       bigint NOT NULL,
    revision     bigint NOT NULL,
    position     bigint NOT NULL,
    PRIMARY KEY (campaign_id, day, channel, currency)
);

-- campaign_resources: the places for advertising that a campaign needs, and how far their review is.
CREATE TABLE campaign_resources (
    campaign_id   uuid NOT NULL,
    resource_id   uuid NOT NULL,
    channel       text COLLATE "C" NOT NULL,
    form          text COLLATE "C" NOT NULL,
    placement     text NOT NULL,
    quantity      bigint NOT NULL,
    budget_minor  bigint NOT NULL,
    currency      text COLLATE "C" NOT NULL,
    starts_at     timestamptz NOT NULL,
    ends_at       timestamptz NOT NULL,
    needs_review  boolean NOT NULL,
    submit_by     timestamptz,
    submit_until  timestamptz,
    status        text COLLATE "C" NOT NULL,
    PRIMARY KEY (campaign_id, resource_id)
) WITH (fillfactor = 70);

-- campaign_offers: what suppliers offered for a campaign, and what was answered.
CREATE TABLE campaign_offers (
    campaign_id  uuid NOT NULL,
    offer_id     uuid NOT NULL,
    supplier_id  uuid NOT NULL,
    sku_id       uuid NOT NULL,
    quantity     numeric NOT NULL,
    unit_cost    numeric NOT NULL,
    currency     text COLLATE "C" NOT NULL,
    offered_at   timestamptz NOT NULL,
    status       text COLLATE "C" NOT NULL,
    accepted     numeric NOT NULL,
    PRIMARY KEY (campaign_id, offer_id)
) WITH (fillfactor = 70);

-- campaign_ad_plans: the plans by which a campaign advertises, and until when each is to be adjusted and looked at.
CREATE TABLE campaign_ad_plans (
    campaign_id  uuid NOT NULL,
    plan_id      uuid NOT NULL,
    channel      text COLLATE "C" NOT NULL,
    status       text COLLATE "C" NOT NULL,
    adjust_by    timestamptz,
    monitor_by   timestamptz,
    PRIMARY KEY (campaign_id, plan_id)
) WITH (fillfactor = 70);

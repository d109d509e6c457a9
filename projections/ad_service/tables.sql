-- ad_spans: from when to when an ad plan ran: from its launch or a resumption to the next pause or its end. Days are the store's.
CREATE TABLE ad_spans (
    position          bigint PRIMARY KEY,
    campaign_id       uuid NOT NULL,
    plan_id           uuid NOT NULL,
    store_id          uuid NOT NULL,
    time_zone         text COLLATE "C" NOT NULL,
    event             text COLLATE "C" NOT NULL,
    started_at        timestamptz NOT NULL,
    started_on        date NOT NULL,
    stopped_position  bigint,
    stopped_on        date
) WITH (fillfactor = 70);

-- ad_spans_plan: the spans of a plan.
CREATE INDEX ad_spans_plan ON ad_spans (plan_id, position);

-- ad_monitored_days: the days of which somebody said how a plan did, with the first word about each.
CREATE TABLE ad_monitored_days (
    plan_id      uuid NOT NULL,
    day          date NOT NULL,
    campaign_id  uuid NOT NULL,
    store_id     uuid NOT NULL,
    position     bigint NOT NULL,
    occurred_at  timestamptz NOT NULL,
    PRIMARY KEY (plan_id, day)
);

-- ad_calendars: the working days of a store, as they were set; Monday to Friday before any were.
CREATE TABLE ad_calendars (
    position     bigint PRIMARY KEY,
    store_id     uuid NOT NULL,
    occurred_at  timestamptz NOT NULL,
    weekdays     bigint[] NOT NULL,
    holidays     text[] NOT NULL,
    extra_days   text[] NOT NULL
);

-- ad_calendars_store: the calendars of a store.
CREATE INDEX ad_calendars_store ON ad_calendars (store_id, position);

-- ad_policies: whether a store has its plans looked at every day, from a moment on.
CREATE TABLE ad_policies (
    position        bigint PRIMARY KEY,
    store_id        uuid NOT NULL,
    policy_version  bigint NOT NULL,
    effective_from  timestamptz NOT NULL,
    every_day       boolean NOT NULL
);

-- ad_policies_store: the policies of a store.
CREATE INDEX ad_policies_store ON ad_policies (store_id, effective_from);

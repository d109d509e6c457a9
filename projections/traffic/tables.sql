-- traffic_reports: what was reported of one slice (channel, source, device, campaign, SKU, hour) of one store and day, by the report
-- that was the highest revision from its position until another one's.
CREATE TABLE traffic_reports (
    position            bigint PRIMARY KEY,
    until_position      bigint NOT NULL,
    store_id            uuid NOT NULL,
    day                 date NOT NULL,
    channel             text COLLATE "C" NOT NULL,
    source              text COLLATE "C" NOT NULL,
    device              text COLLATE "C" NOT NULL,
    campaign_id         uuid,
    sku_id              uuid,
    hour                bigint,
    revision            bigint NOT NULL,
    occurred_at         timestamptz NOT NULL,
    page_views          bigint NOT NULL,
    visitors            bigint,
    visits              bigint,
    single_page_visits  bigint,
    ip                  bigint,
    dwell_seconds       bigint,
    exits               bigint,
    shares              bigint,
    favourites          bigint,
    cart_adds           bigint,
    -- One report of a slice holds at a time.
    UNIQUE NULLS NOT DISTINCT (store_id, day, channel, source, device, campaign_id, sku_id, hour, until_position)
);

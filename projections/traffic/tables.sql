-- traffic_reports: the report that holds for one slice (channel, device, campaign, SKU, hour) of one store and day.
CREATE TABLE traffic_reports (
    store_id            uuid NOT NULL,
    day                 date NOT NULL,
    channel             text COLLATE "C" NOT NULL,
    device              text COLLATE "C" NOT NULL,
    campaign_id         uuid,
    sku_id              uuid,
    hour                bigint,
    revision            bigint NOT NULL,
    position            bigint NOT NULL,
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
    UNIQUE NULLS NOT DISTINCT (store_id, day, channel, device, campaign_id, sku_id, hour)
);

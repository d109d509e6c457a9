-- order_book: one row for each order (and for each return of no order we know).
CREATE TABLE order_book (
    order_id                 uuid PRIMARY KEY,
    store_id                 uuid,
    kind                     text COLLATE "C",
    customer_id              uuid,
    channel                  text,
    external_reference       text COLLATE "C",
    currency                 text COLLATE "C",
    region                   text,
    price_source             text,
    -- By which way the buyer came, and with what, where that is known.
    traffic_source           text COLLATE "C",
    device                   text COLLATE "C",
    campaign_ids             uuid[],
    coupon_code              text COLLATE "C",
    surge                    boolean,
    placed_at                timestamptz,
    placed_position          bigint,
    -- What people call it by: the position with two check digits behind, so that the whole, divided by 97, leaves 1
    -- (ISO 7064, MOD 97-10). The API makes the same number of orders that it reads from the log.
    number                   text COLLATE "C" GENERATED ALWAYS AS
        ((placed_position * 100 + 98 - placed_position * 100 % 97)::text) STORED,
    goods_minor              bigint,
    discount_minor           bigint,
    freight_minor            bigint,
    total_minor              bigint,
    cancelled_goods_minor    bigint NOT NULL,
    cancelled_freight_minor  bigint NOT NULL,
    paid_minor               bigint NOT NULL,
    refunded_minor           bigint NOT NULL,
    expires_at               timestamptz,
    ship_by                  timestamptz,
    ship_by_hard             timestamptz,
    paid_at                  timestamptz,
    confirmed_at             timestamptz,
    shipped_at               timestamptz,
    delivered_at             timestamptz,
    completed_at             timestamptz,
    cancelled_at             timestamptz,
    expired                  boolean NOT NULL,
    -- Who of the staff helped the buyer, a pseudonym.
    agent                    text COLLATE "C",
    -- Positions of the last report of units that are still to be packed, and of the last end of a shortage: there is one
    -- while the report is the later. What is called off is short no longer.
    short_position           bigint,
    resolved_position        bigint,
    -- Counted over order_book_lines and order_book_parcels; the last four are null while no unit is to be sent.
    lines                    bigint,
    units                    numeric,
    all_packed               boolean,
    all_shipped              boolean,
    all_delivered            boolean,
    -- Whether units are lost that were neither sent once more nor called off.
    any_lost                 boolean,
    -- Whether goods were to be sent for goods that came back: then a final sale stands again where its units do.
    any_anew                 boolean,
    -- Its last event, whatever that says, and when it was recorded.
    position                 bigint NOT NULL,
    changed_at               timestamptz NOT NULL,
    -- The state of its least advanced unit.
    status                   text COLLATE "C" GENERATED ALWAYS AS (CASE
        WHEN kind = 'return' THEN 'returned'
        WHEN cancelled_at IS NOT NULL THEN 'cancelled'
        WHEN completed_at IS NOT NULL AND (any_anew IS NOT TRUE OR all_delivered IS NOT FALSE) THEN 'completed'
        WHEN all_delivered THEN 'delivered'
        WHEN all_shipped THEN 'shipped'
        WHEN short_position > coalesce(resolved_position, 0) THEN 'shortage'
        WHEN any_lost THEN 'lost'
        WHEN all_packed THEN 'packed'
        WHEN confirmed_at IS NOT NULL THEN 'confirmed'
        WHEN paid_at IS NOT NULL THEN 'paid'
        ELSE 'placed'
    END) STORED
) WITH (fillfactor = 70);

-- order_book_time: the orders of a store, latest first.
CREATE INDEX order_book_time ON order_book (store_id, placed_at DESC, order_id DESC);

-- order_book_latest: the orders of all stores, or of several, latest first.
CREATE INDEX order_book_latest ON order_book (placed_at DESC, order_id DESC);

-- order_book_state: the orders of a store that stand at a state, latest first.
CREATE INDEX order_book_state ON order_book (store_id, status, placed_at DESC, order_id DESC);

-- order_book_customer: the orders of a customer.
CREATE INDEX order_book_customer ON order_book (customer_id, placed_at DESC);

-- order_book_reference: the order behind a reference of a platform.
CREATE INDEX order_book_reference ON order_book (external_reference);

-- order_book_changed: the orders that something happened to lately.
CREATE INDEX order_book_changed ON order_book (changed_at, order_id);

-- order_book_agent: the orders that somebody of the staff helped with, latest first.
CREATE INDEX order_book_agent ON order_book (agent, placed_at DESC, order_id DESC) WHERE agent IS NOT NULL;

-- order_book_number: the order behind a number that somebody reads out.
CREATE INDEX order_book_number ON order_book (number);

-- order_book_lines: what was agreed of each line, and what became of its units.
CREATE TABLE order_book_lines (
    order_id          uuid NOT NULL,
    line              bigint NOT NULL,
    sku_id            uuid,
    sku_code          text COLLATE "C",
    name              text,
    unit              text,
    quantity          numeric,
    list_price        numeric,
    unit_price        numeric,
    gross_minor       bigint,
    discount_minor    bigint,
    amount_minor      bigint,
    campaign_id       uuid,
    gift              boolean,
    service           boolean,
    cancelled         numeric NOT NULL,
    cancelled_minor   bigint NOT NULL,
    exchanged         numeric NOT NULL,
    exchanged_minor   bigint NOT NULL,
    returned          numeric NOT NULL,
    refunded          numeric NOT NULL,
    refunded_minor    bigint NOT NULL,
    -- Units that left in parcels which are lost, and those of them that were neither sent once more nor called off.
    gone              numeric NOT NULL DEFAULT 0,
    lost              numeric NOT NULL DEFAULT 0,
    -- Units that came back and for which goods are sent: it is as if they had never left, nor come back.
    anew              numeric NOT NULL DEFAULT 0,
    -- Position of the last report that units of it are short.
    short_position    bigint,
    PRIMARY KEY (order_id, line)
) WITH (fillfactor = 80);

-- order_book_lines_sku: the orders that hold a SKU.
CREATE INDEX order_book_lines_sku ON order_book_lines (sku_id, order_id);

-- order_book_parcels: what is sent in one piece; `contents` is a list of {line, sku_id, quantity}.
CREATE TABLE order_book_parcels (
    order_id         uuid NOT NULL,
    parcel_id        uuid NOT NULL,
    location_id      uuid,
    courier          text,
    waybill          text COLLATE "C",
    packed_at        timestamptz,
    shipped_at       timestamptz,
    delivered_at     timestamptz,
    contents         jsonb,
    -- The courier's latest word of it, by its own time, and by when the next one is due.
    tracking_status  text COLLATE "C",
    tracked_at       timestamptz,
    news_by          timestamptz,
    lost             boolean NOT NULL DEFAULT false,
    PRIMARY KEY (order_id, parcel_id)
) WITH (fillfactor = 80);

-- order_book_parcels_waybill: the order behind a waybill.
CREATE INDEX order_book_parcels_waybill ON order_book_parcels (waybill);

-- order_book_parcels_news: the parcels on their way of which something is to be heard.
CREATE INDEX order_book_parcels_news ON order_book_parcels (news_by)
    WHERE news_by IS NOT NULL AND delivered_at IS NULL AND NOT lost;

-- order_book_returns: goods on their way back, of orders we know.
CREATE TABLE order_book_returns (
    order_id         uuid NOT NULL,
    return_id        uuid NOT NULL,
    -- What the customer says, and wants for the goods. Null where it was agreed elsewhere: the return becomes known when
    -- the goods are back.
    reason           text COLLATE "C",
    remedy           text COLLATE "C",
    -- What was found out, and whose fault it is.
    verified_reason  text COLLATE "C",
    fault_party      text COLLATE "C",
    requested_at     timestamptz,
    approved_at      timestamptz,
    declined_at      timestamptz,
    -- Null as long as something of it had come, or may still come.
    cancelled_at     timestamptz,
    -- When the last parcel of it was sent off, and by whom.
    sent_at          timestamptz,
    courier          text COLLATE "C",
    waybill          text COLLATE "C",
    -- Units of all its lines that came back, and of which it was decided what becomes.
    received         numeric NOT NULL,
    disposed         numeric NOT NULL,
    status           text COLLATE "C" GENERATED ALWAYS AS (CASE
        WHEN declined_at IS NOT NULL THEN 'declined'
        WHEN cancelled_at IS NOT NULL THEN 'cancelled'
        WHEN received > 0 AND disposed >= received THEN 'disposed'
        WHEN received > 0 THEN 'received'
        WHEN sent_at IS NOT NULL THEN 'sent'
        WHEN approved_at IS NOT NULL THEN 'approved'
        ELSE 'requested'
    END) STORED,
    PRIMARY KEY (order_id, return_id)
) WITH (fillfactor = 80);

-- order_book_returns_status: the orders with a return that stands at a state.
CREATE INDEX order_book_returns_status ON order_book_returns (status, order_id);

-- order_book_returns_waybill: the order behind the waybill of a parcel that comes back.
CREATE INDEX order_book_returns_waybill ON order_book_returns (waybill) WHERE waybill IS NOT NULL;

-- order_book_disputes: complaints about orders, and how far each is: where its last step took it.
CREATE TABLE order_book_disputes (
    order_id     uuid NOT NULL,
    dispute_id   uuid NOT NULL,
    -- What the customer says, and what was found to be wrong and whose fault; both null until that was found out.
    kind         text COLLATE "C" NOT NULL,
    found_kind   text COLLATE "C",
    fault_party  text COLLATE "C",
    opened_at    timestamptz NOT NULL,
    status       text COLLATE "C" NOT NULL,
    changed_at   timestamptz NOT NULL,
    PRIMARY KEY (order_id, dispute_id)
) WITH (fillfactor = 80);

-- order_book_disputes_status: the orders with a dispute that stands at a state, oldest first.
CREATE INDEX order_book_disputes_status ON order_book_disputes (status, opened_at, order_id);

-- order_book_payments: what the payment provider calls money that came in for an order, went back or was given.
CREATE TABLE order_book_payments (
    position   bigint NOT NULL,
    order_id   uuid NOT NULL,
    reference  text COLLATE "C" NOT NULL
);

-- order_book_payments_reference: the order behind a reference of the payment provider.
CREATE UNIQUE INDEX order_book_payments_reference ON order_book_payments (reference, order_id, position);

-- order_book_notes: when staff wrote something down about an order that they did not withdraw.
CREATE TABLE order_book_notes (
    order_id    uuid NOT NULL,
    note_id     uuid NOT NULL,
    written_at  timestamptz NOT NULL,
    PRIMARY KEY (order_id, note_id)
);

-- order_book_notes_time: the orders that something was written down about since a moment.
CREATE INDEX order_book_notes_time ON order_book_notes (written_at, order_id);

-- order_book_tags: the words by which staff sort their work.
CREATE TABLE order_book_tags (
    order_id  uuid NOT NULL,
    tag       text COLLATE "C" NOT NULL,
    PRIMARY KEY (order_id, tag)
);

-- order_book_tags_tag: the orders that have a tag.
CREATE INDEX order_book_tags_tag ON order_book_tags (tag, order_id);

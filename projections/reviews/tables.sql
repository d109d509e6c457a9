-- order_reviews: one row for each review. What it says is not here: that is personal, and opened from the order.
CREATE TABLE order_reviews (
    order_id      uuid NOT NULL,
    line          bigint NOT NULL,
    store_id      uuid NOT NULL,
    sku_id        uuid NOT NULL,
    score         bigint NOT NULL,
    has_text      boolean NOT NULL,
    photos        bigint NOT NULL,
    posted_at     timestamptz NOT NULL,
    reply_by      timestamptz NOT NULL,
    -- Since when the customer waits for an answer: to the review, or to what was added after the last answer; not to one that
    -- is hidden.
    waits_since   timestamptz,
    added_at      timestamptz,
    replies       bigint NOT NULL DEFAULT 0,
    replied_at    timestamptz,
    status        text COLLATE "C" NOT NULL,
    flagged_at    timestamptz,
    flag_reason   text COLLATE "C",
    decided_at    timestamptz,
    republish     boolean NOT NULL,
    -- When the last event of any kind was recorded about this review.
    changed_at    timestamptz NOT NULL,
    position      bigint NOT NULL,
    PRIMARY KEY (order_id, line)
) WITH (fillfactor = 80);

-- order_reviews_store: the reviews of a store, latest first.
CREATE INDEX order_reviews_store ON order_reviews (store_id, posted_at DESC, order_id DESC, line DESC);

-- order_reviews_latest: the reviews of all stores, or of several, latest first.
CREATE INDEX order_reviews_latest ON order_reviews (posted_at DESC, order_id DESC, line DESC);

-- order_reviews_sku: the reviews of an article, latest first.
CREATE INDEX order_reviews_sku ON order_reviews (sku_id, posted_at DESC, order_id DESC, line DESC);

-- order_reviews_waiting: those that wait for an answer, longest wait first.
CREATE INDEX order_reviews_waiting ON order_reviews (waits_since, order_id, line) WHERE waits_since IS NOT NULL;

-- order_reviews_flagged: those that wait for a decision.
CREATE INDEX order_reviews_flagged ON order_reviews (flagged_at, order_id, line) WHERE status = 'flagged';

-- ratings: what an article is rated in a store. Hidden reviews are counted apart and are in nothing else.
CREATE TABLE ratings (
    store_id   uuid NOT NULL,
    sku_id     uuid NOT NULL,
    reviews    bigint NOT NULL,
    scores     bigint NOT NULL,
    positive   bigint NOT NULL,
    hidden     bigint NOT NULL,
    PRIMARY KEY (store_id, sku_id)
) WITH (fillfactor = 50);

-- ratings_sku: what an article is rated in all stores.
CREATE INDEX ratings_sku ON ratings (sku_id);

-- posted: a review begins, and waits for an answer.
INSERT INTO order_reviews (
    order_id, line, store_id, sku_id, score, has_text, photos, posted_at, reply_by, waits_since, status, republish,
    changed_at, position
)
SELECT said.stream_id, said.line, said.store_id, said.sku_id, said.score, said.text IS NOT NULL,
    cardinality(said.photos), said.occurred_at, said.reply_by, said.occurred_at, 'shown', said.republish,
    said.recorded_at, said.position
FROM review_posted AS said;

-- talked: the customer added something, or was answered; the last word says who waits for whom.
UPDATE order_reviews AS known
SET photos = known.photos + said.photos, added_at = coalesce(known.added_at, said.added_at),
    replies = known.replies + said.replies, replied_at = coalesce(said.replied_at, known.replied_at),
    waits_since = CASE
        WHEN said.answered THEN NULL
        -- Whoever waits already has waited since the review; an answer of this window ended that.
        ELSE coalesce(CASE WHEN said.replies = 0 THEN known.waits_since END, said.added_at)
    END
FROM (
    SELECT word.stream_id, word.line, sum(word.photos) AS photos, count(*) FILTER (WHERE word.reply) AS replies,
        max(word.occurred_at) FILTER (WHERE NOT word.reply) AS added_at,
        (array_agg(word.occurred_at ORDER BY word.position DESC) FILTER (WHERE word.reply))[1] AS replied_at,
        (array_agg(word.reply ORDER BY word.position DESC))[1] AS answered
    FROM (
        SELECT stream_id, line, position, occurred_at, true AS reply, 0 AS photos FROM review_replied
        UNION ALL
        SELECT more.stream_id, more.line, more.position, more.occurred_at, false, cardinality(more.photos)
        FROM review_supplemented AS more
    ) AS word GROUP BY 1, 2
) AS said
WHERE known.order_id = said.stream_id AND known.line = said.line;

-- flagged: somebody holds it to be malicious, and why; a decision before that is no longer the last word.
UPDATE order_reviews AS known SET flagged_at = said.occurred_at, flag_reason = said.reason, decided_at = NULL
FROM (
    SELECT DISTINCT ON (stream_id, line) stream_id, line, occurred_at, reason FROM review_flagged
    ORDER BY stream_id, line, position DESC
) AS said
WHERE known.order_id = said.stream_id AND known.line = said.line;

-- stands: the last word of the window on whether it is shown; with what is hidden nobody waits for an answer.
UPDATE order_reviews AS known
SET status = said.status, decided_at = coalesce(said.decided_at, known.decided_at),
    waits_since = CASE WHEN said.status <> 'hidden' THEN known.waits_since END
FROM (
    SELECT DISTINCT ON (stream_id, line) stream_id, line, status, decided_at FROM (
        SELECT stream_id, line, position, 'flagged' AS status, NULL::timestamptz AS decided_at FROM review_flagged
        UNION ALL
        SELECT stream_id, line, position, CASE WHEN upheld THEN 'hidden' ELSE 'shown' END, occurred_at FROM review_decided
    ) AS each ORDER BY stream_id, line, position DESC
) AS said
WHERE known.order_id = said.stream_id AND known.line = said.line;

-- consented: the last word of the window on whether it may be shown elsewhere.
UPDATE order_reviews AS known SET republish = said.granted
FROM (
    SELECT DISTINCT ON (stream_id, line) stream_id, line, granted FROM review_consent_set
    ORDER BY stream_id, line, position DESC
) AS said
WHERE known.order_id = said.stream_id AND known.line = said.line;

-- changed: when anything was last recorded about a review; the log records nothing earlier than what it has.
UPDATE order_reviews AS known SET changed_at = said.changed_at
FROM (
    SELECT stream_id, line, max(recorded_at) AS changed_at FROM (
        SELECT stream_id, line, recorded_at FROM review_supplemented
        UNION ALL SELECT stream_id, line, recorded_at FROM review_replied
        UNION ALL SELECT stream_id, line, recorded_at FROM review_flagged
        UNION ALL SELECT stream_id, line, recorded_at FROM review_decided
        UNION ALL SELECT stream_id, line, recorded_at FROM review_consent_set
    ) AS each GROUP BY 1, 2
) AS said
WHERE known.order_id = said.stream_id AND known.line = said.line;

-- rated: a review counts from when it is posted until it is found malicious.
INSERT INTO ratings AS known (store_id, sku_id, reviews, scores, positive, hidden)
SELECT said.store_id, said.sku_id, sum(said.counts), sum(said.counts * said.score),
    sum(CASE WHEN said.score >= rule.positive_score THEN said.counts ELSE 0 END), sum(said.hidden)
FROM (
    SELECT store_id, sku_id, score, 1 AS counts, 0 AS hidden FROM review_posted
    UNION ALL
    SELECT store_id, sku_id, score, -1, 1 FROM review_decided WHERE upheld
) AS said CROSS JOIN rules AS rule
GROUP BY 1, 2
ON CONFLICT (store_id, sku_id) DO UPDATE
SET reviews = known.reviews + excluded.reviews, scores = known.scores + excluded.scores,
    positive = known.positive + excluded.positive, hidden = known.hidden + excluded.hidden;

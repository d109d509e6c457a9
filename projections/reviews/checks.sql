-- ratings_are_the_reviews: what an article is rated is what its reviews say that are not hidden.
SELECT store_id, sku_id, kept.reviews, counted.reviews AS reviews_counted, kept.scores, counted.scores AS scores_counted,
    kept.positive, counted.positive AS positive_counted, kept.hidden, counted.hidden AS hidden_counted
FROM ratings AS kept
FULL JOIN (
    SELECT one.store_id, one.sku_id, count(*) FILTER (WHERE one.status <> 'hidden') AS reviews,
        coalesce(sum(one.score) FILTER (WHERE one.status <> 'hidden'), 0) AS scores,
        count(*) FILTER (WHERE one.status <> 'hidden' AND one.score >= rule.positive_score) AS positive,
        count(*) FILTER (WHERE one.status = 'hidden') AS hidden
    FROM order_reviews AS one CROSS JOIN rules AS rule GROUP BY 1, 2
) AS counted USING (store_id, sku_id)
WHERE (kept.reviews, kept.scores, kept.positive, kept.hidden)
    IS DISTINCT FROM (counted.reviews, counted.scores, counted.positive, counted.hidden);

-- reviews_are_the_log: every review of the log is there, with its score.
SELECT known.order_id, known.line, said.stream_id, said.line AS line_in_log, known.score, said.score AS score_in_log
FROM order_reviews AS known FULL JOIN review_posted AS said ON said.stream_id = known.order_id AND said.line = known.line
WHERE known.score IS DISTINCT FROM said.score;

-- waits_or_was_answered: whoever was answered last, or wrote what is hidden, waits for nothing.
SELECT order_id, line, waits_since, replied_at FROM order_reviews
WHERE (waits_since IS NULL AND replies = 0 AND status <> 'hidden')
    OR (waits_since IS NOT NULL AND (status = 'hidden' OR (replies > 0 AND added_at IS NULL)));

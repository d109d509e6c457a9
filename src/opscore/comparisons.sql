-- ask: a comparison to be made; one that was refused is tried again, one that is waiting or being made goes on.
INSERT INTO asked_comparisons AS known (id, question, asked_by, asked_at)
VALUES (:id, :question, :asked_by, clock_timestamp())
ON CONFLICT (id) DO UPDATE SET refusal = NULL, asked_at = excluded.asked_at WHERE known.refusal IS NOT NULL;

-- begin_anew: what was counted of a comparison that is asked for again does not count.
DELETE FROM asked_comparison_attempts WHERE id = :id;

-- waiting: the comparisons that are still to be made, in the order in which they were asked for.
SELECT id FROM asked_comparisons WHERE refusal IS NULL ORDER BY asked_at, id;

-- hold: one of them, for whoever makes it, until the end of the transaction; nothing while another server has it.
SELECT question, asked_by FROM asked_comparisons WHERE id = :id AND refusal IS NULL FOR NO KEY UPDATE SKIP LOCKED;

-- count: that it was begun once more; returns how often by now.
INSERT INTO asked_comparison_attempts AS known (id, attempts) VALUES (:id, 1)
ON CONFLICT (id) DO UPDATE SET attempts = known.attempts + 1
RETURNING attempts;

-- refuse: why it was not made.
UPDATE asked_comparisons SET refusal = :refusal WHERE id = :id;

-- done: it is kept where comparisons are, nothing is left to do.
DELETE FROM asked_comparisons WHERE id = :id;

-- refusal: why a comparison was not made; no row when it is made, waiting, or was never asked for.
SELECT refusal FROM asked_comparisons WHERE id = :id AND refusal IS NOT NULL;

-- forget: refusals that are older than the keys they answer.
DELETE FROM asked_comparisons WHERE refusal IS NOT NULL AND asked_at < now() - make_interval(days => :days);

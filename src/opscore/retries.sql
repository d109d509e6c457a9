-- claim: take a key; no row is added when it is taken, be it by a transaction that has just ended.
INSERT INTO operation_keys (actor, key, request_hash, recorded_at)
VALUES (:actor, :key, :request_hash, now())
ON CONFLICT (actor, key) DO NOTHING;

-- known: what a key was taken for, and what that was answered with.
SELECT request_hash, answer FROM operation_keys WHERE actor = :actor AND key = :key;

-- answer: keep what a key was answered with.
UPDATE operation_keys SET answer = :answer WHERE actor = :actor AND key = :key;

-- forget: keys older than the days that keys are remembered for.
DELETE FROM operation_keys WHERE recorded_at < now() - make_interval(days => :days);

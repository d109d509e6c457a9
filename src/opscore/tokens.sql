-- add: keep a new token; only its hash is stored.
INSERT INTO api_tokens (id, token_hash, name, role, store_ids, customer_id, scopes, expires_at)
VALUES (:id, :token_hash, :name, :role, :store_ids::uuid[], :customer_id, :scopes::text[], :expires_at);

-- begun: which of these streams there are of a kind.
SELECT stream_id
FROM events
WHERE stream_id = ANY(:stream_ids::uuid[]) AND version = 1 AND stream_type = :stream_type;

-- find: the token of a hash, whether or not it is still good.
SELECT name, role, store_ids, customer_id, scopes, expires_at, revoked_at
FROM api_tokens
WHERE token_hash = :token_hash;

-- use: note that a token was used, at most once a minute, so that reading does not become writing.
UPDATE api_tokens
SET last_used_at = now()
WHERE token_hash = :token_hash AND (last_used_at IS NULL OR last_used_at < now() - INTERVAL '1 minute');

-- revoke: end a token now; asked twice, the first time stands.
UPDATE api_tokens
SET revoked_at = now()
WHERE id = :id AND revoked_at IS NULL;

-- list: every token, newest first.
SELECT id, name, role, store_ids, customer_id, scopes, created_at, expires_at, revoked_at, last_used_at
FROM api_tokens
ORDER BY created_at DESC, id;

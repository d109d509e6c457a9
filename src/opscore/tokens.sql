-- add: keep a new token; only its hash is stored.
INSERT INTO api_tokens (id, token_hash, name, role, store_ids, customer_id, scopes, expires_at)
VALUES (:id, :token_hash, :name, :role, :store_ids::uuid[], :customer_id, :scopes::text[], :expires_at);

-- find: the token of a hash, whether or not it is still good.
SELECT
    token.name, token.role, token.store_ids, token.customer_id, token.scopes, token.expires_at, token.revoked_at,
    (
        SELECT coalesce(jsonb_agg(jsonb_build_object(
            'role', further.role, 'store_ids', further.store_ids, 'from', further.valid_from, 'until', further.valid_until
        ) ORDER BY further.given_at, further.role), '[]')
        FROM api_token_roles AS further WHERE further.token_id = token.id
    ) AS further
FROM api_tokens AS token
WHERE token.token_hash = :token_hash;

-- token: the role of a token that is good.
SELECT role
FROM api_tokens
WHERE id = :id AND revoked_at IS NULL AND expires_at > now();

-- add_role: a further role of a token; given once more, it is replaced.
INSERT INTO api_token_roles (token_id, role, store_ids, valid_from, valid_until)
VALUES (:token_id, :role, :store_ids::uuid[], :valid_from::timestamptz, :valid_until::timestamptz)
ON CONFLICT (token_id, role) DO UPDATE
SET store_ids = excluded.store_ids, valid_from = excluded.valid_from, valid_until = excluded.valid_until;

-- end_role: a further role is no more.
DELETE FROM api_token_roles WHERE token_id = :token_id AND role = :role;

-- roles: the further roles of all tokens.
SELECT token_id, role, store_ids, valid_from, valid_until
FROM api_token_roles
ORDER BY given_at, role;

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

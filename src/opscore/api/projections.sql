-- recall: what was answered under a key of this actor about projections.
SELECT request_hash, aggregate_id FROM commands WHERE actor = :actor AND scope = 'projections' AND key = :key;

-- remember: that a request about projections was carried out; whoever is first is remembered.
INSERT INTO commands (actor, scope, key, request_hash, outcome, aggregate_id, recorded_at)
VALUES (:actor, 'projections', :key, :request_hash, 'accepted', :aggregate_id, clock_timestamp())
ON CONFLICT (actor, scope, key) DO NOTHING;

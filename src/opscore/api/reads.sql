-- kinds: which stream an id is of; ids of anything else are not returned.
SELECT stream_id, stream_type
FROM events
WHERE stream_id = ANY (:ids::uuid[]) AND version = 1;

-- holder: the stream that holds a name in a scope.
SELECT stream_id
FROM claims
WHERE kind = :kind AND scope = :scope AND value = :value;

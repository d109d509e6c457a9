-- known: every command that this importer has recorded something by, with the stream it began (null when it began none).
-- The log is asked, not the table of answered commands: that one forgets after some days, the log never does.
SELECT idempotency_key, (array_agg(stream_id) FILTER (WHERE version = 1))[1]
FROM events
WHERE origin = 'import' AND actor = %(actor)s AND starts_with(idempotency_key, %(prefix)s)
GROUP BY idempotency_key

-- known: every key by which this actor imported something, with the stream that its command began (null when it began none).
-- The log is asked, not the table of answered commands: that one forgets after some days, the log never does.
SELECT idempotency_key, (array_agg(stream_id) FILTER (WHERE version = 1))[1]
FROM events
WHERE origin = 'import' AND actor = :actor AND starts_with(idempotency_key, :prefix)
GROUP BY idempotency_key;

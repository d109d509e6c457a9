-- income_entries: the payment or refund of one entry.
SELECT
    entry.position, entry.order_id AS stream_id, entry.kind AS event, entry.amount_minor, entry.other_minor,
    entry.working_minor, entry.purchasing_minor
FROM income_entries AS entry
WHERE entry.position = :position::bigint AND entry.position > :window_from AND entry.position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR entry.store_id = ANY (:store_ids::uuid[]));

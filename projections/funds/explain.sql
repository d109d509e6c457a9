-- fund_entries: the event of one entry.
SELECT entry.position, entry.event, entry.occurred_at, entry.amount_minor, entry.purchasing_minor, entry.working_minor,
    entry.other_minor
FROM fund_entries AS entry
WHERE entry.position = :position::bigint AND entry.position > :window_from AND entry.position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR entry.store_id = ANY (:store_ids::uuid[]));

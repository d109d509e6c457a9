-- inquiries: one inquiry as it was recorded.
SELECT said.position, 'InquiryRecorded' AS event, said.occurred_at, said.agent, said.channel
FROM inquiry_recorded AS said
WHERE said.position = :position::bigint AND (:store_ids::uuid[] IS NULL OR said.store_id = ANY (:store_ids::uuid[]));

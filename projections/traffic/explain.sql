-- traffic_reports: one report of a slice of a day.
SELECT told.position, 'TrafficReported' AS event, told.occurred_at, told.revision, told.page_views, told.visitors,
    told.visits
FROM traffic_reported AS told
WHERE told.position = :position::bigint AND (:store_ids::uuid[] IS NULL OR told.store_id = ANY (:store_ids::uuid[]));

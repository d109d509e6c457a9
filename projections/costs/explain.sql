-- costs: the event behind a cost.
SELECT cost.position, cost.event, cost.occurred_at, cost.category, cost.amount_minor
FROM costs AS cost
WHERE cost.position = :position::bigint AND cost.position > :window_from AND cost.position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR cost.store_id = ANY (:store_ids::uuid[]));

-- ad_costs: the report that holds, or held.
SELECT report.position, 'AdSpendRecorded' AS event, report.occurred_at, report.revision, report.amount_minor
FROM ad_costs AS report
WHERE report.position = :position::bigint AND report.position > :window_from AND report.position <= :window_to
    AND (:store_ids::uuid[] IS NULL OR report.store_id = ANY (:store_ids::uuid[]));

-- funds: what each store's incomes of a month left in each fund, after what went back.
SELECT
    entry.store_id, date_trunc('month', entry.day::timestamp)::date AS month, entry.currency,
    sum(entry.amount_minor)::bigint AS income_minor, sum(entry.other_minor)::bigint AS other_minor,
    sum(entry.working_minor)::bigint AS working_minor, sum(entry.purchasing_minor)::bigint AS purchasing_minor
FROM income_entries AS entry
WHERE (:store_ids::uuid[] IS NULL OR entry.store_id = ANY (:store_ids::uuid[]))
    AND (:from_day::date IS NULL OR entry.day >= :from_day::date)
    AND (:to_day::date IS NULL OR entry.day <= :to_day::date)
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3;

-- entries: every income and refund with its shares.
SELECT
    entry.position, entry.order_id, entry.store_id, entry.day, entry.currency, entry.kind, entry.amount_minor,
    entry.other_share, entry.working_share, entry.other_minor, entry.working_minor, entry.purchasing_minor
FROM income_entries AS entry
WHERE (:store_ids::uuid[] IS NULL OR entry.store_id = ANY (:store_ids::uuid[]))
    AND (:from_day::date IS NULL OR entry.day >= :from_day::date)
    AND (:to_day::date IS NULL OR entry.day <= :to_day::date)
ORDER BY entry.position;

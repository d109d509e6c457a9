-- fact_rows: what came into the funds and left them, as far as it was known at position :as_of (always to be given), each row
-- with what it adds to a measure.
SELECT entry.position, said.place::bigint AS place, entry.event, entry.occurred_at, said.measure, entry.store_id,
    entry.day, NULL::bigint AS hour, entry.currency, entry.order_id, NULL::uuid AS who, NULL::text AS channel,
    said.amount::numeric AS amount, CASE :by::text WHEN 'store' THEN entry.store_id::text END AS slice
FROM fund_entries AS entry CROSS JOIN LATERAL (VALUES
    (1, 'purchasing_fund', entry.purchasing_minor), (2, 'working_fund', entry.working_minor),
    (3, 'other_fund', entry.other_minor),
    (4, 'capital', CASE WHEN entry.event = 'CapitalInvested' THEN entry.amount_minor ELSE 0 END)
) AS said (place, measure, amount)
WHERE said.amount <> 0
    AND (:store_ids::uuid[] IS NULL OR entry.store_id = ANY (:store_ids::uuid[]))
    AND (:measures::text[] IS NULL OR said.measure = ANY (:measures::text[]))
    AND (:from_day::date IS NULL OR entry.day >= :from_day::date)
    AND (:to_day::date IS NULL OR entry.day <= :to_day::date)
    AND entry.position <= :as_of::bigint;

-- fact_rows: inquiries, and payments by customers who had asked before, as known at position :as_of (always to be given).
-- A payment counts on its own day, for the agent and the channel of the buyer's last inquiry of the store before it.
WITH RECURSIVE way AS (
    SELECT gone.customer_id, gone.into_id FROM mergers AS gone WHERE gone.position <= :as_of::bigint
    UNION
    SELECT way.customer_id, further.into_id
    FROM way JOIN mergers AS further ON further.customer_id = way.into_id AND further.position <= :as_of::bigint
), same AS (
    -- Whose a record was known to be: where the way from merger to merger ends.
    SELECT way.customer_id, way.into_id AS person_id FROM way
    WHERE NOT EXISTS (
        SELECT FROM mergers AS further
        WHERE further.customer_id = way.into_id AND further.position <= :as_of::bigint
    )
)
SELECT fact.position, fact.place, fact.event, fact.occurred_at, fact.measure, fact.store_id, fact.day,
    NULL::bigint AS hour, NULL::text AS currency, fact.order_id, fact.who, fact.channel, 1::numeric AS amount,
    CASE :by::text
        WHEN 'store' THEN fact.store_id::text WHEN 'channel' THEN fact.channel WHEN 'agent' THEN fact.agent
    END AS slice
FROM (
    SELECT asked.position, 1::bigint AS place, 'InquiryRecorded' AS event, asked.occurred_at, 'inquiry' AS measure,
        asked.store_id, asked.day, NULL::uuid AS order_id, coalesce(own.person_id, asked.inquirer_id) AS who,
        asked.channel, asked.agent
    FROM inquiries AS asked LEFT JOIN same AS own ON own.customer_id = asked.inquirer_id
    UNION ALL
    SELECT bill.position, 2::bigint, 'OrderPaid', bill.occurred_at, 'bought_after_inquiry', bill.store_id, bill.day,
        bill.order_id, coalesce(own.person_id, bill.customer_id), last.channel, last.agent
    FROM payments AS bill
    LEFT JOIN same AS own ON own.customer_id = bill.customer_id
    CROSS JOIN rules AS rule
    CROSS JOIN LATERAL (
        SELECT asked.channel, asked.agent FROM inquiries AS asked
        WHERE asked.store_id = bill.store_id AND asked.position <= :as_of::bigint
            AND asked.inquirer_id = ANY (
                ARRAY (
                    SELECT other.customer_id FROM same AS other
                    WHERE other.person_id = coalesce(own.person_id, bill.customer_id)
                ) || coalesce(own.person_id, bill.customer_id)
            )
            AND asked.occurred_at <= bill.occurred_at
            AND asked.occurred_at >= bill.occurred_at - rule.inquiry_days * interval '24 hours'
        ORDER BY asked.occurred_at DESC, asked.position DESC LIMIT 1
    ) AS last
) AS fact
WHERE (:store_ids::uuid[] IS NULL OR fact.store_id = ANY (:store_ids::uuid[]))
    AND (:measures::text[] IS NULL OR fact.measure = ANY (:measures::text[]))
    AND (:from_day::date IS NULL OR fact.day >= :from_day::date) AND (:to_day::date IS NULL OR fact.day <= :to_day::date)
    AND (:channel::text IS NULL OR fact.channel = :channel::text)
    AND (:agent::text IS NULL OR fact.agent = :agent::text)
    AND fact.position <= :as_of::bigint;

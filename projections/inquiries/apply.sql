-- asked: an inquiry counts on the store's own calendar day.
INSERT INTO inquiries (position, store_id, day, occurred_at, inquirer_id, agent, channel)
SELECT said.position, said.store_id, (said.occurred_at AT TIME ZONE said.time_zone)::date, said.occurred_at,
    said.inquirer_id, said.agent, said.channel
FROM inquiry_recorded AS said;

-- paid: a guest is nobody who could have asked before.
INSERT INTO payments (position, order_id, store_id, day, occurred_at, customer_id)
SELECT bill.position, bill.stream_id, bill.store_id, (bill.occurred_at AT TIME ZONE bill.time_zone)::date,
    bill.occurred_at, bill.customer_id
FROM order_paid AS bill WHERE bill.customer_id IS NOT NULL;

-- merged: from the merger on two records are one person; the first merger of a record counts.
INSERT INTO mergers (customer_id, into_id, position)
SELECT DISTINCT ON (gone.stream_id) gone.stream_id, gone.into_id, gone.position
FROM customer_merged_into AS gone
ORDER BY gone.stream_id, gone.position
ON CONFLICT (customer_id) DO NOTHING;

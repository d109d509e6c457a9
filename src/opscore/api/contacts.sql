-- of_order: what is sealed of an order, and under whose key: the customer's, or a guest's under the order's own id.
SELECT COALESCE((data ->> 'customer_id')::uuid, stream_id) AS subject_id, data ->> 'recipient' AS recipient,
    data ->> 'address' AS address, data ->> 'remark' AS remark
FROM events
WHERE stream_id = :stream_id AND version = 1 AND type = 'OrderPlaced';

-- of_customer: the newest contact card of a customer, sealed.
SELECT data ->> 'card' AS card
FROM events
WHERE stream_id = :stream_id AND type = 'ContactCardSet'
ORDER BY version DESC
LIMIT 1;

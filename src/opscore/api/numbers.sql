-- order_at: the order (or the return of no order we know) that an event began at a position.
SELECT stream_id
FROM events
WHERE position = :position AND stream_type = 'Order' AND version = 1;

-- placed_at: at which position of the log each of these orders was placed.
SELECT stream_id, position
FROM events
WHERE stream_id = ANY (:order_ids::uuid[]) AND version = 1;

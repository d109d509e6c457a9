-- events: the log up to a position, of these stores, that happened in a period.
SELECT position, type, schema_version, stream_id, stream_type, version, store_id, occurred_at, recorded_at, time_zone,
    actor, origin, idempotency_key, correlation_id, causation_position, data, encode(hash, 'hex') AS hash, role
FROM events
WHERE position <= :position
    AND (:store_ids::uuid[] IS NULL OR store_id = ANY (:store_ids::uuid[]))
    AND (:since::timestamptz IS NULL OR occurred_at >= :since::timestamptz)
    AND (:before::timestamptz IS NULL OR occurred_at < :before::timestamptz)
ORDER BY position;

-- compares: every row in which two versions of a projection differed (of :compare_id, NULL for all); for those who may see
-- all stores. event_positions: the events behind it, each once, as they were kept with it; NULL where they were not.
SELECT made.id AS compare_id, made.name, made.old_version, made.new_version, made.compared_at, made.compared_by,
    made.position, kept.number, kept.table_name, kept.key, kept.old, kept.new, CASE
        WHEN kept.number <= made.rows_with_events THEN ARRAY(
            SELECT DISTINCT event.position FROM projection_compare_events AS event
            WHERE event.compare_id = kept.compare_id AND event.number = kept.number ORDER BY 1
        )
    END AS event_positions
FROM projection_compare_rows AS kept JOIN projection_compares AS made ON made.id = kept.compare_id
WHERE (:store_ids::uuid[] IS NULL) AND (:compare_id::uuid IS NULL OR made.id = :compare_id::uuid)
    AND (:since::timestamptz IS NULL OR made.compared_at >= :since::timestamptz)
    AND (:before::timestamptz IS NULL OR made.compared_at < :before::timestamptz)
ORDER BY made.compared_at, made.id, kept.number;

-- comparison: whether one was made under an id.
SELECT EXISTS (SELECT FROM projection_compares WHERE id = :compare_id);

-- head: the newest position of the log.
SELECT COALESCE(max(position), 0) FROM events;

-- add: keep a new job; asked again under the same id, nothing changes.
INSERT INTO export_jobs
    (id, dataset, format, store_ids, asked_from, asked_before, compare_id, requested_by, role, requested_at, request_hash,
    state)
VALUES
    (:id, :dataset, :format, :store_ids::uuid[], :since, :before, :compare_id, :actor, :role, now(), :request_hash,
    'waiting')
ON CONFLICT (id) DO NOTHING;

-- add_progress: a job has not begun.
INSERT INTO export_progress (job_id) VALUES (:id);

-- request: what a job was asked for with, whatever became of it.
SELECT request_hash FROM export_jobs WHERE id = :id;

-- waiting: how many jobs of a person are not done.
SELECT count(*) FROM export_jobs WHERE requested_by = :actor AND state = 'waiting';

-- jobs: what a person asked for in a role and for stores that the asker still has (one by :id), latest first, before a row.
SELECT job.id, job.dataset, job.format, job.store_ids, job.asked_from, job.asked_before, job.compare_id, job.requested_by,
    job.role, job.requested_at, job.state, job.reason, job.ended_at, job.manifest, made.attempts, made.rows_done, made.percent
FROM export_jobs AS job JOIN export_progress AS made ON made.job_id = job.id
WHERE (:id::uuid IS NULL OR job.id = :id::uuid)
    AND job.requested_by = :actor AND job.role = :role
    AND (:store_ids::uuid[] IS NULL OR job.store_ids <@ :store_ids::uuid[])
    AND (:before_at::timestamptz IS NULL OR (job.requested_at, job.id) < (:before_at::timestamptz, :before_id::uuid))
ORDER BY job.requested_at DESC, job.id DESC
LIMIT :limit;

-- count_jobs: how many jobs such a list has.
SELECT count(*)
FROM export_jobs AS job
WHERE job.requested_by = :actor AND job.role = :role
    AND (:store_ids::uuid[] IS NULL OR job.store_ids <@ :store_ids::uuid[]);

-- cancel_waiting: end a job that nobody is at.
UPDATE export_jobs
SET state = 'cancelled', reason = 'cancelled before it was begun', ended_at = now()
WHERE id = (SELECT job.id FROM export_jobs AS job WHERE job.id = :id AND job.state = 'waiting' FOR UPDATE SKIP LOCKED);

-- ask_to_cancel: tell whoever is at it.
UPDATE export_progress SET cancel_asked = true WHERE job_id = :id;

-- take: the job that has waited longest and nobody is at, held until the transaction ends.
SELECT id, dataset, format, store_ids, asked_from, asked_before, compare_id, role
FROM export_jobs
WHERE state = 'waiting'
ORDER BY requested_at, id
LIMIT 1
FOR UPDATE SKIP LOCKED;

-- begin: count a beginning; whatever was written before is written afresh.
UPDATE export_progress
SET attempts = attempts + 1, started_at = now(), rows_done = 0, percent = NULL
WHERE job_id = :id
RETURNING attempts, cancel_asked;

-- note: say how far a job is, and hear whether it shall end.
UPDATE export_progress
SET rows_done = :rows, percent = :percent
WHERE job_id = :id
RETURNING cancel_asked;

-- put_back: a server that is told to stop has not failed at the job.
UPDATE export_progress SET attempts = attempts - 1 WHERE job_id = :id RETURNING attempts;

-- done: a file is there.
UPDATE export_jobs SET state = 'done', ended_at = now(), manifest = :manifest WHERE id = :id;

-- ended: there is no file, and why.
UPDATE export_jobs SET state = :state, ended_at = now(), reason = :reason WHERE id = :id;

-- forget: jobs that ended longer ago than files are kept.
DELETE FROM export_jobs
WHERE state <> 'waiting' AND ended_at < now() - make_interval(days => :days)
RETURNING id, dataset, format;

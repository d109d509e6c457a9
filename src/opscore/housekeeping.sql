-- forget_commands: outcomes older than the days that keys are remembered for, some at a time so that no lock is held long.
DELETE FROM commands
WHERE ctid = ANY (
    ARRAY(SELECT ctid FROM commands WHERE recorded_at < now() - make_interval(days => :days) LIMIT :limit)
);

-- drop_snapshots: all but the newest one of each stream, and those that another program's rules made.
DELETE FROM snapshots AS kept
WHERE fold_digest <> :fold_digest
    OR EXISTS (
        SELECT FROM snapshots AS newer
        WHERE newer.stream_id = kept.stream_id AND newer.version > kept.version
            AND newer.fold_digest = kept.fold_digest
    );

-- end: what is in force of these codes and is not the version that they have now is in force no more.
UPDATE kpi_definitions AS known SET in_force_until = clock_timestamp()
FROM unnest(:codes::text[], :versions::integer[]) AS now (code, version)
WHERE known.code = now.code AND known.version <> now.version AND known.in_force_until IS NULL;

-- end_gone: what is in force of codes that there are no more is in force no more.
UPDATE kpi_definitions SET in_force_until = clock_timestamp()
WHERE code <> ALL (:codes::text[]) AND in_force_until IS NULL;

-- differing: a version that was in force with another meaning.
SELECT known.code, known.version
FROM kpi_definitions AS known
JOIN unnest(:codes::text[], :versions::integer[], :digests::text[]) AS now (code, version, digest)
    ON known.code = now.code AND known.version = now.version
WHERE known.digest <> now.digest
ORDER BY known.code
LIMIT 1;

-- begin: these versions are in force from now on, those that are already go on; words about them are taken over.
INSERT INTO kpi_definitions AS known (code, version, digest, definition, in_force_from)
SELECT now.code, now.version, now.digest, now.definition, clock_timestamp()
FROM unnest(:codes::text[], :versions::integer[], :digests::text[], :definitions::jsonb[])
    AS now (code, version, digest, definition)
ON CONFLICT (code) WHERE in_force_until IS NULL
DO UPDATE SET definition = excluded.definition WHERE known.definition <> excluded.definition;

-- listed: every stretch of time in which a version was in force, oldest first; of one code or of all.
SELECT code, version, digest, definition, in_force_from, in_force_until
FROM kpi_definitions
WHERE :code::text IS NULL OR code = :code::text
ORDER BY code, in_force_from;

-- hour_of: the hour of its day (0 to 23) that a moment falls into, by the clock of an IANA zone.
CREATE FUNCTION hour_of(moment timestamptz, zone text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT extract(hour FROM moment AT TIME ZONE zone)::bigint
$$;

"""A function by which a rebuild has the log looked at that the planner does not know, after an import or a restore."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# As its owner, who alone may ANALYZE a table before PostgreSQL 17; it reads and changes no event. Of several that ask
# at once, the first does it and the others find it done.
FUNCTION = """
CREATE FUNCTION analyze_events() RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = {schema}, pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock('events'::regclass::oid::bigint);
    IF EXISTS (
        SELECT FROM pg_stats AS known
        WHERE known.schemaname = current_schema() AND known.tablename = 'events' AND known.attname = 'type'
    ) AND NOT EXISTS (
        SELECT FROM pg_stat_user_tables AS counted
        WHERE counted.relid = 'events'::regclass AND counted.n_mod_since_analyze > counted.n_live_tup / 2
    ) THEN
        RETURN false;
    END IF;
    ANALYZE events;
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION analyze_events() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION analyze_events() TO {app};
"""


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("SELECT current_schema()").scalar_one()
    quoted = {"schema": schema, "app": f"{schema}_app"}
    names = {name: '"' + each.replace('"', '""') + '"' for name, each in quoted.items()}
    op.get_bind().exec_driver_sql(FUNCTION.format(**names))

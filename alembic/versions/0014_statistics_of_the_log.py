"""A function by which a rebuild has the log looked at that the planner does not know, after an import or a restore."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# As its owner, who alone may ANALYZE a table before PostgreSQL 17; it reads and changes no event. Names are looked up
# in pg_catalog alone: the application's role makes functions in the schema of the log, and one that is called like one
# of PostgreSQL's must never run as the owner. Of several that ask at once, the first does it, the others find it done.
FUNCTION = """
CREATE FUNCTION analyze_events() RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock('{events}'::regclass::oid::bigint);
    IF EXISTS (
        SELECT FROM pg_stats AS known
        WHERE known.schemaname = '{name}' AND known.tablename = 'events' AND known.attname = 'type'
    ) AND NOT EXISTS (
        SELECT FROM pg_stat_user_tables AS counted
        WHERE counted.relid = '{events}'::regclass AND counted.n_mod_since_analyze > counted.n_live_tup / 2
    ) THEN
        RETURN false;
    END IF;
    ANALYZE {schema}.events;
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION analyze_events() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION analyze_events() TO {app};
"""


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def upgrade() -> None:
    name = op.get_bind().exec_driver_sql("SELECT current_schema()").scalar_one()
    schema = _quoted(name)
    names = {"schema": schema, "app": _quoted(f"{name}_app")}
    literals = {"name": name.replace("'", "''"), "events": f"{schema}.events".replace("'", "''")}
    op.get_bind().exec_driver_sql(FUNCTION.format(**names, **literals))

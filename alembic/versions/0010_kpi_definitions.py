"""Which definition of each key figure was in force when, so that an edited kpis.toml loses none."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

DEFINITIONS = """
CREATE TABLE kpi_definitions (
    code            text COLLATE "C" NOT NULL,
    version         integer NOT NULL CHECK (version > 0),
    digest          text COLLATE "C" NOT NULL,
    definition      jsonb NOT NULL,
    in_force_from   timestamptz NOT NULL,
    in_force_until  timestamptz CHECK (in_force_until >= in_force_from),
    PRIMARY KEY (code, in_force_from)
);

-- One version of a figure is in force at a time.
CREATE UNIQUE INDEX kpi_definitions_in_force ON kpi_definitions (code) WHERE in_force_until IS NULL;
"""


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("SELECT current_schema()").scalar_one()
    op.get_bind().exec_driver_sql(DEFINITIONS)
    app = '"' + f"{schema}_app".replace('"', '""') + '"'
    op.get_bind().exec_driver_sql(
        f"GRANT SELECT, INSERT, UPDATE (definition, in_force_until) ON kpi_definitions TO {app}"
    )

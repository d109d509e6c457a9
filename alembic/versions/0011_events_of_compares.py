"""The events behind compared rows, what promoted which version and when, and whether a version's checks hold.

Of comparisons that were made before, events are looked up as long as both versions stand; of promotions, the last one
of each version is known.
"""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

KEPT = """
ALTER TABLE projection_compares
    ADD COLUMN remarks jsonb NOT NULL DEFAULT '[]', ADD COLUMN rows_with_events bigint NOT NULL DEFAULT 0;

CREATE TABLE projection_compare_events (
    -- They are kept before the comparison is, in one transaction.
    compare_id  uuid NOT NULL REFERENCES projection_compares (id) DEFERRABLE INITIALLY DEFERRED,
    number      bigint NOT NULL,
    place       bigint NOT NULL,
    position    bigint NOT NULL,
    old         jsonb,
    new         jsonb,
    PRIMARY KEY (compare_id, number, place)
);

ALTER TABLE export_jobs ADD COLUMN compare_id uuid;
"""

PROMOTIONS = """
CREATE TABLE projection_promotions (
    name          text COLLATE "C" NOT NULL,
    number        bigint NOT NULL,
    version       integer NOT NULL,
    from_version  integer,
    digest        text COLLATE "C" NOT NULL,
    position      bigint NOT NULL,
    promoted_at   timestamptz NOT NULL,
    promoted_by   text NOT NULL,
    compare_id    uuid REFERENCES projection_compares (id),
    despite       text,
    PRIMARY KEY (name, number)
);

INSERT INTO projection_promotions (name, number, version, digest, position, promoted_at, promoted_by)
SELECT name, row_number() OVER (PARTITION BY name ORDER BY promoted_at, version), version, digest, position,
    promoted_at, coalesce(promoted_by, '')
FROM projection_catalogue WHERE promoted_at IS NOT NULL;

ALTER TABLE projection_catalogue ADD COLUMN failed_checks jsonb;
"""


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("SELECT current_schema()").scalar_one()
    app = '"' + f"{schema}_app".replace('"', '""') + '"'
    op.get_bind().exec_driver_sql(KEPT)
    op.get_bind().exec_driver_sql(PROMOTIONS)
    op.get_bind().exec_driver_sql(f"GRANT SELECT, INSERT ON projection_compare_events, projection_promotions TO {app}")

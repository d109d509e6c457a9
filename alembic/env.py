"""Runs migrations on the operator's schema: over the connection that `opscore migrate` hands in, else over its own."""

from alembic import context

from opscore.database import Database
from opscore.migrations import engine, prepare
from opscore.settings import load_settings


def run(connection: object, schema: str) -> None:
    """Apply what is missing in one transaction; the version table lives in the operator's own schema."""
    context.configure(
        connection=connection,  # type: ignore[arg-type]
        version_table="alembic_version",
        version_table_schema=schema,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


attributes = context.config.attributes
if "connection" in attributes:
    run(attributes["connection"], attributes["database"].schema)
else:
    with Database.open(load_settings()) as database:
        prepare(database)
        with engine(database).connect() as own, own.begin():
            run(own, database.schema)

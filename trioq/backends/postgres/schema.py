"""Whether a schema has our tables, and the migrations that make them.  No job is touched here.

Opening a store migrates nothing: a worker need not be allowed to create tables, and an operator decides when a large
table is changed.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from ..._core.errors import BackendError, SchemaMissing, SchemaTooNew
from .queries import quoted

if TYPE_CHECKING:
    from .connection import Connection


def migrations() -> list[tuple[int, str]]:
    """Each migration's number and script, in order."""
    scripts = (entry for entry in files(__package__).joinpath("migrations").iterdir() if entry.name.endswith(".sql"))
    return sorted((int(script.name[:4]), script.read_text(encoding="utf-8")) for script in scripts)


#: The layout that this trioq reads and writes.
LAYOUT: Final = migrations()[-1][0]

#: Makes two migrations of a schema wait for each other, by a number of ours and one of the schema's.
_LOCK: Final = b"SELECT pg_advisory_xact_lock(%s, hashtext(%s))"
_LOCK_NUMBER: Final = 0x7472696F  # "trio" in ASCII

_IS_THERE: Final = b"SELECT to_regnamespace(%s) IS NOT NULL, to_regclass(%s) IS NOT NULL, to_regclass(%s) IS NOT NULL"


def require_layout(found: int | None, where: str, schema: str) -> None:
    """Refuse a store of another layout than ours."""
    if found is None or found < LAYOUT:
        raise SchemaMissing(where, schema)
    if found > LAYOUT:
        raise SchemaTooNew(where, found, LAYOUT)


async def migrate(connection: Connection[Any], where: str, schema: str) -> None:
    """Bring the schema to our layout, or leave it as it was; nothing that is there is dropped.

    Any number of processes may do so at once.
    """
    async with connection.transaction():
        await connection.execute(_LOCK, (_LOCK_NUMBER, schema))
        found = await _layout_of(connection, where, schema)
        if found > LAYOUT:
            raise SchemaTooNew(where, found, LAYOUT)
        for number, script in migrations():
            if number > found:
                await connection.execute(script.encode())
                await connection.execute("INSERT INTO trioq_migrations (number) VALUES (%s)", (number,))


async def _layout_of(connection: Connection[Any], where: str, schema: str) -> int:
    """Enter the schema, and return the number of its layout; 0 for an empty one, which is made where there is none."""
    names = [quoted(schema), *(f"{quoted(schema)}.{table}" for table in ("trioq_migrations", "jobs"))]
    [(schema_is_there, ours, jobs)] = await (await connection.execute(_IS_THERE, names)).fetchall()
    await connection.execute(f"SET LOCAL search_path TO {quoted(schema)}".encode())
    if ours:
        [(number,)] = await (await connection.execute("SELECT max(number) FROM trioq_migrations")).fetchall()
        return number or 0
    if jobs:
        raise BackendError(f"{where}: schema {schema} has a table jobs that isn't trioq's. Choose another schema")
    if not schema_is_there:  # else a user who may not create one could not use one that is there
        await connection.execute(f"CREATE SCHEMA {quoted(schema)}".encode())
    return 0

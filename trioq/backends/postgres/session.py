"""One connection for the time of one verb: statements by their names.  What they mean is elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs
from psycopg import AsyncCursor
from psycopg.rows import tuple_row

from .connection import Connection
from .rows import Row


@attrs.frozen
class Terms:
    """What all requests to one store have in common."""

    statements: Mapping[str, bytes]  #: for the tables of its schema
    sender: str  #: who gives them


@attrs.frozen
class Session:
    """A connection, and what is bound in every statement."""

    connection: Connection[Any]
    terms: Terms
    now: float | None = None  #: the store's now, where it is not the server's clock
    notifies: bool = True  #: whether what it writes gives hints, with its commit
    carried: Sequence[str] = ()  #: hints of others that its commit gives as well

    async def ask(self, name: str, /, **values: Any) -> list[Row]:
        """The rows of a statement."""
        return await _rows(await self._begin(name, values))

    async def ask_all(self, *asked: tuple[str, Mapping[str, Any]]) -> list[list[Row]]:
        """The rows of each of several statements, which go to the server at once, as one transaction."""
        async with self.connection.pipeline():
            cursors = [await self._begin(name, values) for name, values in asked]
        return [await _rows(cursor) for cursor in cursors]

    async def _begin(self, name: str, values: Mapping[str, Any]) -> AsyncCursor[Row]:
        # A connection of the user's may have rows of another kind.
        cursor = AsyncCursor(self.connection, row_factory=tuple_row)
        return await cursor.execute(self.terms.statements[name], {**values, "now": self.now}, binary=True)

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """All that is asked inside is stored, or nothing; inside another it is a part of that."""
        return self.connection.transaction()


async def _rows(cursor: AsyncCursor[Row]) -> list[Row]:
    result = cursor.pgresult  # `description` would say the same, and describe each column
    # In a pipeline of the user's there is no result before it is fetched.
    return await cursor.fetchall() if result is None or result.nfields else []

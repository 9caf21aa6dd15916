"""One connection for the time of one verb: runs statements by their names.  What they mean is in ``queries.sql``."""

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
    sender: str  #: the sender of their hints


@attrs.frozen
class Session:
    """A connection, and what is bound in every statement."""

    connection: Connection[Any]
    terms: Terms
    now: float | None = None  #: the store's now, where it is not the server's clock
    notifies: bool = True  #: whether what it writes gives hints, with its commit
    carried: Sequence[str] = ()  #: hints of earlier commits that its commit gives as well

    async def ask(self, name: str, /, **values: Any) -> list[Row]:
        """Run a statement, and return its rows."""
        return await _rows(await self._begin(name, values))

    async def ask_all(self, *asked: tuple[str, Mapping[str, Any]]) -> list[list[Row]]:
        """Send several statements to the server at once, as one transaction, and return the rows of each."""
        async with self.connection.pipeline():
            cursors = [await self._begin(name, values) for name, values in asked]
        return [await _rows(cursor) for cursor in cursors]

    async def _begin(self, name: str, values: Mapping[str, Any]) -> AsyncCursor[Row]:
        # A caller's own connection may have rows of another kind.
        cursor = AsyncCursor(self.connection, row_factory=tuple_row)
        return await cursor.execute(self.terms.statements[name], {**values, "now": self.now}, binary=True)

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """Begin a transaction: its statements are stored all or none; inside another it is a part of that."""
        return self.connection.transaction()


async def _rows(cursor: AsyncCursor[Row]) -> list[Row]:
    result = cursor.pgresult  # `description` would say the same, and describe each column
    # In a caller's own pipeline there is no result before it is fetched.
    return await cursor.fetchall() if result is None or result.nfields else []

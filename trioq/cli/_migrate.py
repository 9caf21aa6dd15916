"""``trioq migrate URL``: make a store's tables, or bring them up to date."""

from __future__ import annotations

from typing import Annotated

import trio
import typer

from ..backends import Backend, open_backend
from ..backends.postgres import PostgresBackend


def migrate(
    url: Annotated[str, typer.Argument(metavar="URL", help="The store, such as postgresql://USER@HOST/DATABASE.")],
    schema: Annotated[
        str | None, typer.Option(help="PostgreSQL's schema with the tables; else the schema trioq.")
    ] = None,
) -> None:
    """Make the tables of a store, or bring them up to date; nothing that is there is dropped.

    PostgreSQL wants this before its first use, and after an upgrade of trioq that says so; the other stores do it
    themselves when they are opened. It can be repeated, and run by several processes at once.
    """
    try:
        backend = _named(url, schema)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    trio.run(backend.migrate)
    print(f"{backend} is up to date")


def _named(url: str, schema: str | None) -> Backend:
    backend = open_backend(url)
    if schema is None:
        return backend
    if not isinstance(backend, PostgresBackend):
        raise ValueError(f"only PostgreSQL has schemas, and {url} is none")
    return PostgresBackend(url, schema)

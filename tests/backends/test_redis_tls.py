"""``rediss://``: through a proxy that ends TLS, with certificates of our own."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
import trustme

from tests.servers import Server
from trioq import BackendUnavailable
from trioq.backends.redis import RedisBackend
from trioq.lifecycle import Job


@asynccontextmanager
async def tls_before(server: Server, authority: trustme.CA, name: str) -> AsyncIterator[int]:
    """A port that speaks TLS as *name* and passes on what is said to the server."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)

    async def pass_on(client: trio.SSLStream[trio.SocketStream]) -> None:
        try:
            async with (
                client,
                await trio.open_tcp_stream("127.0.0.1", server.port) as inside,
                trio.open_nursery() as both,
            ):
                both.start_soon(_pump, client, inside, both)
                both.start_soon(_pump, inside, client, both)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_ssl_over_tcp, pass_on, 0, context, host="127.0.0.1"))
        yield listeners[0].transport_listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def _pump(source: trio.abc.ReceiveStream, sink: trio.abc.SendStream, both: trio.Nursery) -> None:
    while data := await source.receive_some():
        await sink.send_all(data)
    both.cancel_scope.cancel()


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, Path]:
    """Who signs the certificates, and a file that says so."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return authority, tmp_path / "ca.pem"


async def test_jobs_go_over_tls(server: Server, authority: tuple[trustme.CA, Path]) -> None:
    signer, file = authority
    async with tls_before(server, signer, "localhost") as port:
        url = f"rediss://localhost:{port}?ssl_ca_certs={file}"
        async with RedisBackend(url) as backend, backend.watch(["q"]) as hints:
            await backend.insert([Job(id="1", queue="q", task="t")])
            await hints.receive()
            assert await backend.queues() == ["q"]


async def test_a_server_that_is_not_who_the_url_names_is_not_talked_to(
    server: Server, authority: tuple[trustme.CA, Path]
) -> None:
    signer, file = authority
    async with tls_before(server, signer, "elsewhere.example.org") as port:
        with pytest.raises(BackendUnavailable, match="certificate"):
            async with RedisBackend(f"rediss://localhost:{port}?ssl_ca_certs={file}"):
                pass
        async with RedisBackend(f"rediss://localhost:{port}?ssl_ca_certs={file}&ssl_check_hostname=false") as backend:
            assert await backend.queues() == []


async def test_a_certificate_of_an_unknown_authority_is_refused_unless_the_url_allows_it(
    server: Server, authority: tuple[trustme.CA, Path]
) -> None:
    async with tls_before(server, authority[0], "localhost") as port:
        with pytest.raises(BackendUnavailable, match="certificate"):
            async with RedisBackend(f"rediss://localhost:{port}"):
                pass
        async with RedisBackend(f"rediss://localhost:{port}?ssl_cert_reqs=none") as backend:
            assert await backend.queues() == []

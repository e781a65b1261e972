"""anyio makes its TLS objects in worker threads, gives host names as octets, and looks for an end without close_notify
in `strerror`."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable

import anyio
import anyio.streams.tls
import pytest

from dnsbound.edge.context import Context
from dnsbound.tls.errors import TLSCertificateRefused
from interop.python_clients.conftest import HOST, Files, in_thread
from machines.native_pairs import authority


def port_of(url: str) -> int:
    return int(url.rsplit(":", 1)[1])


async def get(context: Context, port: int, path: str) -> bytes:
    stream = await anyio.connect_tcp(HOST, port, ssl_context=context, tls_standard_compatible=False)
    async with stream:
        assert stream.extra(anyio.streams.tls.TLSAttribute.tls_version) == "TLSv1.3"
        await stream.send(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        with anyio.fail_after(20):
            while True:
                try:
                    answer += await stream.receive()
                except anyio.EndOfStream:
                    return answer


def test_many_objects_from_many_threads(context: Context, servers: Callable[[str], str]) -> None:
    port = port_of(servers("good"))

    async def work() -> list[bytes]:
        return await asyncio.gather(*(get(context, port, f"/{number}") for number in range(20)))

    answers = asyncio.run(work())
    assert all(b"/%d" % number in answer for number, answer in enumerate(answers))


def test_wrong_name(context: Context, servers: Callable[[str], str]) -> None:
    with pytest.raises(TLSCertificateRefused):
        asyncio.run(get(context, port_of(servers("wrong name")), "/"))


@pytest.mark.parametrize("standard", [True, False])
def test_end_without_close_notify(files: Callable[[str], Files], standard: bool) -> None:
    """An error where the standard is asked for; the end of the stream where it is not."""
    its = files("good")

    async def serve(listening: object, stop: asyncio.Event) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(its.certificate, its.key)

        async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(1)
            writer.write(b"half a se")
            await writer.drain()
            transport = writer.transport
            lower = transport._ssl_protocol._transport  # type: ignore[attr-defined]
            lower.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

        async with await asyncio.start_server(cut, sock=listening.dup(), ssl=context):  # type: ignore[attr-defined]
            await stop.wait()

    async def read(port: int) -> bytes:
        context = Context.client()
        context.load_verify_locations(cadata=authority().chain[0])
        stream = await anyio.connect_tcp(HOST, port, ssl_context=context, tls_standard_compatible=standard)
        async with stream:
            await stream.send(b"x")
            octets = b""
            with anyio.fail_after(20):
                while True:
                    try:
                        octets += await stream.receive()
                    except anyio.EndOfStream:
                        return octets

    with in_thread(serve) as port:
        if standard:
            with pytest.raises(anyio.BrokenResourceError):
                asyncio.run(read(port))
        else:
            assert asyncio.run(read(port)) == b"half a se"

"""Unmodified servers on a thread and a loop of their own, as programs run them."""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import hypercorn.asyncio
import hypercorn.config
import uvicorn

from dnsbound import Context, loop_factory
from machines.doors import PATIENCE

LOOP_NAMES = {"asyncio": "dnsbound.edge.loop:DnsboundSelectorEventLoop", "uvloop": "dnsbound:loop_factory"}
"""What uvicorn's `--loop` takes."""


@contextmanager
def uvicorn_server(kind: str, app: Any, context: Context, **options: Any) -> Iterator[int]:
    """uvicorn.Server.run, which makes the loop that its configuration names; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            app,
            loop=LOOP_NAMES[kind],
            ssl_context_factory=lambda config, default: context,
            log_level="error",
            lifespan="off",
            timeout_graceful_shutdown=5,
            **options,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
            assert not thread.is_alive()


@contextmanager
def on_a_thread(kind: str, serve: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> Iterator[None]:
    """Run `serve(stop)` on a loop of ours; what it raises fails the test."""
    loop = loop_factory(kind)  # type: ignore[arg-type]
    stop = asyncio.Event()
    failed: list[BaseException] = []

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            try:
                runner.run(serve(stop))
            except BaseException as error:  # noqa: BLE001 (shown to the test)
                failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert failed == []


class HypercornConfig(hypercorn.config.Config):
    """hypercorn makes its TLS context in its Config: that is where a program hands in its own."""

    context: Context

    @property
    def ssl_enabled(self) -> bool:
        return True

    def create_ssl_context(self) -> Context:
        self.context.set_alpn_protocols(self.alpn_protocols)
        return self.context


@contextmanager
def hypercorn_server(kind: str, app: Any, context: Context) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    port: int = listener.getsockname()[1]
    config = HypercornConfig()
    config.context = context
    config.bind = [f"fd://{listener.detach()}"]  # hypercorn's to close from here on
    config.graceful_timeout = 1
    config.loglevel = "ERROR"

    async def serve(stop: asyncio.Event) -> None:
        await hypercorn.asyncio.serve(app, config, shutdown_trigger=stop.wait)

    with on_a_thread(kind, serve):
        yield port

"""An event loop on a thread of its own, so that servers run beside ordinary, blocking tests."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Final, Self, TypeVar

from dnsbound.errors import Misuse

_WAIT_SECONDS: Final = 10.0

T = TypeVar("T")


class BackgroundLoop:
    """Enter it to start the thread; leaving it cancels what still runs, closes the loop and joins the thread."""

    def __init__(self, name: str = "background-loop") -> None:
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)

    def run(self, work: Coroutine[Any, Any, T], *, seconds: float = _WAIT_SECONDS) -> T:
        """Run a coroutine on the loop and wait for its result; TimeoutError after `seconds`."""
        if threading.current_thread() is self._thread:
            work.close()
            raise Misuse("the loop's own thread cannot wait for it")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(_WAIT_SECONDS)

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._stopped.wait())

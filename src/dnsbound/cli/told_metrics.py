"""Keeping a service's Prometheus metrics as a file, and serving them over HTTP, while the service runs."""

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dnsbound.cli.metrics import require_library, served_metrics
from dnsbound.cli.output import advise
from dnsbound.errors import Misuse
from dnsbound.times import Seconds

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

FILE_SECONDS: Final[Seconds] = 15.0
"""Between two files."""


@contextmanager
def told_metrics(
    collector: "Collector", *, file: Path | None, listen: str | None, port: int, log: logging.Logger
) -> Iterator[None]:
    """Keep a file up to date, and serve metrics over HTTP, while the block lasts; in a process that may have threads.

    port: where `listen` says none. log: of the service, for a file that cannot be written later on. Misuse when the
    file cannot be written, or nothing can be listened on there.
    """
    with ExitStack() as kept:
        if file is not None:
            kept.enter_context(_kept_file(file, collector, log))
        if listen is not None:
            url = kept.enter_context(served_metrics(listen, collector, port=port))
            advise(f"Metrics at {url}")
        yield


@contextmanager
def _kept_file(path: Path, collector: "Collector", log: logging.Logger) -> Iterator[None]:
    require_library()
    from prometheus_client import CollectorRegistry, write_to_textfile

    registry = CollectorRegistry()
    registry.register(collector)
    ended = threading.Event()

    def keep() -> None:
        while not ended.wait(FILE_SECONDS):
            try:
                write_to_textfile(str(path), registry)
            except OSError as error:
                log.warning("%s: %s", path, error.strerror)

    try:
        write_to_textfile(str(path), registry)
    except OSError as error:
        raise Misuse(f"--metrics {path}: {error.strerror or error}") from None
    thread = threading.Thread(target=keep, name="metrics file")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

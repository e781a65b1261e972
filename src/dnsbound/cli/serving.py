"""What commands have in common that serve HTTPS with uvicorn: listening, ending, showing decisions."""

import contextlib
import logging
import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket
    import ssl
    from types import FrameType

    import uvicorn

_BACKLOG = 128


def listening(host: str, port: int) -> "socket.socket":
    """Listening before its address is told, so that nobody who reads it comes too early."""
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    # Accepted sockets have it from here; asyncio sets it only where a socket was made with the number of TCP.
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def always(context: "ssl.SSLContext") -> Callable[..., Any]:
    return lambda _config, _default: context


@contextlib.contextmanager
def decisions_shown() -> Iterator[None]:
    """Decisions and other events of the package, one line each on standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("dnsbound")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@contextlib.contextmanager
def ended_by_signals(server: "uvicorn.Server") -> Iterator[None]:
    """From before the address is told, a signal is the server's end and no error. uvicorn ends in order at signals,
    too, and raises them again afterwards: for this handler."""

    def end(_number: int, _frame: "FrameType | None") -> None:
        server.should_exit = True

    former = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def url_of(host: str, listener: "socket.socket") -> str:
    """Where it is served."""
    return f"https://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}/"

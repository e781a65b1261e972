"""The buffer that plain transports receive into: one for each event loop where that is safe."""

import asyncio
import sys
from typing import Final
from weakref import WeakKeyDictionary

SHARED_OCTETS: Final = 262_144
OWN_OCTETS: Final = 32_768

_shared: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, memoryview]] = WeakKeyDictionary()


def buffer_for(loop: asyncio.AbstractEventLoop) -> memoryview:
    """A buffer to return from `get_buffer`.

    asyncio's selector loops and uvloop ask for the buffer, receive into it and report within one step of the loop, so
    all connections of a loop may share one; half-open connections then cost no buffer at all. Any other loop may keep
    a receive pending in it (Windows' proactor does), so there each connection gets its own.
    """
    buffer = _shared.get(loop)
    if buffer is None:
        if not _reports_at_once(loop):
            return memoryview(bytearray(OWN_OCTETS))
        buffer = _shared[loop] = memoryview(bytearray(SHARED_OCTETS))
    return buffer


def _reports_at_once(loop: asyncio.AbstractEventLoop) -> bool:
    uvloop = sys.modules.get("uvloop")
    return isinstance(loop, asyncio.SelectorEventLoop) or (uvloop is not None and isinstance(loop, uvloop.Loop))

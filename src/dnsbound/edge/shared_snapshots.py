"""What each worker process last said of itself, in memory that all processes of a service share.

It is made before the workers are forked. One process writes each place and any process reads it, at any moment and
without a lock: what a worker said stays there when it dies, for those who add up and for the worker that takes its
place. A place has two banks, written in turn; what is being written is not what is read, and a digest tells where a
reader was overtaken all the same.

What this is not: a queue. What nobody has read is overwritten.
"""

import mmap
import struct
import zlib
from typing import Final

from dnsbound.errors import LimitExceeded
from dnsbound.limits import SNAPSHOT_OCTETS, WORKERS

_TURN: Final = struct.Struct("Q")
"""How often the place was written; the last bank is the one of that parity. 0: never."""
_BANK: Final = struct.Struct("II")
"""Octets and CRC-32 of what follows."""
_TRIES: Final = 8


class SharedSnapshots:
    """Places of `count` workers, each for octets of up to `octets`."""

    def __init__(self, count: int, *, octets: int | None = None) -> None:
        self.count: Final = WORKERS.checked(count)
        self._octets = SNAPSHOT_OCTETS.checked(octets)
        self._bank_octets = _BANK.size + self._octets
        self._place_octets = _TURN.size + 2 * self._bank_octets
        self._memory = mmap.mmap(-1, max(1, count) * self._place_octets)

    def put(self, worker: int, said: bytes) -> None:
        """By that worker alone. LimitExceeded when it is too long; what was there stays."""
        if len(said) > self._octets:
            raise LimitExceeded(SNAPSHOT_OCTETS.name, f"a worker says {len(said)} octets of itself")
        at = worker * self._place_octets
        (turn,) = _TURN.unpack_from(self._memory, at)
        turn += 1
        bank = self._bank_of(at, turn)
        _BANK.pack_into(self._memory, bank, len(said), zlib.crc32(said))
        self._memory[bank + _BANK.size : bank + _BANK.size + len(said)] = said
        _TURN.pack_into(self._memory, at, turn)

    def get(self, worker: int) -> bytes | None:
        """What it said last; None when it has not said anything, or says new things faster than they can be read."""
        at = worker * self._place_octets
        for _ in range(_TRIES):
            (turn,) = _TURN.unpack_from(self._memory, at)
            if not turn:
                return None
            bank = self._bank_of(at, turn)
            length, digest = _BANK.unpack_from(self._memory, bank)
            said = self._memory[bank + _BANK.size : bank + _BANK.size + min(length, self._octets)]
            if zlib.crc32(said) == digest:
                return said
        return None

    def all(self) -> list[bytes]:
        """Of each worker that has said anything, in their order."""
        return [said for worker in range(self.count) if (said := self.get(worker)) is not None]

    def close(self) -> None:
        self._memory.close()

    def _bank_of(self, at: int, turn: int) -> int:
        return at + _TURN.size + turn % 2 * self._bank_octets

"""Settling reports in batches: while one transaction is written, what comes meanwhile makes up the next.

A transaction waits for the disk, and that takes as long for one report as for a hundred. Nobody waits for a batch to
fill: a report that comes alone is written alone.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from dnsbound.errors import DnsboundError
from dnsbound.object_limits import REPORT_BATCH
from dnsbound.provision.reports.intake import Proven, Settled

_Waiting = tuple[Proven, "asyncio.Future[Settled]"]


class ReportBatches:
    """For one event loop at a time."""

    def __init__(self, write: Callable[[Sequence[Proven]], list[Settled]], *, most: int | None = None) -> None:
        """write: settles a batch, in a thread of its own. most: reports of one batch."""
        self._write = write
        self._most: Final = REPORT_BATCH.checked(most)
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None

    async def settle(self, proven: Proven) -> Settled:
        """What became of it, once that is on disk. As `Intake.settle` raises."""
        future: asyncio.Future[Settled] = asyncio.get_running_loop().create_future()
        self._waiting.append((proven, future))
        if self._writer is None:
            self._writer = asyncio.create_task(self._run())
        return await future

    async def close(self) -> None:
        """Wait until what was begun is written."""
        if self._writer is not None:
            await self._writer

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._settle(batch)
        finally:
            self._writer = None
            for _, future in self._waiting:
                future.cancel()
            self._waiting = []

    async def _settle(self, batch: list[_Waiting]) -> None:
        try:
            settled = await asyncio.to_thread(self._write, [proven for proven, _ in batch])
        except DnsboundError as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        except BaseException:
            for _, future in batch:
                future.cancel()
            raise
        for (_, future), each in zip(batch, settled, strict=True):
            if not future.done():
                future.set_result(each)

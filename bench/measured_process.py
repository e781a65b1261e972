"""A server process whose CPU time is read from the kernel, started and stopped by the benchmark."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class MeasuredProcess:
    """One process and its descendants. port: where it listens, or the path of a Unix socket. datagram: of UDP."""

    def __init__(
        self, command: Sequence[str], *, port: int | Path, log: Path, patience: float = 20.0, datagram: bool = False
    ) -> None:
        self._log = log
        self._listens: Callable[[int | Path], bool] = _is_bound if datagram else _accepts
        with log.open("wb") as output:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self._wait_for(port, patience)

    def _wait_for(self, port: int | Path, patience: float) -> None:
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"server ended: {self._log.read_text()[-2000:]}")
            if self._listens(port):
                return
            time.sleep(0.05)
        self.__exit__(None, None, None)
        raise RuntimeError(f"server did not listen on {port}: {self._log.read_text()[-2000:]}")

    @property
    def pid(self) -> int:
        return self._process.pid

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)


def cpu_seconds(pid: int) -> float:
    """User plus system time so far of a process and its descendants, threads that have ended included."""
    return sum(map(_cpu_seconds, _with_descendants(pid)))


def resident_kib(pid: int) -> float:
    """Memory of a process and its descendants that is in use and present, shared pages by their share."""
    return sum(map(_resident_kib, _with_descendants(pid)))


def _with_descendants(pid: int) -> list[int]:
    children = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return [pid, *(descendant for child in children for descendant in _with_descendants(child))]


def _accepts(port: int | Path) -> bool:
    if isinstance(port, Path):
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(port)) == 0
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _is_bound(port: int | Path) -> bool:
    """Some process has a UDP socket there."""
    tables = [Path(f"/proc/net/{name}") for name in ("udp", "udp6")]
    bound = [line.split()[1] for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    return any(int(address.rpartition(":")[2], 16) == port for address in bound)


def _cpu_seconds(pid: int) -> float:
    """To the nanosecond where the kernel keeps it for all the threads there were, else to the clock tick."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = (int(fields[11]) + int(fields[12])) / TICKS
    try:
        threads = [task / "schedstat" for task in Path(f"/proc/{pid}/task").iterdir()]
        return max(ticks, sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9)
    except FileNotFoundError:  # no such file, or a thread that has just ended
        return ticks


def _resident_kib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("Pss:"))

"""The program of worker_service.py beside a test."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from interop.daemon import eventually

SERVICE = Path(__file__).with_name("worker_service.py")
SECONDS = 60.0


class Service:
    """The program of worker_service.py beside a test."""

    def __init__(self, tmp_path, **given):
        self.output, self.log = tmp_path / "output", tmp_path / "log"
        with self.output.open("wb") as output, self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", str(SERVICE), json.dumps({"mode": "serves", **given})],
                stdout=output,
                stderr=log,
                start_new_session=True,
            )

    def told(self, what):
        """What it said of this so far."""
        lines = self.output.read_text().splitlines() if self.output.exists() else []
        return [fact[what] for fact in map(json.loads, lines) if what in fact]

    def wait(self, holds):
        eventually(holds, SECONDS, otherwise=lambda: f"{self.output.read_text()}\n{self.log.read_text()}")

    def serving(self):
        self.wait(lambda: self.told("ready"))
        return self

    def ask(self, worker, text, *, seconds=0.2):
        """Its answer; None for none in time."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asks:
            asks.settimeout(seconds)
            asks.connect(("127.0.0.1", self.told("ports")[0][worker]))
            asks.send(text.encode())
            with contextlib.suppress(TimeoutError):
                return asks.recv(4096).decode()

    def who(self, worker):
        """[index, pid, reloads] of who serves there, as soon as somebody does."""
        found = []

        def answers():
            answer = self.ask(worker, "who")
            found.extend([] if answer is None else json.loads(answer))
            return found

        self.wait(answers)
        return found

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(SECONDS)

    def logged(self):
        return self.log.read_text()


@pytest.fixture
def service(tmp_path):
    made = []

    def start(**given):
        made.append(Service(tmp_path, **given))
        return made[-1]

    yield start
    for each in made:
        if each.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(each.process.pid, signal.SIGKILL)
            each.process.wait(SECONDS)

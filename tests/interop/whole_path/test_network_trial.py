"""The trial that docs/howto/radius.md describes, word by word, with nothing changed but ports, which are free ones."""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from interop.daemon import eventually, run, started

pytestmark = pytest.mark.peer("openssl", "eapol_test", "bash")

ROOT: Final = Path(__file__).parents[3]
HEADING: Final = "## Trying it on one machine\n"
SECONDS: Final = 60.0
PATIENCE: Final = 30.0
"""How long the record may stay in caches."""
DNS: Final = "127.0.0.1:5300"
LISTEN: Final = 'listen = ["127.0.0.1"]'


def blocks() -> list[tuple[str, str]]:
    """Language and text, in order."""
    section = (ROOT / "docs/howto/radius.md").read_text().partition(HEADING)[2].partition("\n## ")[0]
    return re.findall(r"^```(\w+)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def commands(block: str) -> list[str]:
    return block.replace("\\\n", "").splitlines()


class Trial:
    """Terminals in the project's directory."""

    def __init__(self, here: Path, running: contextlib.ExitStack) -> None:
        self.here = here
        self._running = running
        (here / ".venv").mkdir()
        (here / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
        (here / "examples").symlink_to(ROOT / "examples")
        self._begin = ""
        self._changes: dict[str, str] = {"--port 5300": "--port 0", LISTEN: 'listen = ["127.0.0.1:0"]'}

    def begin(self, block: str) -> None:
        """What each terminal begins with."""
        self._begin = block

    def changed(self, text: str) -> str:
        for shown, own in self._changes.items():
            text = text.replace(shown, own)
        return text

    def _bash(self, line: str) -> tuple[list[str], dict[str, str]]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DNSBOUND_", "XDG_"))}
        environment = {**inherited, "HOME": str(self.here), "PYTHONUNBUFFERED": "1"}
        return ["bash", "-ec", f"{self._begin}{self.changed(line)}"], environment

    def type(self, line: str) -> tuple[int, str]:
        """Exit code and all that was said."""
        command, environment = self._bash(line)
        done = run(command, cwd=self.here, env=environment, seconds=SECONDS)
        return done.returncode, done.stdout + done.stderr

    def serve(self, line: str, log: str) -> tuple[str, Callable[[], str]]:
        """A server: where it listens, and what it has said so far."""
        command, environment = self._bash(f"exec {line}")
        daemon = self._running.enter_context(started(command, self.here / log, cwd=self.here, env=environment))

        def listening() -> list[str]:
            return re.findall(r"127\.0\.0\.1:(\d+)\b", daemon.log.read_text())

        daemon.wait_for(lambda: bool(listening()), "it listens", seconds=SECONDS)
        return listening()[0], daemon.log.read_text

    def replace(self, shown: str, own: str) -> None:
        self._changes[shown] = own


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    with contextlib.ExitStack() as running:
        yield Trial(tmp_path, running)


def test_the_page_works_as_it_is_written(trial: Trial) -> None:
    languages = [language for language, _ in blocks()]
    assert languages == ["sh", "sh", "sh", "toml", "toml", "sh", "sh"]
    begin, first, second, configuration, access, serving, third = (text for _, text in blocks())
    trial.begin(begin)

    *making, serve_dns = commands(first)
    for line in (*making, *commands(second)):
        code, said = trial.type(line)
        assert code == 0, f"{line}: {said}"
    port, _ = trial.serve(serve_dns, "dns.log")
    trial.replace(DNS, f"127.0.0.1:{port}")
    (trial.here / "trial" / "radius.toml").write_text(trial.changed(configuration))
    (trial.here / "trial" / "access.toml").write_text(access)

    check, serve = commands(serving)
    code, said = trial.type(check)
    assert (code, re.findall("^fail .*", said, re.MULTILINE)) == (0, []), said
    port, log = trial.serve(serve, "radius.log")
    trial.replace("--server 127.0.0.1 ", f"--server 127.0.0.1:{port} ")
    trial.replace("-p 1812 ", f"-p {port} ")

    ours, network, theirs, revoke = commands(third)
    code, said = trial.type(ours)
    assert (code, said.splitlines()[0]) == (0, "admitted")
    assert "  Tunnel-Private-Group-Id: visitors" in said.splitlines()
    assert trial.type(network) == (0, "")
    code, said = trial.type(theirs)
    assert (code, said.splitlines()[-1]) == (0, "SUCCESS")

    assert trial.type(revoke)[0] == 0
    # Each worker has a cache of its own, and sessions are looked at in their own time.
    eventually(lambda: trial.type(ours)[0] == 1, PATIENCE, otherwise=log)
    eventually(lambda: trial.type(theirs)[1].splitlines()[-1] == "FAILURE", PATIENCE, otherwise=log)
    assert '"reason":"no-tlsa"' in log()
    eventually(lambda: "has to end: no-tlsa" in log(), PATIENCE, otherwise=log)

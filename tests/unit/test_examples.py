"""Every example runs and says what it should; the documents show the examples' own lines, and commands that are."""

import ast
import re
import shlex
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer.main

from dnsbound.cli.app import app
from dnsbound.cli.remedies import REMEDY
from dnsbound.edge.authz_configuration import AuthzConfiguration
from dnsbound.edge.gate_configuration import GateConfiguration
from dnsbound.edge.radius_configuration import RadiusConfiguration
from dnsbound.errors import Reason
from dnsbound.provision.publish.targets import parse_targets
from dnsbound.verify.access import AccessList

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: Final = ROOT / "examples"
DOCUMENTS: Final = (
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "docs" / "howto.md",
    ROOT / "docs" / "tls12.md",
    *sorted((ROOT / "docs" / "howto").glob("*.md")),
)
SECONDS: Final = 60
HELLO: Final = "hello car54._device.cars.example"
SAYS: Final = {
    "access_list.py": [
        r"\[True, False\]",
        r"\[False, True\]",
        "stays as it was: .*access.toml: access list, line 2: .*",
    ],
    "call_webrtc.py": ["car54._device.cars.example: 52 km/h", "the impostor: tlsa-mismatch"],
    "client_aiohttp.py": [HELLO],
    "client_asyncio.py": [HELLO, "shut out: .*alert.*"],
    "client_httpx.py": [HELLO, HELLO],
    "client_paho.py": ["car54._device.cars.example published b'all well' to b'cars/54'"],
    "client_requests.py": [HELLO],
    "decision_log.py": [
        '{"at":.*"verdict":"admitted".*}',
        '{"at":.*"reason":"not-permitted".*}',
        re.escape("{('admitted', ''): 1, ('refused', 'not-permitted'): 1}"),
    ],
    "door_aiohttp.py": [HELLO],
    "door_blocking.py": [HELLO],
    "door_gunicorn.py": [HELLO, "car55 is shut out: .*ALERT.*"],
    "door_hypercorn.py": [f"HTTP/2 {HELLO}"],
    "door_public_private.py": [
        "welcome whoever you are",
        "say who you are",
        "welcome car54._device.cars.example",
        "this is for car54._device.cars.example alone",
    ],
    "door_smtp.py": ["[0-9]+ octets from somebody", "[0-9]+ octets from car54._device.cars.example"],
    "door_uvicorn.py": [HELLO, "car55 is shut out: .*alert.*"],
    "door_websockets.py": ["car54._device.cars.example said 'hello'"],
    "enrolment.py": [
        "not yet: the record is not served everywhere yet",
        "car77._device.cars.example is enrolled by permission 1",
        "its record is its own",
    ],
    "hello.py": [HELLO, "shut out: .*"],
    "late_handshake.py": [
        "somebody says hello",
        "car54._device.cars.example says open the door",
        "somebody says hello",
        "cut: not-permitted: .*",
        "car55 is shut out: .*ALERT_HANDSHAKE_FAILURE",
    ],
    "late_authentication.py": ["hello, whoever you are", "the diary of car54._device.cars.example"],
    "live_sessions.py": [
        r"still here \['truck1._device.cars.example'\]",
        "the server sees: no-tlsa: .*",
        "cut after [0-9.]+ s, TTL 2 s; 0 sessions are left",
    ],
    "lorawan_partners.py": [
        "ns._service.network.example asks for 70b3d57ed0000001",
        "Success 3600",
        "UnknownSender ",
    ],
    "meter_quic.py": [
        "car55 is shut out: .*ALERT_HANDSHAKE_FAILURE.*",
        "car54._device.cars.example: 21.5 degrees",
        "car54._device.cars.example: 21.7 degrees",
        "cut: no-tlsa",
        "the meter: .*ALERT_HANDSHAKE_FAILURE.*",
    ],
    "network_access.py": [
        "car54: admitted, VLAN visitors",
        "car55: refused, VLAN none",
        "put out: 02-00-00-00-00-02",
    ],
    "offline_door.py": [f"{HELLO}, carried", "0 questions to the DNS", "without a chain: .*alert.*"],
    "plant.py": [
        f"TLSv1.3: {HELLO}",
        "TLSv1.2: hello car55._device.cars.example",
        "still on TLS 1.2: car55._device.cars.example",
    ],
    "post_quantum.py": ["hello car56._device.cars.example", "X25519MLKEM768"],
    "radius_over_tls.py": ["car54: admitted", "car55: refused", "the access point is cut and stays out"],
    "resolvers.py": ["secure records"] * 4,
    "resumption.py": [
        "hello truck1._device.cars.example, known by its key",
        "hello truck1._device.cars.example, known by its ticket",
        "shut out: .*alert.*",
    ],
    "sensor_blocking.py": ["car54._device.cars.example: 21.5 degrees", "noted"],
    "sensor_datagrams.py": [
        "car55 is shut out: .*ALERT_HANDSHAKE_FAILURE.*",
        "car54._device.cars.example: 21.5 degrees",
        "car54._device.cars.example: 21.7 degrees",
        "cut: no-tlsa",
    ],
    "server_by_chain.py": [HELLO, "indeterminate: the server sent no DNSSEC chain"],
    "server_by_tlsa.py": ["api.cars.example: 3 1 1", HELLO, "api.cars.example: 3 1 1", "that is not the server: .*"],
    "encrypt_to_a_name.py": [
        r"car54._device.cars.example says position 48.137 11.575",
        r"\d+ octets from car54._device.cars.example",
    ],
    "signed_reports.py": [
        r"Delivery\(accepted=1, refused=0, waiting=0, expired=0, trouble=''\)",
        "accepted True",
        "no-tlsa",
        "car54._device.cars.example 35 True",
    ],
    "ssh_signature.py": ["car54._device.cars.example", "tlsa-mismatch"],
    "signed_mail.py": [
        "car54._device.cars.example wrote: Twelve kilometres.",
        "on the way somebody changed it: bad-signature",
    ],
    "sign_and_verify.py": ["car54._device.cars.example drove 12 km", "mallory: not-permitted"],
    "signed_requests.py": ["car54._device.cars.example drove 42 km", "api.cars.example", "401"],
    "who_is_in.py": [
        "truck1._device.cars.example is in, at the door api",
        "the server sees: no-tlsa.*",
        re.escape("[('api', 1, 'secure nxdomain')]"),
        "2 decisions",
    ],
    "whose_device.py": [
        HELLO,
        "hello van1._device.hire.example",
        "van1._device.hire.example is shut out: .*alert.*",
        HELLO,
    ],
}
"""Regular expressions, one for each line."""
NOT_RUN: Final = {"stage.py", "test_with_world.py", "chat_slixmpp.py"}
"""What the others stand on, what pytest runs, and what needs a server of XMPP: tests/interop/xmpp_e2e has one."""


def test_no_example_is_left_out() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(SAYS) | NOT_RUN


@pytest.mark.parametrize("name", SAYS)
def test_an_example_says_what_it_should(name: str) -> None:
    ended = subprocess.run(
        [sys.executable, str(EXAMPLES / name)], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert len(lines) == len(SAYS[name]), ended.stdout + ended.stderr
    for line, expected in zip(lines, SAYS[name], strict=True):
        assert re.fullmatch(expected, line), line


def test_the_example_of_tests_passes() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLES / "test_with_world.py")],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert "3 passed" in ended.stdout


# --- what the documents show


def blocks(language: str) -> Iterator[tuple[str, str, str]]:
    """Document, the paragraph before the block, the block."""
    for document in DOCUMENTS:
        text = document.read_text()
        for found in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            before = text[: found.start()].rstrip("\n").rsplit("\n\n", 1)[-1]
            yield document.name, before, found[1]


def stands_in(block: str, source: str) -> bool:
    """Whether the block is a run of whole lines of the source, but for indentation."""
    wanted, lines = block.rstrip("\n").splitlines(), source.splitlines()
    for start in range(len(lines) - len(wanted) + 1):
        run = "\n".join(lines[start : start + len(wanted)])
        if textwrap.dedent(run).splitlines() == wanted:
            return True
    return False


@pytest.mark.parametrize(("document", "before", "block"), list(blocks("python")))
def test_snippets_are_lines_of_the_example_that_is_named(document: str, before: str, block: str) -> None:
    named = re.findall(r"\]\((?:\.\./)*(examples/\w+\.py)\)", before)
    assert len(named) == 1, f"{document}: the paragraph before a snippet names its example"
    assert stands_in(block, (ROOT / named[0]).read_text()), f"{document}: not in {named[0]}:\n{block}"


@pytest.mark.parametrize(("document", "before", "block"), list(blocks("python")))
def test_a_page_says_where_the_names_in_its_snippets_are(document: str, before: str, block: str) -> None:
    """Those of the paved path say it themselves: `dnsbound.Context`."""
    page = next(path for path in DOCUMENTS if path.name == document).read_text()
    example = re.findall(r"\]\((?:\.\./)*(examples/\w+\.py)\)", before)[0]
    for node in ast.walk(ast.parse((ROOT / example).read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dnsbound."):
            for name in (alias.name for alias in node.names):
                assert not re.search(rf"\b{name}\b", block) or node.module in page, f"{name} is in {node.module}"


@pytest.mark.parametrize(("document", "before", "block"), list(blocks("conf")))
def test_configuration_of_others_is_that_of_the_example_that_is_named(document: str, before: str, block: str) -> None:
    """Real programs read those files in tests/interop."""
    named = re.findall(r"\]\((?:\.\./)*(examples/radius/[\w.-]+)\)", before)
    assert named, f"{document}: the paragraph before a configuration names its example"
    assert any(stands_in(block, (ROOT / name).read_text()) for name in named), f"{document}: not in {named}:\n{block}"


@pytest.mark.parametrize(("document", "before", "block"), list(blocks("toml")))
def test_tables_are_read(document: str, before: str, block: str, tmp_path: Path) -> None:
    """Of access lists, of where zones are published, of RADIUS servers and of the verify service."""
    table = tomllib.loads(block)
    if "front" in table or "materialise" in table:
        configuration = authz_configuration(block, tmp_path)
        assert configuration.fronts or configuration.materials
    elif "gate" in table:
        assert gate_configuration(block, tmp_path).gates
    elif "server" in table:
        assert radius_configuration(block, tmp_path).networks
    elif "client" in table:
        assert gate_configuration(block, tmp_path).clients
    elif "publish" in table:
        assert parse_targets(table["publish"], Path(document))
    else:
        assert AccessList.from_toml(block).doors, document


def radius_configuration(text: str, directory: Path) -> RadiusConfiguration:
    """Of a text that may leave away what a page is not about."""
    table = tomllib.loads(text)
    missing = [f'{key} = "{key}"' for key in ("credential", "access") if key not in table["server"]]
    text = text.replace("[server]\n", "\n".join(["[server]", *missing, ""]), 1)
    if "network" not in table:
        text += '\n[network.one]\ndoor = "public"\n'
    for name in re.findall(r'secret_file = "(.*)"', text):
        (directory / name).touch(mode=0o600)
        (directory / name).write_text("a secret that is long enough")
    return RadiusConfiguration.from_text(text, path=directory / "radius.toml")


@pytest.mark.parametrize("path", sorted((EXAMPLES / "gate").glob("*.toml")), ids=lambda path: path.name)
def test_the_examples_of_gates_are_read(path: Path, tmp_path: Path) -> None:
    text = path.read_text()
    table = tomllib.loads(text)
    if "gate" in table or "client" in table:
        configuration = gate_configuration(text, tmp_path)
        assert configuration.gates or configuration.clients
    else:
        assert AccessList.from_toml(text).doors


def gate_configuration(text: str, directory: Path) -> GateConfiguration:
    for name in re.findall(r'secret_file = "(.*)"', text):
        (directory / name).touch(mode=0o600)
        (directory / name).write_text("0123456789abcdef" * 2)
    return GateConfiguration.from_text(text, path=directory / "gate.toml")


def authz_configuration(text: str, directory: Path) -> AuthzConfiguration:
    """Of a text that may leave away what a page is not about. Users of Debian's servers need not be here."""
    if "server" not in tomllib.loads(text):
        text = f'[server]\naccess = "access.toml"\n{text}'
    for name in re.findall(r'(?:secret|password)_file = "([^"]*)"', text):
        (directory / name).touch(mode=0o600)
        (directory / name).write_text("0123456789abcdef" * 2)
    text = re.sub(r"^(users|groups) = .*", r'\1 = ["root"]', text, flags=re.MULTILINE)
    text = re.sub(r"^socket_group = .*", r'socket_group = "root"', text, flags=re.MULTILINE)
    return AuthzConfiguration.from_text(text, path=directory / "authz.toml")


def test_the_example_of_a_radius_server_is_read_and_has_the_doors_it_names(tmp_path: Path) -> None:
    examples = ROOT / "examples" / "radius"
    configuration = radius_configuration((examples / "radius.toml").read_text(), tmp_path)
    configuration.check_doors(AccessList.from_toml((examples / "access.toml").read_text()).doors)
    for name in ("radius.toml", "access.toml"):
        assert stands_in((examples / name).read_text().partition("\n")[2], (ROOT / "docs/howto/radius.md").read_text())


def command_lines() -> Iterator[str]:
    for _, _, block in blocks("sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0] in {"dnsbound", ".venv/bin/dnsbound"}:
                yield shlex.join(words)
    for document in (*DOCUMENTS, *(ROOT / "docs").glob("*.md")):
        for line in re.findall(r"`(dnsbound [a-z][^`]+)`", document.read_text()):
            if " " in line.removeprefix("dnsbound "):
                yield shlex.join(shlex.split(line))


@pytest.mark.parametrize("line", sorted(set(command_lines())))
def test_commands_are_there_and_take_their_options(line: str) -> None:
    words = shlex.split(line)[1:]
    command: Any = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    assert not getattr(command, "commands", {}), f"{line}: no such command"
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word.split("=", 1)[0] for word in words if word.startswith("-") and word != "-"} <= known


def test_the_documents_are_not_empty_of_snippets() -> None:
    assert len(list(blocks("python"))) >= 15
    assert len(list(command_lines())) >= 10


def test_links_lead_somewhere() -> None:
    for document in DOCUMENTS:
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text()):
            if "://" not in link:
                assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_every_logger_is_told_of() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    loggers = set(
        re.findall(r'"(dnsbound\.[a-z_]+)"', " ".join(re.findall(r"(?:getLogger\(|DECISIONS.* = ).*", sources)))
    )
    assert len(loggers) >= 6
    text = (ROOT / "docs" / "howto" / "logging.md").read_text()
    assert {logger for logger in loggers if f"`{logger}`" not in text} == set()


def test_troubleshooting_knows_every_reason_and_the_remedy_of_the_commands() -> None:
    text = (ROOT / "docs" / "howto" / "troubleshooting.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z0-9-]+)` \|.*\| (.+) \|$", text, re.MULTILINE))
    assert rows == {reason.value: REMEDY[reason] for reason in Reason}

"""What a gate adds to a question that passes: TCP, HTTP and MQTT through `dnsbound gate server`, beside the bare one.

One connection, one question at a time: an echo of 64 octets, a GET that nginx answers, a PUBLISH of QoS 1 that
Mosquitto acknowledges. The bare server is asked in clear, the gate over TLS 1.3: the difference contains TLS.
"""

import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bench.auth_request import nginx_file, started
from bench.contenders import Contender, write_files
from bench.exchanges import Reached, Wanted, reach
from bench.gate import QUESTION, Figures, echo, figures
from bench.gate_servers import own_gate
from bench.measured_process import free_port
from bench.table import Table
from dnsbound.testing import World

WARM_UP = 50
_TOPIC: Final = b"report"
_PAYLOAD: Final = b"p" * 64
_PUBLISH: Final = bytes([0x32, 2 + len(_TOPIC) + 2 + len(_PAYLOAD), 0, len(_TOPIC)]) + _TOPIC + b"\x00\x01" + _PAYLOAD
"""MQTT 3.1.1 section 3.3; its packet identifier is free again once it is acknowledged."""
_CONNECT: Final = b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03one"
"""MQTT 3.1.1 section 3.1."""
_CONNACK_OCTETS: Final = 4
_GET: Final = b"GET / HTTP/1.1\r\nHost: api.cars.example\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """protocol: of the gate. back_end: starts it, and gives its port."""

    label: str
    protocol: str
    back_end: Callable[[ExitStack, Path], int]
    wanted: Wanted
    program: str = ""


def measure(questions: int, rounds: int) -> Table:
    """Of each the round with the least median latency."""
    columns = ["bare, p50, us", "gate, p50, us", "gate, p99, us", "CPU of the gate, us"]
    table = Table("Questions through a gate", ["protocol", *columns])
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, World() as world:
        place = Path(directory)
        client, _ = write_files(place, world)
        for subject in _subjects(questions):
            if subject.program and not shutil.which(subject.program):
                table.note(f"{subject.program} is not installed: {subject.label} is not measured.")
                continue
            with ExitStack() as held:
                behind = subject.back_end(held, place)
                found = [_one_round(subject, place, world, behind, client) for _ in range(rounds)]
            bare = min(each.p50 for each, _ in found)
            gate = min((each for _, each in found), key=lambda each: each.reached.p50)
            table.row(subject.label, *(f"{x:.0f}" for x in (bare, gate.reached.p50, gate.reached.p99, gate.cpu)))
    return table


def _one_round(subject: Subject, place: Path, world: World, behind: int, client: Path) -> tuple[Reached, Figures]:
    bare = reach(replace(subject.wanted, place=behind))
    port = free_port()
    command = own_gate(place, world, port, f"127.0.0.1:{behind}", subject.protocol)
    gate = Contender(subject.label, command, client, port)
    return bare, figures(gate, place, replace(subject.wanted, each=WARM_UP), subject.wanted)


def _subjects(questions: int) -> list[Subject]:
    tcp = Wanted(place=0, question=QUESTION.hex(), answer="echo", each=questions)
    http = replace(tcp, question=_GET.hex(), answer="http")
    mqtt = replace(tcp, question=_PUBLISH.hex(), answer="puback", first=_CONNECT.hex(), first_answer=_CONNACK_OCTETS)
    return [
        Subject(label="tcp, echo", protocol="tcp", back_end=lambda held, at: held.enter_context(echo(at)), wanted=tcp),
        Subject(label="http, GET at nginx", protocol="http", back_end=_nginx, wanted=http, program="nginx"),
        Subject(
            label="mqtt, PUBLISH at Mosquitto", protocol="mqtt", back_end=_mosquitto, wanted=mqtt, program="mosquitto"
        ),
    ]


def _nginx(held: ExitStack, place: Path) -> int:
    port = free_port()
    server = f'server {{ listen 127.0.0.1:{port}; location / {{ return 200 "ok\\n"; }} }}'
    started(held, ["nginx", "-c", str(nginx_file(place, "behind", server))], port, place / "nginx-behind.log")
    return port


def _mosquitto(held: ExitStack, place: Path) -> int:
    port = free_port()
    file = place / "mosquitto.conf"
    file.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n")
    started(held, ["mosquitto", "-c", str(file)], port, place / "mosquitto.log")
    return port

"""`[client.LABEL]` of gate.toml, and whose a local connection is: what is read, and what is refused with its key."""

import os
import socket
from pathlib import Path

import pytest

from dnsbound.cli.gate_options import client_asked_for
from dnsbound.edge.gate_configuration import GateConfiguration
from dnsbound.edge.local_users import LocalUsers, user_of_peer
from dnsbound.edge.outward_target import ServerAuth
from dnsbound.errors import Malformed, Misuse
from dnsbound.protocols.gated import BackendError
from dnsbound.protocols.outward_http import OutwardHttp

LEAST = """
[client.one]
listen = "unix:/run/car/out.sock"
target = "report.gov.example:8883"
credential = "car54.pem"
"""


def read(text: str) -> GateConfiguration:
    return GateConfiguration.from_text(text, path=Path("/etc/dnsbound/gate.toml"))


def test_the_least_configuration_has_safe_defaults() -> None:
    configuration = read(LEAST)
    (rule,) = configuration.clients
    assert (configuration.gates, configuration.server.access) == ((), None)
    assert (rule.server.host, rule.server.port, rule.server.name) == ("report.gov.example", 8883, "report.gov.example")
    assert rule.tls.server_auth is ServerAuth.TLSA
    assert rule.tls.credential == Path("/etc/dnsbound/car54.pem")
    assert rule.open_places == ()
    assert rule.listen[0].mode == 0o600  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('listen = "192.0.2.1:1883"', "listen"),
        ('listen = "0.0.0.0:1883"', "listen"),
        ("listen = []", "listen"),
        ('target = "192.0.2.1:8883"', "target"),
        ('target = "report.gov.example"', "target"),
        ('target = "report.gov.example:0"', "target"),
        ("users = []", "users"),
        ('users = ["nobody-of-that-name"]', "users"),
        ('server_auth = "none"', "server_auth"),
        ('cacert = "ca.pem"', "cacert"),
        ('socket_mode = "rw"', "socket_mode"),
        ('protocol = "smtp"', "protocol"),
        ('door = "api"', "door"),
    ],
)
def test_gw_45_what_lets_strangers_in_is_refused_with_its_key(line: str, key: str) -> None:
    lines = [each for each in LEAST.splitlines() if not each.startswith(line.partition(" ")[0])]
    with pytest.raises(Malformed, match=key):
        read("\n".join([*lines, line]))


def test_gw_45_other_machines_need_a_word_of_danger_and_have_no_users() -> None:
    text = LEAST.replace("unix:/run/car/out.sock", "192.0.2.1:1883") + "danger_unsafe_listen = true\n"
    assert len(read(text).clients[0].open_places) == 1
    with pytest.raises(Malformed, match="users"):
        read(text + 'users = ["0"]\n')


def test_a_file_has_one_direction_at_least_and_labels_of_their_own() -> None:
    with pytest.raises(Malformed):
        read("[server]\n")
    gate = '[gate.one]\nlisten = "127.0.0.1:1"\ntarget = "127.0.0.1:2"\ndoor = "a"\ncredential = "s.pem"\n'
    with pytest.raises(Malformed, match="label"):
        read('[server]\naccess = "access.toml"\n' + gate + LEAST)


def test_options_make_the_same_as_a_file() -> None:
    asked = client_asked_for(
        None, {"listen": ["127.0.0.1:1883"], "target": "a.example:1", "credential": "c.pem", "connect_seconds": "3s"}
    )
    (rule,) = asked.load().clients
    assert (rule.times.connect, len(rule.open_places)) == (3, 1)
    with pytest.raises(Misuse):
        client_asked_for(Path("gate.toml"), {"listen": ["127.0.0.1:1883"]})
    with pytest.raises(Misuse):
        client_asked_for(None, {"listen": ["127.0.0.1:1883"], "target": "a.example:1"})


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_user_of_a_loopback_connection_is_known(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip(f"no {host} here")
    with listening, socket.create_connection(listening.getsockname()[:2]):
        accepted, _ = listening.accept()
        with accepted:
            assert user_of_peer(accepted.getpeername()[:2], accepted.getsockname()[:2]) == os.getuid()
            assert LocalUsers(users=frozenset({os.getuid()})).admit(accepted)
            assert not LocalUsers(users=frozenset({os.getuid() + 1})).admit(accepted)


def test_gw_44_a_socket_without_a_holder_is_nobodys() -> None:
    """Closed with something unsent to say: the system calls it root's."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        accepted, _ = listening.accept()
        with accepted:
            client.sendall(b"x")
            client.close()
            assert user_of_peer(accepted.getpeername(), accepted.getsockname()) is None
            assert not LocalUsers(users=frozenset({0})).admit(accepted)


def test_a_table_that_is_none_admits_nobody(tmp_path: Path) -> None:
    table = tmp_path / "tcp"
    table.write_text("heading\nnonsense\n")
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert not LocalUsers(users=frozenset({os.getuid()})).admit(accepted, (table,))
            assert not LocalUsers(users=frozenset({os.getuid()})).admit(accepted, (tmp_path / "none",))


def test_a_reason_makes_no_further_header() -> None:
    step = OutwardHttp().unreachable(BackendError("x\r\nSet-Cookie: a=b\u2028"))
    head, _, body = step.to_client.partition(b"\r\n\r\n")
    assert b"Set-Cookie" not in head
    assert b"\r" not in body
    assert f"Content-Length: {len(body)}".encode() in head

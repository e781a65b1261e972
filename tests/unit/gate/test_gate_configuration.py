"""gate.toml and the options of `dnsbound gate server`: what is read, and what is refused with its line."""

from pathlib import Path
from typing import Any

import pytest

from dnsbound.cli.gate_options import LABEL, gates_asked_for
from dnsbound.edge.gate_configuration import GateConfiguration, ProxyMode
from dnsbound.edge.gate_counters import TurnedAway
from dnsbound.edge.gate_limits import AdmissionLimits, Admissions
from dnsbound.edge.gate_target import Target, address_and_port
from dnsbound.edge.listening_sockets import ListeningSocket, listening_sockets
from dnsbound.errors import DnsboundError, Malformed, Misuse
from dnsbound.iana import TLS_1_2, TLS_1_3
from dnsbound.verify.claim import NameSource

EXAMPLES = Path(__file__).parents[3] / "examples" / "gate"
LEAST = """
[server]
access = "access.toml"
[gate.one]
listen = "127.0.0.1:8883"
target = "unix:/run/back"
door = "api"
credential = "server.pem"
"""


def read(text: str) -> GateConfiguration:
    return GateConfiguration.from_text(text, path=Path("/etc/dnsbound/gate.toml"))


def test_the_least_configuration_has_safe_defaults() -> None:
    configuration = read(LEAST)
    (gate,) = configuration.gates
    assert configuration.server.access == Path("/etc/dnsbound/access.toml")
    assert gate.tls.credential == Path("/etc/dnsbound/server.pem")
    assert (gate.tls.tls, gate.tls.ticket_seconds) == ((TLS_1_3,), 0)
    assert gate.tls.claim_from == (NameSource.EXTENSION, NameSource.SAN)
    assert (gate.proxy, gate.accept_proxy_from, gate.gated.strangers) == (ProxyMode.NONE, (), False)
    assert (gate.protocol, gate.target.path) == ("tcp", Path("/run/back"))


def test_the_example_is_read() -> None:
    configuration = GateConfiguration.load(EXAMPLES / "gate.toml")
    assert [(gate.label, gate.door) for gate in configuration.gates] == [
        ("mqtt", "report.gov.example"),
        ("web", "api.cars.example"),
    ]
    assert configuration.gates[1].proxy is ProxyMode.TLS


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('listen = "8883"', "listen"),
        ('listen = "gate.example:8883"', "listen"),
        ('listen = "127.0.0.1"', "listen"),
        ('listen = "127.0.0.1:99999"', "listen"),
        ('target = "192.0.2.1:1883"', "target"),
        ('target = "[2001:db8::1]:1883"', "target"),
        ('target = "broker.example:1883"', "target"),
        ('target = "unix:relative"', "target"),
        ('target = "unix:/' + "x" * 120 + '"', "target"),
        ('protocol = "gopher"', "protocol"),
        ('proxy_protocol = "v1"', "proxy_protocol"),
        ('accept_proxy_from = ["192.0.2.1/24"]', "accept_proxy_from"),
        ('tls = ["1.1"]', "tls"),
        ('tls = ["1.2", "1.3"]\nprofiles = ["ca13"]', "profiles"),
        ('profiles = ["cid07"]', "profiles"),
        ('ticket_keys = "keys"', "ticket_keys"),
        ("connections = 0", "connections"),
        ("connect_seconds = 0", "connect_seconds"),
        ("disable_authentication = true", "disable_authentication"),
        ("unsafe_target = true", "unsafe_target"),
    ],
)
def test_gw_27_what_cannot_be_is_refused_with_its_key(line: str, key: str) -> None:
    text = "\n".join(each for each in LEAST.splitlines() if not each.startswith(f"{line.split(' ', maxsplit=1)[0]} "))
    with pytest.raises(Malformed, match=rf"gate\.toml, line \d+: \[gate\.one\]: {key}: "):
        read(f"{text}\n{line}\n")


@pytest.mark.parametrize(
    "text",
    [
        '[server]\naccess = "a"\n',
        '[gate.one]\nlisten = "127.0.0.1:1"\n',
        LEAST + LEAST.partition("[gate.one]")[2].join(["[gate.two]", ""]),
        LEAST + "\n[gate.one.options]\nnonsense = 1\n",
        LEAST + "\n[other]\n",
        LEAST.replace('access = "access.toml"', 'access = "a"\nstatus = "0.0.0.0:9755"'),
    ],
    ids=["no gate", "no server", "one address", "option", "table", "status"],
)
def test_gw_27_a_file_that_is_wrong_as_a_whole(text: str) -> None:
    with pytest.raises(Malformed):
        read(text)


@pytest.mark.parametrize("key", ["listen", "accept_proxy_from"])
def test_gw_27_what_is_no_text_is_told_once(key: str) -> None:
    text = "\n".join(each for each in LEAST.splitlines() if not each.startswith(f"{key} "))
    with pytest.raises(Malformed) as caught:
        read(f"{text}\n{key} = 8443\n")
    assert str(caught.value).count("[gate.one]") == 1


def test_tls_1_2_is_opt_in() -> None:
    (gate,) = read(LEAST + 'tls = ["1.2", "1.3"]\n').gates
    assert gate.tls.tls == (TLS_1_2, TLS_1_3)


# --- where back ends are


@pytest.mark.parametrize("text", ["127.0.0.1:1", "[::1]:1", "localhost:1", "127.9.9.9:65535", "unix:/run/back"])
def test_gw_28_a_back_end_is_on_this_machine(text: str) -> None:
    assert Target.parse(text) == Target.parse(str(Target.parse(text)))


@pytest.mark.parametrize("text", ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[::ffff:192.0.2.1]:1", "10.0.0.1:80"])
def test_gw_28_any_other_needs_a_word_of_danger(text: str) -> None:
    with pytest.raises(Malformed):
        Target.parse(text)
    assert Target.parse(text, danger_unsafe=True).endpoint is not None


@pytest.mark.parametrize(
    "text", ["", ":", ":80", "127.0.0.1:", "::1:80", "[::1]", "host:80", "127.0.0.1:-1", "127.0.0.1:x"]
)
def test_an_address_without_its_port_is_none(text: str) -> None:
    with pytest.raises(Malformed):
        address_and_port(text)


# --- options


def asked(**options: Any) -> dict[str, Any]:
    return {
        "listen": ["127.0.0.1:0"],
        "target": "127.0.0.1:1883",
        "credential": Path("server.pem"),
        "allow_dns": ["car54._device.cars.example"],
        **options,
    }


def without(*names: str, **options: Any) -> dict[str, Any]:
    return {key: value for key, value in asked(**options).items() if key not in names}


def test_options_are_one_gate() -> None:
    found = gates_asked_for(None, asked(idle_seconds="5m", proxy_protocol="tls", connections=7))
    (gate,) = found.load().gates
    assert (gate.label, gate.door, gate.times.idle, gate.proxy) == (LABEL, LABEL, 300, ProxyMode.TLS)
    assert gate.limits.connections == 7
    assert found.access is not None
    assert found.access.entries(LABEL) == 1


def test_a_certificate_and_a_key_of_their_own() -> None:
    found = gates_asked_for(None, without("credential", certificate=Path("cert.pem"), key=Path("key.pem")))
    (gate,) = found.load().gates
    assert (gate.tls.credential, gate.tls.certificate) == (Path("key.pem"), Path("cert.pem"))


@pytest.mark.parametrize(
    "options",
    [
        without("listen"),
        without("target"),
        without("credential"),
        without("credential", key=Path("k")),
        without("credential", certificate=Path("c")),
        asked(key=Path("k")),
        without("allow_dns"),
        asked(access=Path("access.toml"), door="api"),
        without("allow_dns", access=Path("access.toml")),
        asked(idle_seconds="soon"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any]) -> None:
    with pytest.raises(Misuse):
        gates_asked_for(None, options)


@pytest.mark.parametrize(
    "options",
    [asked(allow_dns=["*.com"]), asked(target="192.0.2.1:1"), asked(connections=0), asked(protocol="gopher")],
)
def test_options_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(DnsboundError):
        gates_asked_for(None, options).load()


def test_a_file_says_all_there_is() -> None:
    with pytest.raises(Misuse, match="--max-concurrent-conns"):
        gates_asked_for(Path("gate.toml"), {"connections": 1})


# --- limits


def test_who_leaves_makes_room() -> None:
    admissions = Admissions(AdmissionLimits(connections=2, per_name=1, rate_per_name=10))
    assert admissions.enter("a", 0.0) is None
    assert admissions.enter("a", 0.0) is TurnedAway.NAME_CONNECTIONS
    assert admissions.enter(None, 0.0) is None
    assert admissions.enter("b", 0.0) is TurnedAway.CONNECTIONS
    assert not admissions.has_room(0)
    admissions.leave("a")
    assert admissions.has_room(0)
    assert not admissions.has_room(1)
    assert admissions.enter("a", 0.0) is None
    assert len(admissions) == 2


def test_a_name_that_comes_too_often_waits_a_minutes_share() -> None:
    admissions = Admissions(AdmissionLimits(rate_per_name=2))
    for _ in range(2):
        assert admissions.enter("a", 100.0) is None
    assert admissions.enter("a", 100.0) is TurnedAway.NAME_RATE
    assert admissions.enter("b", 100.0) is None
    assert admissions.enter("a", 131.0) is None


def test_newer_limits_hold_for_those_who_come() -> None:
    admissions = Admissions(AdmissionLimits())
    assert admissions.enter("a", 0.0) is None
    admissions.configure(AdmissionLimits(connections=1))
    assert admissions.enter("b", 0.0) is TurnedAway.CONNECTIONS
    admissions.leave("a")
    assert admissions.enter("b", 0.0) is None


# --- what listens

TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:075B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 00000000:22B3 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1
   2: 0100007F:9C40 0100007F:075B 01 00000000:00000000 00:00000000 00000000     0        0 3 1
"""
TCP6 = """  sl  local_address                         remote_address                        st tx_queue rx_queue
   0: 00000000000000000000000001000000:075B 00000000000000000000000000000000:0000 0A 00000000:00000000
   1: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000
   2: 0000000000000000FFFF00000100007F:0051 00000000000000000000000000000000:0000 0A 00000000:00000000
"""


def test_listening_sockets_as_linux_tells_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.byteorder", "little")
    (tmp_path / "tcp").write_text(TCP)
    (tmp_path / "tcp6").write_text(TCP6)
    found = listening_sockets((tmp_path / "tcp", tmp_path / "tcp6"))
    assert found == [
        ListeningSocket(host="127.0.0.1", port=1883),
        ListeningSocket(host="0.0.0.0", port=8883),
        ListeningSocket(host="::1", port=1883),
        ListeningSocket(host="::", port=80),
        ListeningSocket(host="::ffff:7f00:1", port=81),
    ]
    assert [one.is_loopback for one in found] == [True, False, True, False, True]


@pytest.mark.parametrize("line", ["0:", "0: nonsense 0:0 0A", "0: 0100:075B 0:0 0A", "0: 0100007F:XX 0:0 0A"])
def test_a_table_that_is_none(tmp_path: Path, line: str) -> None:
    (tmp_path / "tcp").write_text(f"header\n{line}\n")
    with pytest.raises(Malformed):
        listening_sockets((tmp_path / "tcp",))

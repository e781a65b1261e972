"""authz.toml: every key, and every mistake as one line with its place."""

import getpass
import os
import re
from http import HTTPStatus
from pathlib import Path

import pytest

from dnsbound.edge.authz_configuration import AuthzConfiguration
from dnsbound.edge.authz_routes import HttpOptions
from dnsbound.edge.authz_sockets import PeerUsers, TcpPlace, UnixPlace
from dnsbound.edge.listening_endpoint import Endpoint
from dnsbound.errors import DnsboundError, Malformed
from dnsbound.verify.claim import NameSource

USER = getpass.getuser()
SECRET = "0123456789abcdef" * 2
WHOLE = f"""
[server]
access = "access.toml"
decisions = "decisions.jsonl"
metrics = "127.0.0.1:9755"
workers = 3
lookups_per_source = 7
lookups_per_zone = 70

[front.nginx-api]
protocol = "http"
listen = "unix:/run/dnsbound/nginx.sock"
users = ["{USER}", "64999"]
groups = ["64998"]
socket_mode = "0660"
socket_group = "{os.getegid()}"
door = "api.cars.example"
claim_from = ["san", "stated"]
connections = 64
request_seconds = 3
idle_seconds = 30
certificate_field = "Client-Cert"
source_field = "X-Client-IP"
name_field = "X-Name"
undecided = "503"

[front.caddy]
protocol = "http"
listen = "127.0.0.1:9301"
secret_file = "caddy.secret"
door = "api.cars.example"
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    secret(tmp_path, SECRET)
    return tmp_path


def secret(directory: Path, text: str) -> None:
    (directory / "caddy.secret").touch(mode=0o600)
    (directory / "caddy.secret").write_text(text)


def read(directory: Path, text: str = WHOLE) -> AuthzConfiguration:
    return AuthzConfiguration.from_text(text, path=directory / "authz.toml")


def test_every_key_is_read(directory: Path) -> None:
    configuration = read(directory)
    server = configuration.server
    assert (server.access, server.decisions) == (directory / "access.toml", directory / "decisions.jsonl")
    assert (server.metrics, server.workers) == ("127.0.0.1:9755", 3)
    assert (server.lookups_per_source, server.lookups_per_zone) == (7, 70)
    nginx, caddy = configuration.fronts
    assert nginx.place == UnixPlace(path=Path("/run/dnsbound/nginx.sock"), mode=0o660, group=os.getegid())
    assert nginx.peers == PeerUsers(users=frozenset({os.geteuid(), 64999}), groups=frozenset({64998}))
    assert (nginx.connections, nginx.request_seconds, nginx.idle_seconds) == (64, 3, 30)
    front = nginx.front
    assert (front.label, front.door, front.protocol, front.secrets) == ("nginx-api", "api.cars.example", "http", ())
    assert front.claim_from == (NameSource.SAN, NameSource.STATED)
    assert front.options == HttpOptions(
        certificate_field="Client-Cert",
        source_field="X-Client-IP",
        name_field="X-Name",
        undecided=HTTPStatus.SERVICE_UNAVAILABLE,
    )
    assert caddy.place == TcpPlace(endpoint=Endpoint(host="127.0.0.1", port=9301))
    assert (caddy.peers, caddy.front.secrets) == (None, (SECRET.encode(),))
    assert (caddy.front.claim_from, caddy.front.options) == ((NameSource.SAN,), HttpOptions())
    assert SECRET not in repr(configuration)


def test_the_doors_are_held_against_the_access_list(directory: Path) -> None:
    configuration = read(directory)
    configuration.check_doors(["api.cars.example", "other"])
    with pytest.raises(Malformed, match=r"authz\.toml, line \d+: \[front\.nginx-api\]: door"):
        configuration.check_doors(["other"])


def without(key: str) -> tuple[str, str]:
    [line] = re.findall(rf"^{key} = .*\n", WHOLE, re.MULTILINE)[:1]
    return line, ""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        without("access"),
        without("protocol"),
        without("listen"),
        without("door"),
        ("[server]", "[server]\nlisten = 1"),
        ("[server]", "[sever]"),
        ("[front.caddy]", "[front.'caddy \\n']"),
        ("[front.caddy]", "[front.''"),
        ('protocol = "http"', 'protocol = "gopher"'),
        ('listen = "unix:/run', 'listen = "unix:run'),
        ('listen = "127.0.0.1:9301"', 'listen = "192.0.2.1:9301"'),
        ('listen = "127.0.0.1:9301"', 'listen = "0.0.0.0:9301"'),
        ('listen = "127.0.0.1:9301"', 'listen = "localhost:9301"'),
        ('listen = "127.0.0.1:9301"', 'listen = "127.0.0.1"'),
        ('listen = "127.0.0.1:9301"', 'listen = "unix:/run/dnsbound/nginx.sock"'),
        ('secret_file = "caddy.secret"', ""),
        ('secret_file = "caddy.secret"', 'secret_file = "none.secret"'),
        ('secret_file = "caddy.secret"', 'secret_file = "caddy.secret"\nusers = ["root"]'),
        ('secret_file = "caddy.secret"', 'secret_file = "caddy.secret"\nsocket_mode = "0600"'),
        (f'users = ["{USER}", "64999"]\ngroups = ["64998"]\n', ""),
        (f'users = ["{USER}", "64999"]', 'users = ["nobody of this name"]'),
        ('groups = ["64998"]', 'groups = ["nobody of this name"]'),
        ('socket_mode = "0660"', 'socket_mode = "rw"'),
        ('socket_mode = "0660"', 'socket_mode = "4755"'),
        (f'socket_group = "{os.getegid()}"', 'socket_group = "nobody of this name"'),
        ('claim_from = ["san", "stated"]', 'claim_from = ["extension"]'),
        ('claim_from = ["san", "stated"]', 'claim_from = ["san", "san"]'),
        ("connections = 64", "connections = 0"),
        ("request_seconds = 3", "request_seconds = 0"),
        ('undecided = "503"', 'undecided = "200"'),
        ('certificate_field = "Client-Cert"', 'certificate_field = "X_Client_Cert"'),
        ('certificate_field = "Client-Cert"', 'certificate_field = "A: b"'),
        ('door = "api.cars.example"', 'door = "api.cars.example"\ndoors = "x"'),
    ],
)
def test_a_mistake_is_one_line(directory: Path, old: str, new: str) -> None:
    assert old in WHOLE
    with pytest.raises(DnsboundError) as caught:
        read(directory, WHOLE.replace(old, new, 1))
    assert isinstance(caught.value, Malformed)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(directory / "authz.toml"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "a" * 21,
        "a" * 31,
        "0123456789ABCDEF",
        f"{SECRET}\nshort",
        "with/a-slash-and-more-characters",
        "ü" * 30,
    ],
)
def test_az_09_a_secret_of_less_than_128_bits_is_none(directory: Path, text: str) -> None:
    secret(directory, text)
    with pytest.raises(Malformed) as caught:
        read(directory)
    assert "secret_file" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_az_09_a_secret_that_others_may_read_is_refused(directory: Path) -> None:
    (directory / "caddy.secret").chmod(0o640)
    with pytest.raises(Malformed, match="others may read"):
        read(directory)


def test_several_secrets_serve_while_one_is_replaced(directory: Path) -> None:
    secret(directory, f"{SECRET}\n\n  {'q' * 22}  \n")
    assert read(directory).fronts[1].front.secrets == (SECRET.encode(), b"q" * 22)


def test_listening_for_the_world_has_danger_in_its_name(directory: Path) -> None:
    text = WHOLE.replace('listen = "127.0.0.1:9301"', 'listen = "0.0.0.0:9301"\ndanger_listen_anywhere = true')
    assert read(directory, text).fronts[1].place == TcpPlace(endpoint=Endpoint(host="0.0.0.0", port=9301))


def test_without_a_front_nobody_could_ask(directory: Path) -> None:
    with pytest.raises(Malformed, match="nobody could ask"):
        read(directory, '[server]\naccess = "access.toml"\n')


def test_a_file_that_is_no_text_is_one_line(directory: Path) -> None:
    (directory / "authz.toml").write_bytes(b"\xff")
    with pytest.raises(Malformed):
        AuthzConfiguration.load(directory / "authz.toml")

"""Every server's snippet: a function of its settings that tells the traps, removes forged fields and holds no value as
anything but a value."""

import re
import time
import tomllib
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from dnsbound.adapters.fronts import asking, quoting
from dnsbound.adapters.fronts.asking import forged_spellings, spellings
from dnsbound.adapters.fronts.listing import MODULES, snippet
from dnsbound.adapters.fronts.snippet import (
    Address,
    OverRadius,
    OverTcp,
    OverUnix,
    Settings,
    Version,
    access_door,
    authz_front,
)
from dnsbound.credential.credential import Credential, certificates_to_pem
from dnsbound.edge import authz_routes
from dnsbound.edge.gate_configuration import GateConfiguration
from dnsbound.edge.radius_configuration import RadiusConfiguration
from dnsbound.errors import DnsboundError, Malformed, Misuse
from dnsbound.names import ClientName
from dnsbound.protocols.identity_headers import is_identity_header
from dnsbound.verify.access import AccessList

RADIUS_EXAMPLES = Path(__file__).parents[2] / "examples/radius"
SECRET = "0123456789abcdefghijkl"
OVER_TCP = OverTcp(
    address=Address(host="127.0.0.1", port=9301), secret=SECRET, secret_file=PurePosixPath("/etc/dnsbound/secret")
)
OVER_UNIX = OverUnix(path=PurePosixPath("/run/dnsbound/front.sock"), users=("www-data",))
OVER_RADIUS = OverRadius(
    address=Address(host="192.0.2.10", port=1812), secret=SECRET, secret_file=PurePosixPath("/etc/dnsbound/secret")
)
SERVERS = [snippet(server) for server in MODULES]


def settings_of(made, **others):
    facts = made.facts
    settings = Settings(
        label="front",
        door="api.cars.example",
        server_name="api.cars.example",
        certificate=PurePosixPath("/etc/ssl/api.pem"),
        key=PurePosixPath("/etc/ssl/api.key"),
        listen=Address.from_text(facts.listen),
        backend=Address.from_text(facts.backend),
        verifier=OVER_RADIUS if facts.asks_radius else OVER_UNIX if facts.unix else OVER_TCP,
    )
    return replace(settings, **others)


@pytest.fixture(params=SERVERS, ids=lambda made: made.facts.server)
def made(request):
    return request.param


@pytest.fixture(
    params=[made for made in SERVERS if made.facts.protocol and not made.facts.asks_radius],
    ids=lambda made: made.facts.server,
)
def asker(request):
    """One that asks the verify service."""
    return request.param


def test_every_word_is_its_own_servers(made):
    assert snippet(made.facts.server) is made
    assert made.facts.users
    assert made.facts.works or made.facts.tried is None


def test_nobody_knows_another_server():
    with pytest.raises(Misuse, match="no configuration"):
        snippet("telnetd")


def test_cs_10_files_say_what_they_are_and_for_which_version(made):
    first = made.rendered(settings_of(made))[0].text
    assert made.facts.least.to_text() in first
    assert "not found on this machine" in first
    assert ("UNTESTED" in first) == (made.facts.tried is None)
    for limit in made.facts.limits:
        assert limit in first
    newer = Version((*made.facts.least.numbers[:-1], made.facts.least.numbers[-1] + 1))
    assert f"For version {newer.to_text()}, found" in made.rendered(settings_of(made, version=newer))[0].text
    assert "THIS MACHINE HAS 0.1" in made.rendered(settings_of(made, version=Version((0, 1))))[0].text


def test_names_of_files_are_names(made):
    files = made.files(settings_of(made))
    assert len({file.name for file in files}) == len(files)
    for file in files:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", file.name)
        assert file.place.endswith(file.name)
        assert file.text.endswith("\n")


def test_cs_08_the_secret_is_in_secret_files_alone(asker):
    if not asker.facts.tcp:
        assert not any(file.secret for file in asker.files(settings_of(asker)))
        return
    files = asker.rendered(settings_of(asker, verifier=OVER_TCP))
    assert {file.secret for file in files if SECRET in file.text} == {True}
    assert SECRET not in repr(settings_of(asker, verifier=OVER_TCP))
    if asker.facts.unix:
        assert not any(file.secret for file in asker.files(settings_of(asker)))


def test_over_the_socket_or_the_address(asker):
    if asker.facts.tcp:
        assert "9301" in "".join(file.text for file in asker.files(settings_of(asker, verifier=OVER_TCP)))
    else:
        with pytest.raises(Misuse):
            asker.files(settings_of(asker, verifier=OVER_TCP))
    if asker.facts.unix:
        assert "/run/dnsbound/front.sock" in "".join(file.text for file in asker.files(settings_of(asker)))


def test_the_front_and_the_door_are_what_our_files_want(asker):
    settings = settings_of(asker, door='a-"door"')
    front = tomllib.loads(authz_front(asker.facts, settings))["front"]["front"]
    assert front["door"] == 'a-"door"'
    assert front["protocol"] == asker.facts.protocol
    assert ("users" in front) == asker.facts.unix
    over_tcp = tomllib.loads(authz_front(asker.facts, replace(settings, verifier=OVER_TCP)))["front"]["front"]
    assert over_tcp["secret_file"] == "/etc/dnsbound/secret"
    access = AccessList.from_toml(access_door(asker.facts, settings))
    assert len(access) == 1
    printed = asker.rendered(settings)[0].text
    mark = asker.facts.comment
    uncommented = "\n".join(line.removeprefix(mark).strip() for line in printed.splitlines() if line.startswith(mark))
    assert authz_front(asker.facts, settings) in uncommented
    assert access_door(asker.facts, settings).rstrip() in uncommented


ASKS_RADIUS = {
    "hostapd": {"hostapd-wired.conf": "switch1.isp.example", "hostapd-wifi.conf": "ap1.isp.example"},
    "freeradius": {"freeradius-proxy.conf": "api.example", "freeradius-route.conf": "api.example"},
    "strongswan": {"strongswan-eap-radius.conf": "vpn.isp.example", "strongswan-gateway.conf": "vpn.isp.example"},
}
"""Files of examples/radius, which real servers read in tests/interop, and what the server is called in each."""


@pytest.mark.parametrize(
    ("server", "example", "called", "at"),
    [
        (server, example, called, at)
        for server, examples in ASKS_RADIUS.items()
        for at, (example, called) in enumerate(examples.items())
    ],
)
def test_cs_02_what_asks_our_radius_server_is_the_example_that_real_servers_read(server, example, called, at):
    made = snippet(server)
    secret = "office-secret-for-examples"
    settings = settings_of(
        made,
        server_name=called,
        certificate=PurePosixPath("/etc/dnsbound/gateway.crt"),
        verifier=replace(OVER_RADIUS, secret=secret),
    )
    file = made.files(settings)[at]
    text = (RADIUS_EXAMPLES / example).read_text()
    assert file.text.endswith(re.sub(r"\A(#.*\n)+", "", text))
    assert file.secret == (secret in file.text)


@pytest.mark.parametrize("server", ASKS_RADIUS)
def test_the_radius_server_takes_the_tables_that_are_printed(server, tmp_path):
    made = snippet(server)
    (tmp_path / "secret").touch(0o600)
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    verifier = replace(OVER_RADIUS, secret_file=PurePosixPath(tmp_path / "secret"))
    tables = authz_front(made.facts, settings_of(made, door='a-"door"', verifier=verifier))
    server_table = '[server]\nlisten = ["192.0.2.10"]\ncredential = "radius.pem"\naccess = "access.toml"\n'
    configuration = RadiusConfiguration.from_text(server_table + tables, path=tmp_path / "radius.toml")
    assert [network.door for network in configuration.networks] == ['a-"door"']
    (client,) = configuration.clients
    assert client.takes_dynamic_authorisation == (server != "freeradius")


@pytest.mark.parametrize("server", ASKS_RADIUS)
def test_a_radius_server_is_known_by_address_and_a_long_secret(server):
    made = snippet(server)
    for wrong in (
        {"verifier": replace(OVER_RADIUS, address=Address(host="radius.example", port=1812))},
        {"verifier": OVER_TCP},
        {"listen": Address(host="", port=3799)},
        {"listen": Address(host="ap.example", port=3799)},
    ):
        with pytest.raises(Misuse):
            made.files(settings_of(made, **wrong))
    with pytest.raises(Misuse):
        replace(OVER_RADIUS, secret="a" * 21)


HOSTILE = [
    "line\nbreak",
    "nul\0",
    "carriage\rreturn",
    "line\u2028separator",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_what_is_no_line_is_refused(made, value):
    with pytest.raises(Misuse):
        settings_of(made, door=value)
    with pytest.raises(Misuse):
        settings_of(made, certificate=PurePosixPath("/etc") / value)


def test_a_door_is_visible_ascii(made):
    """So that fields of HTTP can tell it."""
    for wrong in ("", "two words", "caf\u00e9"):
        with pytest.raises(Misuse):
            settings_of(made, door=wrong)


@pytest.mark.parametrize("mark", [*"\"'\\$%{}#;<>`()|&*!~ ", "${x}", "%{x}", "*/", "\u00e9", "'; load_module x;"])
def test_cs_07_a_mark_in_a_value_is_quoted_or_refused(made, mark):
    """Taken as it is, each value occurs whole in what is quoted; or the settings are refused. Comments apart."""
    hostile = PurePosixPath(f"/etc/ssl/a{mark}b")
    settings = settings_of(made, certificate=hostile, key=hostile, directory=hostile)
    plain = settings_of(made)
    try:
        files = made.files(settings)
    except Misuse:
        return
    for quoted, before in zip(files, made.files(plain), strict=True):
        assert quoted.text.count("\n") == before.text.count("\n")


def test_who_does_not_ask_has_no_front():
    stunnel = snippet("stunnel")
    settings = settings_of(stunnel)
    assert authz_front(stunnel.facts, settings) == ""
    assert [file.text for file in stunnel.rendered(settings)] == [file.text for file in stunnel.files(settings)]
    text = stunnel.files(settings)[0].text
    assert "verifyChain = yes\ncheckHost = api.cars.example\nCAfile = /etc/ssl/certs/ca-certificates.crt\n" in text


@pytest.mark.parametrize("made", [each for each in SERVERS if each.facts.gated], ids=lambda made: made.facts.server)
def test_the_gate_takes_the_file_that_is_made_for_it(made, tmp_path):
    credential = Credential.generate(ClientName.parse("api.cars.example"), now=time.time())
    key, certificate = tmp_path / "api.key", tmp_path / "api.pem"
    key.touch(0o600)
    key.write_bytes(credential.to_pem())
    certificate.write_bytes(certificates_to_pem(credential.chain))
    settings = settings_of(made, door='a-"door"', certificate=PurePosixPath(certificate), key=PurePosixPath(key))
    first, *others = made.rendered(settings)
    assert access_door(made.facts, settings).splitlines()[0] in first.text
    (file,) = (each for each in others if each.name.endswith("-gate.toml"))
    for each in others:
        (tmp_path / each.name).touch(0o600)
        (tmp_path / each.name).write_text(each.text)
    (tmp_path / "access.toml").write_text(access_door(made.facts, settings))
    (rule,) = GateConfiguration.load(tmp_path / file.name).gates
    assert (rule.label, rule.door) == ("front", 'a-"door"')


def test_labels_hosts_and_paths_are_checked(made):
    for wrong in (
        {"label": "a_b"},
        {"label": "A"},
        {"label": "a" * 40},
        {"server_name": "a b"},
        {"server_name": "a;b"},
        {"certificate": PurePosixPath("relative.pem")},
        {"directory": PurePosixPath("relative")},
    ):
        with pytest.raises(Misuse):
            settings_of(made, **wrong)


def test_secrets_are_long_and_plain():
    for wrong in ("", "a" * 21, "a" * 30 + "\n", "a" * 30 + '"', "a" * 30 + "$x"):
        with pytest.raises(Misuse):
            replace(OVER_TCP, secret=wrong)


@pytest.mark.parametrize("host", ["192.0.2.1", "", "verifier.example", "2001:db8::1"])
def test_a_secret_goes_over_the_loopback_alone(host):
    with pytest.raises(Misuse):
        replace(OVER_TCP, address=Address(host=host, port=9301))
    assert replace(OVER_TCP, address=Address(host="::1", port=9301)).address.is_loopback


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:1", "127.0.0.1", 1),
        ("[::1]:65535", "::1", 65535),
        (":443", "", 443),
        ("a-b.example:80", "a-b.example", 80),
    ],
)
def test_addresses(text, host, port):
    address = Address.from_text(text)
    assert (address.host, address.port) == (host, port)
    assert address.to_text() == text


@pytest.mark.parametrize(
    "text", ["", "80", "a:0", "a:65536", "a:b", "a b:80", "::1:80", "[a]:80", "a:-1", "a;b:80", "a:\uff180", "[::1]80"]
)
def test_what_is_no_address(text):
    with pytest.raises(Malformed):
        Address.from_text(text)


def test_versions_are_numbers():
    assert Version.from_text("1.22.1") < Version.from_text("1.100")
    assert Version.from_text("2.0").to_text() == "2.0"
    for wrong in ("", "1.", "a", "1.2.3.4.5", "1-2"):
        with pytest.raises(Malformed):
            Version.from_text(wrong)


def test_cs_03_forged_spellings_are_what_a_back_end_could_take_for_a_field():
    names = [*forged_spellings(), *spellings("Dnsbound-Valid-Until")]
    assert len(set(forged_spellings())) == len(list(forged_spellings()))
    assert all(is_identity_header(name.encode()) for name in names)
    assert {"Dnsbound_Name", "Dnsbound_Valid-Until", "Client_Cert_Chain", "Client-Cert", "Dnsbound-Reason"} <= set(
        names
    )
    assert list(spellings("A-B")) == ["A-B", "A_B"]


QUOTES = {
    quoting.nginx: ('"a\\\\b\\"c"', 'a\\b"c', "a$b"),
    quoting.haproxy: ("'a\\b\"c'", 'a\\b"c', "a'b"),
    quoting.apache: ('"a\\\\b\\"c"', 'a\\b"c', "a${b}"),
    quoting.caddy: ('"a\\"c"', 'a"c', "a{b}"),
    quoting.lua: ('"a\\092b\\034c"', 'a\\b"c', "a\nb"),
    quoting.json_text: ('"a\\\\b\\"c"', 'a\\b"c', "a\nb"),
    quoting.word: ("a-b", "a-b", "a b"),
}


@pytest.mark.parametrize("quote", QUOTES, ids=lambda quote: quote.__name__)
def test_cs_07_quotes(quote):
    quoted, value, refused = QUOTES[quote]
    assert quote(value, "it") == quoted
    for wrong in (refused, "", "a\nb", "a\0b"):
        with pytest.raises(DnsboundError):
            quote(wrong, "it")


def test_cs_06_what_the_service_reads_is_set_or_removed():
    """A front that hands the client's own fields on removes what the service would read besides."""
    assert (
        authz_routes.AuthRoute.path,
        authz_routes.CERTIFICATE_FIELD,
        authz_routes.SOURCE_FIELD,
    ) == (asking.PATH, asking.CERTIFICATE, asking.SOURCE)
    assert authz_routes.HttpOptions().chain_field == asking.CHAIN
    assert {authz_routes.HttpOptions().chain_field, authz_routes.NAME_FIELD} <= set(asking.ALSO_READ)
    caddy = snippet("caddy")
    text = caddy.files(settings_of(caddy))[0].text
    for field in asking.ALSO_READ:
        assert f"header_up -{field}" in text
    nginx = snippet("nginx")
    assert "proxy_pass_request_headers off;" in nginx.files(settings_of(nginx))[0].text

"""radius.toml: what is understood, and one line with file and key for everything that is not."""

from pathlib import Path

import pytest

from dnsbound.edge.listening_endpoint import Endpoint
from dnsbound.edge.radius_clients import FIXED_SECRETS, RadiusOrigin, RadiusTransport
from dnsbound.edge.radius_configuration import RadiusConfiguration
from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import TLS_1_2, TLS_1_3
from dnsbound.names import ClientName
from dnsbound.tls.clientid import Profile

SERVER = """
[server]
listen = ["127.0.0.1:0", "[::1]"]
credential = "server.pem"
access = "access.toml"
"""
CLIENT = """
[client.office]
address = ["192.0.2.0/24"]
secret_file = "office.secret"
"""
NETWORK = """
[network.visitors]
door = "public.isp.example"
"""
SECRET = "a shared secret of some length"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    secret(tmp_path, "office.secret", SECRET)
    return tmp_path / "radius.toml"


def secret(directory: Path, name: str, text: str) -> None:
    (directory / name).touch(mode=0o600)
    (directory / name).write_text(text)


def read(place: Path, text: str) -> RadiusConfiguration:
    return RadiusConfiguration.from_text(text, path=place)


def line(text: str, what: str) -> int:
    return 1 + text[: text.index(what)].count("\n")


def test_the_smallest_file_says_enough(place: Path) -> None:
    place.write_text(SERVER + CLIENT + NETWORK)
    found = RadiusConfiguration.load(place)
    assert found.server.listen == (Endpoint(host="127.0.0.1", port=0), Endpoint(host="::1", port=1812))
    assert found.server.credential == place.parent / "server.pem"
    assert found.server.tls == (TLS_1_2, TLS_1_3)
    assert found.server.profiles == (Profile.CA13, Profile.CID07)
    assert [network.label for network in found.networks] == ["visitors"]
    assert found.networks[0].matches(client="office", ssid=None, nas_identifier=None, realm="")
    client = found.clients["office"]
    assert client.secrets == (SECRET.encode(),)
    assert (client.dynamic_address, client.dynamic_port) == (None, 3799)
    assert SECRET not in repr(found)


def test_a_client_is_found_by_its_address(place: Path) -> None:
    text = SERVER + CLIENT + NETWORK
    text += '[client.six]\naddress = ["2001:db8::/32", "198.51.100.7"]\nsecret_file = "office.secret"\n'
    clients = read(place, text).clients
    labels = {
        address: found.label if (found := clients.at(address)) else None
        for address in ("192.0.2.9", "::ffff:192.0.2.9", "192.0.3.1", "2001:db8::9", "2001:db9::9", "198.51.100.7")
    }
    assert labels == {
        "192.0.2.9": "office",
        "::ffff:192.0.2.9": "office",
        "192.0.3.1": None,
        "2001:db8::9": "six",
        "2001:db9::9": None,
        "198.51.100.7": "six",
    }


def test_a_client_is_found_by_its_name_and_the_name_counts_before_a_pattern(place: Path) -> None:
    text = SERVER + CLIENT + NETWORK
    text += '[client.all]\nname = "*._ap.isp.example"\n[client.one]\nname = "ap7._ap.isp.example"\n'
    clients = read(place, text).clients
    assert clients.named(ClientName.parse("AP7._ap.isp.example")) is clients["one"]
    assert clients.named(ClientName.parse("ap8._ap.isp.example")) is clients["all"]
    assert clients.named(ClientName.parse("ap8._ap.cars.example")) is None


@pytest.mark.parametrize("transport", RadiusTransport)
def test_the_secret_is_the_transports_or_the_clients(place: Path, transport: RadiusTransport) -> None:
    client = read(place, SERVER + CLIENT + NETWORK).clients["office"]
    origin = RadiusOrigin(transport=transport, address="192.0.2.9", port=1, client=client)
    expected = {
        RadiusTransport.UDP: (SECRET.encode(),),
        RadiusTransport.TLS: (b"radsec",),
        RadiusTransport.DTLS: (b"radius/dtls",),
    }
    assert origin.secrets == expected[transport]
    assert set(FIXED_SECRETS) == set(RadiusTransport)


def test_a_secret_is_rolled_over_by_a_second_line(place: Path) -> None:
    secret(place.parent, "office.secret", "the new shared secret\r\nthe old shared secret\r\n")
    client = read(place, SERVER + CLIENT + NETWORK).clients["office"]
    assert client.secrets == (b"the new shared secret", b"the old shared secret")


def test_networks_tell_requests_apart(place: Path) -> None:
    text = SERVER + CLIENT
    text += '[network.a]\ndoor = "a"\nclient = "office"\nssid = ["public", "guests"]\nrealm = ["Cars.Example."]\n'
    text += '[network.b]\ndoor = "b"\nnas_identifier = ["ap7"]\nrealm = ""\n'
    a, b = read(place, text).networks
    assert a.matches(client="office", ssid="public", nas_identifier=None, realm="cars.example")
    assert not a.matches(client="office", ssid=None, nas_identifier=None, realm="cars.example")
    assert not a.matches(client="other", ssid="public", nas_identifier=None, realm="cars.example")
    assert not a.matches(client="office", ssid="public", nas_identifier=None, realm="")
    assert b.matches(client="office", ssid=None, nas_identifier="ap7", realm="")
    assert not b.matches(client="office", ssid=None, nas_identifier="ap8", realm="")
    assert not b.matches(client="office", ssid=None, nas_identifier="ap7", realm="cars.example")


def test_where_disconnect_requests_go(place: Path) -> None:
    told = [
        read(place, SERVER + CLIENT + f'dynamic_authorisation = "{text}"\n' + NETWORK).clients["office"]
        for text in ("192.0.2.7", "[2001:db8::7]:1700", "none")
    ]
    assert [(client.dynamic_address, client.dynamic_port) for client in told] == [
        ("192.0.2.7", 3799),
        ("2001:db8::7", 1700),
        (None, None),
    ]


def test_a_client_over_tls_may_be_told_over_its_connection(place: Path) -> None:
    text = '\n[client.proxy]\nname = "proxy._device.isp.example"\n'
    plain, told = (read(place, SERVER + text + more + NETWORK).clients["proxy"] for more in ("", OVER_ITS_CONNECTION))
    assert (plain.takes_dynamic_authorisation, told.takes_dynamic_authorisation) == (False, True)
    taken = {
        transport: RadiusOrigin(
            transport=transport, address="192.0.2.7", port=2083, client=told
        ).takes_dynamic_authorisation
        for transport in RadiusTransport
    }
    assert taken == {RadiusTransport.UDP: False, RadiusTransport.TLS: True, RadiusTransport.DTLS: False}


OVER_ITS_CONNECTION = 'dynamic_authorisation = "connection"\n'
FLEET = '\n[client.fleet]\nname = "*._device.isp.example"\n'
WRONG = [
    (SERVER + CLIENT + OVER_ITS_CONNECTION + NETWORK, "dynamic_authorisation", "without `address`"),
    (SERVER + FLEET + OVER_ITS_CONNECTION + NETWORK, "dynamic_authorisation", "one `name`"),
    (SERVER.replace("listen", "lisen") + CLIENT + NETWORK, "lisen", "is no key here"),
    (SERVER.replace('["127.0.0.1:0", "[::1]"]', '"localhost:1812"') + CLIENT + NETWORK, "listen", "neither ADDRESS"),
    (SERVER.replace("127.0.0.1:0", "127.0.0.1:65536") + CLIENT + NETWORK, "listen", "port"),
    (SERVER.replace('access = "access.toml"', "access = 7") + CLIENT + NETWORK, "access", "not a text"),
    (SERVER + 'tls = ["1.1"]' + CLIENT + NETWORK, "tls", "1.2 or 1.3"),
    (SERVER + 'tls = ["1.3", "1.3"]' + CLIENT + NETWORK, "tls", "twice"),
    (SERVER + 'profiles = ["ca13"]' + CLIENT + NETWORK, "profiles", "cid07"),
    (SERVER + 'tls = ["1.3"]\nprofiles = ["cid07"]' + CLIENT + NETWORK, "profiles", "ca13"),
    (SERVER + "fragment_octets = 40" + CLIENT + NETWORK, "fragment_octets", "from 100"),
    (SERVER + "fragment_octets = true" + CLIENT + NETWORK, "fragment_octets", "whole number"),
    (SERVER + 'accounting = ["127.0.0.1"]' + CLIENT + NETWORK, "accounting", "accounting_discard"),
    (
        SERVER + 'accounting_discard = true\naccounting_database = "x.db"' + CLIENT + NETWORK,
        "accounting_discard",
        "kept or discarded",
    ),
    (
        SERVER + 'accounting_discard = true\naccounting_keep = "9d"' + CLIENT + NETWORK,
        "accounting_keep",
        "nothing is kept",
    ),
    (SERVER.replace('"[::1]"', '"[::1]", "[::1]"') + CLIENT + NETWORK, "listen", "twice"),
    (
        SERVER.replace(":0", ":1812") + 'accounting_discard = true\naccounting = "127.0.0.1:1812"' + CLIENT + NETWORK,
        "[server]",
        "one address twice",
    ),
    (SERVER + 'ticket_keys = "x"' + CLIENT + NETWORK, "ticket_keys", "no tickets"),
    (SERVER + 'key_exchange = "hybrid-only"' + CLIENT + NETWORK, "key_exchange", "1.3 alone"),
    (SERVER + CLIENT.replace("/24", "/33") + NETWORK, "address", "192.0.2.0/33"),
    (SERVER + CLIENT.replace("192.0.2.0/24", "192.0.2.1/24") + NETWORK, "address", "host bits"),
    (SERVER + CLIENT.replace("office.secret", "none.secret") + NETWORK, "secret_file", "no such file"),
    (SERVER + CLIENT.replace("secret_file", "name") + NETWORK, "[client.office]", "secret_file"),
    (SERVER + CLIENT + 'dynamic_authorisation = "somewhere"' + NETWORK, "dynamic_authorisation", "neither ADDRESS"),
    (SERVER + CLIENT + NETWORK + 'client = ["ofice"]', "client = ", "no [client.ofice]"),
    (SERVER + CLIENT + NETWORK + "session_timeout = 5", "session_timeout", "from 60"),
    (SERVER + CLIENT + NETWORK + 'reauthenticate = "yes"', "reauthenticate", "neither true nor false"),
    (SERVER + CLIENT + NETWORK.replace("door", "doors"), "[network.visitors]", "door: is missing"),
    (SERVER + CLIENT + NETWORK + "[sever]\nx = 1\n", "[sever]", "is no key here"),
]


@pytest.mark.parametrize(("text", "key", "what"), WRONG, ids=[f"{key}-{what}" for _, key, what in WRONG])
def test_what_is_wrong_is_told_in_one_line_with_file_and_line(place: Path, text: str, key: str, what: str) -> None:
    with pytest.raises(Malformed) as caught:
        read(place, text)
    told = str(caught.value)
    assert "\n" not in told
    assert told.startswith(f"{place}, line {line(text, key)}: ")
    assert what in told.lower() or what in told


def test_clients_do_not_share_addresses_or_names(place: Path) -> None:
    other = CLIENT.replace("office]", "other]").replace("192.0.2.0/24", "192.0.2.128/25")
    with pytest.raises(Malformed, match="overlaps"):
        read(place, SERVER + CLIENT + other + NETWORK)
    names = '[client.{}]\nname = "ap7._ap.isp.example"\n'
    with pytest.raises(Malformed, match="is the name of both"):
        read(place, SERVER + names.format("a") + names.format("b") + NETWORK)


def test_a_file_without_clients_or_networks_lets_nobody_in_and_says_so(place: Path) -> None:
    with pytest.raises(Malformed, match="nobody could ask"):
        read(place, SERVER + NETWORK)
    with pytest.raises(Malformed, match="nobody could come in"):
        read(place, SERVER + CLIENT)


def test_secrets_are_for_their_owner_and_long(place: Path) -> None:
    (place.parent / "office.secret").chmod(0o644)
    with pytest.raises(Malformed, match=r"secret_file.*others may read"):
        read(place, SERVER + CLIENT + NETWORK)
    (place.parent / "office.secret").unlink()
    secret(place.parent, "office.secret", "testing123\n")
    with pytest.raises(Malformed, match="danger_short_secret"):
        read(place, SERVER + CLIENT + NETWORK)
    assert read(place, SERVER + CLIENT + "danger_short_secret = true" + NETWORK).clients["office"].secrets == (
        b"testing123",
    )


@pytest.mark.parametrize("text", ["", "\n", "one long enough secret\n\n", "a\nb\nc", f"{SECRET}\n{SECRET}"])
def test_a_secret_file_holds_one_secret_or_two(place: Path, text: str) -> None:
    secret(place.parent, "office.secret", text)
    with pytest.raises(Malformed, match="secret_file"):
        read(place, SERVER + CLIENT + NETWORK)


def test_a_door_the_access_list_does_not_have_is_told_with_the_network(place: Path) -> None:
    text = SERVER.replace('"access.toml"', '"access.toml"\nradsec = ["127.0.0.1"]') + CLIENT + NETWORK
    found = read(place, text)
    found.check_doors(["public.isp.example", "radsec"])
    with pytest.raises(Malformed, match=rf"line {line(text, '[network.visitors]')}.*public\.isp\.example"):
        found.check_doors(["radsec"])
    with pytest.raises(Malformed, match="radsec_door"):
        found.check_doors(["public.isp.example"])


def test_a_file_that_is_not_there_or_no_toml_is_told(place: Path) -> None:
    with pytest.raises(Misuse, match=r"radius\.toml"):
        RadiusConfiguration.load(place)
    place.write_bytes(b"\xff")
    with pytest.raises(Malformed, match="UTF-8"):
        RadiusConfiguration.load(place)
    for text in ("[server", "a = " + "[" * 5000):
        with pytest.raises(Malformed, match=r"radius\.toml"):
            read(place, text)

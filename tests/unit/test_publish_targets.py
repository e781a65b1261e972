"""Where zones are published: the tables, and one clear line for each thing wrong in them."""

import tomllib
from pathlib import Path

import pytest

from dnsbound.errors import Malformed
from dnsbound.limits import PUBLISH_BATCH, PUBLISH_REMOVALS
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.endpoint import Endpoint
from dnsbound.provision.publish.http_exchange import HttpOrigin
from dnsbound.provision.publish.targets import (
    TARGETS,
    EmbeddedTarget,
    PowerDnsTarget,
    Rfc2136Target,
    Targets,
    ZoneFileTarget,
    parse_targets,
    target_of,
)

WHERE = Path("/etc/dnsbound/dnsbound.toml")
UPDATES = 'to = "rfc2136"\nserver = "192.0.2.1"\nkey_file = "k"\n'


def parsed(text: str) -> Targets:
    return parse_targets(tomllib.loads(text)["publish"], WHERE)


def test_every_kind() -> None:
    targets = parsed(
        """
        [publish."Cars.example."]
        to = "rfc2136"
        server = "[2001:db8::53]:5300"
        key_file = "cars.key"
        servers = ["192.0.2.1", "192.0.2.2:54", "ns.cars.example"]
        batch = 100
        [publish."plant.cars.example"]
        to = "zonefile"
        file = "/srv/plant.zone"
        content = "zone"
        after = ["nsd-control", "reload", "plant.cars.example"]
        [publish."lab.example"]
        to = "embedded"
        """
    )
    cars = targets["cars.example"]
    assert cars == Rfc2136Target(
        zone=OwnerName.parse("cars.example"),
        server=Endpoint(host="2001:db8::53", port=5300),
        key_file=Path("/etc/dnsbound/cars.key"),
        servers=(Endpoint(host="192.0.2.1"), Endpoint(host="192.0.2.2", port=54), Endpoint(host="ns.cars.example")),
        batch=100,
    )
    assert cars.removals == PUBLISH_REMOVALS.default
    plant = targets["plant.cars.example"]
    assert isinstance(plant, ZoneFileTarget)
    assert (plant.file, plant.whole, plant.after[0]) == (Path("/srv/plant.zone"), True, "nsd-control")
    assert isinstance(targets["lab.example"], EmbeddedTarget)


def test_powerdns() -> None:
    text = 'to = "powerdns"\nurl = "https://dns.example:8443/api-of/"\nkey_file = "api.key"\nca_file = "ca.pem"\n'
    target = parsed(f'[publish."cars.example"]\n{text}')["cars.example"]
    origin = HttpOrigin.parse("https://dns.example:8443/api-of", ca_file=Path("/etc/dnsbound/ca.pem"))
    assert target == PowerDnsTarget(
        zone=OwnerName.parse("cars.example"), url=origin, key_file=Path("/etc/dnsbound/api.key")
    )
    assert target.server_id == "localhost"


@pytest.mark.parametrize(
    ("url", "told"), [("http://192.0.2.1", "clear text"), ("ftp://dns.example", "is not https"), ("", "url is text")]
)
def test_powerdns_urls_that_cannot_be(url: str, told: str) -> None:
    with pytest.raises(Malformed, match=told) as caught:
        parsed(f'[publish."cars.example"]\nto = "powerdns"\nurl = "{url}"\nkey_file = "k"\n')
    assert 'publish."cars.example"' in str(caught.value)


def test_the_nearest_zone_above_a_name_counts() -> None:
    targets = parsed(f'[publish."cars.example"]\n{UPDATES}[publish."plant.cars.example"]\nto = "embedded"\n')
    for name, zone in (
        ("car54._device.cars.example", "cars.example"),
        ("cars.example", "cars.example"),
        ("robot.plant.cars.example", "plant.cars.example"),
    ):
        found = target_of(targets, OwnerName.parse(name))
        assert found is not None
        assert found.zone.text == zone
    assert target_of(targets, OwnerName.parse("motorcars.example")) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[publish."cars.example"]\nserver = "192.0.2.1"', "to is missing"),
        ('[publish."cars.example"]\nto = "ftp"', f"to is one of {', '.join(TARGETS)}, not 'ftp'"),
        ('[publish."cars.example"]\nto = 1', "to is text"),
        ('[publish."cars.example"]\nto = "rfc2136"\nserver = "192.0.2.1"', "key_file is missing"),
        (f'[publish."cars.example"]\n{UPDATES}secret = "x"', "unknown key 'secret'"),
        (f'[publish."cars.example"]\n{UPDATES}batch = 0', f"{PUBLISH_BATCH.name} must be from 1"),
        (f'[publish."cars.example"]\n{UPDATES}batch = true', "batch is a whole number"),
        (f'[publish."cars.example"]\n{UPDATES}servers = "192.0.2.1"', "servers is a list of texts"),
        (f'[publish."cars.example"]\n{UPDATES}servers = ["192.0.2.1:x"]', "server '192.0.2.1:x'"),
        ('[publish."cars.example"]\nto = "zonefile"\nfile = "x"\ncontent = "half"', "content is one of records, zone"),
        ('[publish."a..b"]\nto = "embedded"', "label"),
        ('publish = "cars.example"', "publish is a table of zones"),
        ('[publish]\n"cars.example" = "rfc2136"', "is no table"),
        (f'[publish."cars.example"]\n{UPDATES}[publish."CARS.example."]\nto = "embedded"', "is there twice"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(Malformed) as caught:
        parsed(text)
    assert told in str(caught.value)
    assert str(caught.value).startswith(str(WHERE))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", ":53", "192.0.2.1:0", "192.0.2.1:65536", "[2001:db8::1", "2001:db8::1:::5", "a b", "http://x", "x:"]
)
def test_what_is_no_server(text: str) -> None:
    with pytest.raises(Malformed):
        Endpoint.parse(text)


@pytest.mark.parametrize("text", ["192.0.2.1", "192.0.2.1:5300", "[2001:db8::1]:5300", "ns1.cars.example:54"])
def test_servers_are_written_as_they_are_read(text: str) -> None:
    assert str(Endpoint.parse(text)) == text
    assert Endpoint.parse("2001:db8::1") == Endpoint(host="2001:db8::1")

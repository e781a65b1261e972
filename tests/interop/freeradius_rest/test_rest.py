"""FreeRADIUS with its own EAP-TLS, its store written by the materialiser and every client judged anew by `rlm_rest`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from dnsbound.records.tlsa import TLSA
from dnsbound.testing import World
from dnsbound.testing.organisation import Device
from interop import radius_freeradius
from interop.authz_processes import authz_processes, becomes, decisions
from interop.daemon import Daemon, free_port
from interop.radius_eapol import Seen, Supplicant, eapol_test, pinned
from interop.radius_examples import Pem
from interop.radius_freeradius import FreeRadius

pytestmark = [pytest.mark.peer("freeradius"), pytest.mark.peer("eapol_test")]
NAME: Final = "car54._device.cars.example"
SECRET: Final = "0123456789abcdef0123456789abcdef"
REST: Final = """
    rest {
        connect_uri = "http://127.0.0.1:@PORT@/"
        connect_timeout = 5
        authorize {
            uri = "http://127.0.0.1:@PORT@/s/@SECRET@/freeradius"
            method = 'post'
            body = 'json'
            timeout = 5
        }
        pool {
            start = 0
            min = 0
            max = 8
            spare = 4
            uses = 0
            lifetime = 0
            idle_timeout = 60
        }
    }
"""
CHECKED: Final = """
server checked {
    authorize {
        rest
        if (ok || updated) {
            update control {
                &Auth-Type := Accept
            }
        }
    }
}
"""
AUTHZ: Final = """
[front.freeradius]
protocol = "freeradius"
listen = "127.0.0.1:{port}"
secret_file = "secret"
door = "wifi"
certificates = "by-name"

[materialise.judged]
door = "wifi"
form = "by-name"
path = "by-name"
seconds = 1

[materialise.store]
door = "wifi"
form = "hashed-directory"
path = "store"
seconds = 1
"""


@dataclass(kw_only=True)
class Site:
    place: Path
    world: World
    device: Device
    server: Pem
    radius: FreeRadius
    service: Daemon

    def asks(self, device: Device) -> Seen:
        client = Pem.write(self.place, f"client{len(list(self.place.glob('client*.crt')))}", device.credential)
        name = device.name.canonical
        supplicant = Supplicant(client=client, authority=pinned(self.server), server=None, identity=name)
        return eapol_test(self.place, supplicant, port=self.radius.port, secret=self.radius.secret)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with World() as world:
        cars = world.organisation("cars.example")
        device = cars.device("car54")
        cars.replace("car54._device", TLSA(3, 0, 0, device.credential.chain[0]), ttl=1)
        server = Pem.write(tmp_path, "server", world.web_credential("radius.isp.example"))
        (tmp_path / "secret").touch(0o600)
        (tmp_path / "secret").write_text(SECRET)
        port = free_port()
        eap = radius_freeradius.EAP_TLS.replace("ca_file = @CLIENTS@", f"ca_path = {tmp_path / 'store'}")
        eap = eap.replace("tls = tls-common", "tls = tls-common\n            virtual_server = checked")
        eap = eap.replace("@KEY@", str(server.key)).replace("@CERTIFICATE@", str(server.certificate))
        rest = REST.replace("@PORT@", str(port)).replace("@SECRET@", SECRET)
        parts = {
            "ADDRESS": "127.0.0.1",
            "EAP": eap.replace("@RESUMPTION@", "no") + rest,
            "AUTHORIZE": "eap",
            "AUTHENTICATE": "eap",
            "PROXY": CHECKED,
        }
        access = f'[door.wifi]\nallow = ["{NAME}"]\n'
        with authz_processes(tmp_path, world, authz=AUTHZ.format(port=port), access=access) as service:
            becomes(lambda: len(list((tmp_path / "store").glob("*.0"))) == 1, "nothing is placed")
            becomes(lambda: len(list((tmp_path / "by-name").glob("*.pem"))) == 1, "nothing is placed")
            with radius_freeradius.running(tmp_path / "radius", parts, threads=1, talkative=True) as radius:
                yield Site(place=tmp_path, world=world, device=device, server=server, radius=radius, service=service)


def test_who_is_in_the_store_is_judged_anew(site: Site) -> None:
    seen = site.asks(site.device)
    assert seen.admitted, site.radius.daemon.log_tail()
    told = decisions(site.service)[-1]
    assert any(entry["possession"] == "asserted by freeradius" for entry in decisions(site.service)), told
    assert not site.asks(site.world.organisation("cars.example").device("car99")).admitted
    site.world.organisation("cars.example").remove("car54._device", "TLSA")
    # Its store never forgets a certificate; the question about it is what keeps the client out.
    becomes(lambda: not site.asks(site.device).admitted, "a removed record still comes in")
    assert "403" in site.radius.daemon.log.read_text()

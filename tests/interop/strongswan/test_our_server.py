"""A strongSwan gateway that relays EAP-TLS to our server: the tunnel proves that both have the same MSK."""

from pathlib import Path

import pytest

from dnsbound.edge.radius_audit import AccessVerdict
from dnsbound.errors import Reason
from interop.radius_examples import Pem
from interop.radius_server import CLIENTS, radius_site
from interop.radius_strongswan import GATEWAY_NAME, INSIDE, device, gateway, road

pytestmark = pytest.mark.peer("charon-systemd", "swanctl", "ip")


CLIENTS_OF_THE_ROAD = CLIENTS.replace("10.0.0.0/8", "198.18.0.0/15")
OLD_TLS = "danger_no_extended_master_secret = true"
"""strongSwan's TLS 1.2 has no RFC 7627, and its TLS 1.3 ends with SIGSEGV where EAP-TLS succeeds."""


@pytest.mark.parametrize(
    ("who", "settings"), [("car", OLD_TLS), ("stranger", OLD_TLS), ("car", "")], ids=["car", "stranger", "strict"]
)
def test_a_name_has_a_tunnel_and_nobody_else_has(tmp_path: Path, who: str, settings: str) -> None:
    enters = who == "car" and bool(settings)
    with (
        road() as way,
        radius_site(tmp_path, host=way.radius, clients=CLIENTS_OF_THE_ROAD, settings=settings) as site,
    ):
        own = Pem.write(tmp_path, "gateway", site.world.web_credential(GATEWAY_NAME))
        one = {"car": site.car, "stranger": site.stranger}[who]
        client = Pem.write(tmp_path, who, one.credential)
        with (
            gateway(tmp_path / "vpn", way, own=own, port=site.port, secret=site.secret) as vpn,
            device(tmp_path / "device", way, client=client, authority=site.root, name=one.name.text) as car,
        ):
            begun = car.initiate()
            assert (begun.returncode == 0) == enters, begun.stdout + vpn.daemon.log_tail()
            assert ("received fatal TLS alert 'handshake failure'" in begun.stdout) != enters, begun.stdout
            assert car.inside.reaches(INSIDE) == enters, vpn.tunnels()
        (event,) = site.events
        assert (event.tls_version, event.nas) == ("TLSv1.2" if settings else "", GATEWAY_NAME)
        if enters:
            assert (event.verdict, event.name) == (AccessVerdict.ADMITTED, one.name.text)
        elif settings:
            assert (event.verdict, event.reason) == (AccessVerdict.REFUSED, Reason.NOT_PERMITTED.value)
        else:
            assert event.verdict is AccessVerdict.FAILED
            assert "RFC 7627" in event.detail


def test_a_tunnel_ends_when_the_record_of_its_device_disappears(tmp_path: Path) -> None:
    with road() as way:
        told = f'{CLIENTS_OF_THE_ROAD}dynamic_authorisation = "{way.back}:3799"\n'
        with radius_site(tmp_path, host=way.radius, clients=told, settings=OLD_TLS, supervise=True) as site:
            own = Pem.write(tmp_path, "gateway", site.world.web_credential(GATEWAY_NAME))
            client = Pem.write(tmp_path, "car", site.car.credential)
            with (
                gateway(tmp_path / "vpn", way, own=own, port=site.port, secret=site.secret) as vpn,
                device(tmp_path / "device", way, client=client, authority=site.root, name=site.car.name.text) as car,
            ):
                begun = car.initiate()
                assert begun.returncode == 0, begun.stdout
                assert car.inside.reaches(INSIDE)
                site.car.revoke()
                vpn.daemon.wait_for(lambda: not vpn.tunnels(), "the tunnel is gone")
                car.daemon.wait_for(lambda: not car.inside.reaches(INSIDE), "nothing goes through")

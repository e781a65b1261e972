"""A strongSwan gateway before FreeRADIUS: tunnel and wiring of the tests without anything of ours."""

import time
from pathlib import Path

import pytest

from interop.radius_examples import Pem
from interop.radius_freeradius import authority_site
from interop.radius_radclient import radclient
from interop.radius_strongswan import GATEWAY_NAME, INSIDE, device, gateway, road

pytestmark = pytest.mark.peer("freeradius", "charon-systemd", "swanctl", "ip")


CAR = "car54._device.cars.example"


@pytest.mark.parametrize("who", ["car", "stranger"])
def test_who_is_let_in_has_a_tunnel(tmp_path: Path, who: str) -> None:
    with road() as way, authority_site(tmp_path, name=CAR, address=way.radius) as site:
        own = Pem.write(tmp_path, "gateway", site.world.web_credential(GATEWAY_NAME))
        client = {"car": site.car, "stranger": site.stranger}[who]
        with (
            gateway(tmp_path / "vpn", way, own=own, port=site.radius.port, secret=site.radius.secret) as vpn,
            device(tmp_path / "device", way, client=client, authority=site.root, name=CAR) as car,
        ):
            begun = car.initiate()
            assert (begun.returncode == 0) == (who == "car"), begun.stdout + car.daemon.log_tail()
            assert f"authentication of '{GATEWAY_NAME}' with ECDSA_WITH_SHA256_DER successful" in begun.stdout
            assert ("received EAP_FAILURE" in begun.stdout) == (who == "stranger")
            assert car.inside.reaches(INSIDE) == (who == "car"), vpn.tunnels()


@pytest.mark.peer("radclient")
def test_a_disconnect_request_ends_the_tunnel(tmp_path: Path) -> None:
    with road() as way, authority_site(tmp_path, name=CAR, address=way.radius) as site:
        own = Pem.write(tmp_path, "gateway", site.world.web_credential(GATEWAY_NAME))
        with (
            gateway(tmp_path / "vpn", way, own=own, port=site.radius.port, secret=site.radius.secret) as vpn,
            device(tmp_path / "device", way, client=site.car, authority=site.root, name=CAR) as car,
        ):
            begun = car.initiate()
            assert begun.returncode == 0, begun.stdout
            for name, code in (("car55._device.cars.example", "Disconnect-NAK"), (CAR, "Disconnect-ACK")):
                who = [
                    f'User-Name = "{name}"',
                    f"Event-Timestamp = {int(time.time())}",
                    "Message-Authenticator = 0x00",
                ]
                assert "ESTABLISHED" in vpn.tunnels()
                answer = radclient("disconnect", who, address=way.back, port=3799, secret=site.radius.secret)
                assert answer.code == code, answer.output + vpn.daemon.log_tail()
            vpn.daemon.wait_for(lambda: not vpn.tunnels(), "the tunnel is gone")
            car.daemon.wait_for(lambda: not car.inside.reaches(INSIDE), "nothing goes through")

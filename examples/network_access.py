"""Network access by RADIUS: a car joins a network by EAP-TLS and is given its VLAN, another car is not let in, and when
the car's record goes, the access point is told to put it out."""

import asyncio
import time
from pathlib import Path

import stage

import dnsbound
from dnsbound.edge.eap_client import AsNas, Trial, try_eap
from dnsbound.edge.eap_tls_client import EapServerTrust, EapTlsClient, eap_client_context
from dnsbound.edge.radius_client import UdpRadiusClient
from dnsbound.edge.radius_configuration import RadiusConfiguration
from dnsbound.edge.radius_server import RadiusServer
from dnsbound.edge.radius_sockets import bind_all
from dnsbound.edge.radius_supervision import look_after, supervised
from dnsbound.iana import RadiusAttribute
from dnsbound.protocols.eap_peer import EapPeer
from dnsbound.protocols.radius_dynamic import dynamic_answer, read_dynamic_request

SECRET = b"shared by access point and server"
RADIUS = """
[server]
listen = ["127.0.0.1:0"]
credential = "server.pem"
access = "radius-access.toml"

[client.office]
address = ["127.0.0.1"]
secret_file = "office.secret"
dynamic_authorisation = "127.0.0.1:{port}"

[network.visitors]
door = "public.isp.example"
ssid = ["public"]
"""
ACCESS = """
[door."public.isp.example"]
allow = [{ names = ["car54._device.cars.example"], grants = { vlan = "visitors" } }]
"""


class AccessPoint(asyncio.DatagramProtocol):
    """Where it takes Disconnect-Requests."""

    def __init__(self) -> None:
        self.told = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        request = read_dynamic_request(data, SECRET, now=time.time())  # or an error: not from the server, or too old
        self.transport.sendto(dynamic_answer(request, SECRET), addr)
        if not self.told.done():
            self.told.set_result(request.first(RadiusAttribute.CALLING_STATION_ID))


def configuration(at: stage.Stage, access_point: int) -> RadiusConfiguration:
    (at.files / "radius.toml").write_text(RADIUS.format(port=access_point))
    (at.files / "radius-access.toml").write_text(ACCESS)
    (at.files / "office.secret").touch(mode=0o600)
    (at.files / "office.secret").write_bytes(SECRET)
    return RadiusConfiguration.load(at.files / "radius.toml")


async def join(port: int, files: Path, car: str) -> Trial:
    trust = EapServerTrust(name="localhost", authorities=str(files / "web-root.pem"))
    tls = EapTlsClient(eap_client_context(dnsbound.load_credential(files / f"{car}.pem"), trust), trust.name)
    identity = b"@cars.example"
    async with await UdpRadiusClient.open("127.0.0.1", port, SECRET) as through:
        return await try_eap(through, EapPeer(identity, tls.open), nas=AsNas(ssid="public"), identity=identity)


async def main(at: stage.Stage) -> None:
    loop = asyncio.get_running_loop()
    taking, access_point = await loop.create_datagram_endpoint(AccessPoint, local_addr=("127.0.0.1", 0))
    settings = configuration(at, taking.get_extra_info("sockname")[1])
    (bound,) = bind_all(settings)
    async with supervised(settings) as live:
        async with RadiusServer(settings, at.world.resolver(), bound, supervision=live, recorder=live) as server:
            await look_after(live, server)
            for car in ("car54", "car55"):
                trial = await join(bound.authentication[0].getsockname()[1], at.files, car)
                vlan = dict(trial.attributes).get(RadiusAttribute.TUNNEL_PRIVATE_GROUP_ID, b"none")
                print(f"{car}: {trial.verdict}, VLAN {vlan.decode()}")
            at.world.organisation("cars.example").remove("car54._device.cars.example")
            print(f"put out: {(await access_point.told).decode()}")
    taking.close()


if __name__ == "__main__":
    with stage.stage() as at:
        asyncio.run(main(at))

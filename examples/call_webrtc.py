"""A car calls a control desk by WebRTC; each end knows the other by its DNS name, and an impostor is refused before its
description is taken."""

import asyncio

import aioice.ice
import stage
from aiortc import RTCDataChannel, RTCPeerConnection, RTCSessionDescription

import dnsbound
from dnsbound.adapters.aiortc import BoundPeerConnection

CAR = "car54._device.cars.example"
DESK = "desk._service.cars.example"


def end(at: stage.Stage, name: str) -> BoundPeerConnection:
    access = dnsbound.AccessList.allowing("calls", [CAR, DESK])
    authenticator = dnsbound.Authenticator(access, at.world.resolver(), door="calls")
    credential = dnsbound.load_credential(at.files / f"{name.partition('.')[0]}.pem")
    return BoundPeerConnection(credential, authenticator)


async def answer(connection: BoundPeerConnection, offer: RTCSessionDescription) -> RTCSessionDescription:
    # The application's own signalling says who wants to talk; the records say whether it is true.
    await connection.accept(offer, name=CAR)
    await connection.setLocalDescription(await connection.createAnswer())
    return connection.localDescription


async def main(at: stage.Stage) -> None:
    car, desk = end(at, CAR), end(at, DESK)
    told = asyncio.Event()

    @desk.on("datachannel")
    def opened(channel: RTCDataChannel) -> None:
        @channel.on("message")
        def said(message: str) -> None:
            peer = desk.verified_peer
            print(f"{peer.name if peer else 'nobody'}: {message}")
            told.set()

    channel = car.createDataChannel("telemetry")
    channel.on("open", lambda: channel.send("52 km/h"))
    await car.setLocalDescription(await car.createOffer())
    await car.accept(await answer(desk, car.localDescription), name=DESK)
    await told.wait()

    impostor = RTCPeerConnection()
    impostor.createDataChannel("telemetry")
    await impostor.setLocalDescription(await impostor.createOffer())
    another = end(at, DESK)
    try:
        await answer(another, impostor.localDescription)
    except dnsbound.Refused as refused:
        print(f"the impostor: {refused.reason}")
    for connection in (car, desk, impostor, another):
        await connection.close()


if __name__ == "__main__":
    aioice.ice.get_host_addresses = lambda **_: ["127.0.0.1"]  # this machine alone, which ICE leaves out
    with stage.stage() as at:
        cars = at.world.organisation("cars.example")
        for name in (CAR, DESK):
            device = cars.identity(name, publish=False)
            cars.replace(name, device.credential.tlsa(dnsbound.Usage.DANE_EE, dnsbound.Selector.CERT))
            dnsbound.save_credential(device.credential, at.files / f"{name.partition('.')[0]}.pem", force=True)
        asyncio.run(main(at))

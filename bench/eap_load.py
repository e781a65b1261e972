"""A bounded load of full EAP-TLS authentications over RADIUS/UDP, the same for every server.

Each is a whole one: identity, TLS with a client certificate (and dane_clientid where the server knows it), and at the
end the keys of the Access-Accept compared with the client's own. Conversations take turns in each process, a number of
them in flight; every one has a station address of its own, and none resumes. The server's certificate is not verified,
to have the load cost as little as possible. Run in its own processes so that only the server's CPU is counted.

    python -m bench.eap_load JSON            # the fields of `Wanted`; prints those of `Reached` as JSON
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

from dnsbound.credential.credential import Credential
from dnsbound.edge.eap_client import AsNas, TrialVerdict, try_eap
from dnsbound.edge.eap_tls_client import EapServerTrust, EapTlsClient, EapTlsVersion, eap_client_context
from dnsbound.edge.radius_client import UdpRadiusClient
from dnsbound.iana import EapType, RadiusAttribute, RadiusCode
from dnsbound.protocols.eap import EapPacket
from dnsbound.protocols.eap_peer import EapPeer, PeerReply
from dnsbound.protocols.radius import split_eap_message
from dnsbound.protocols.radius_exchange import Patience

SERVER_NAME = "radius.isp.example"
IDENTITY = b"@cars.example"
GROUP = "prime256v1"
"""The only one that FreeRADIUS 3 takes as it is delivered."""
PATIENCE = Patience(first=2.0, longest=4.0, times=3, seconds=10.0)
AT_MOST_SECONDS = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """clients: PEM files of who authenticates, in turn. tls: "1.2" or "1.3". authentications: in all, by `processes`
    processes with `in_flight` conversations each. first: the number of the first station."""

    port: int
    secret: str
    clients: Sequence[str]
    tls: str
    authentications: int
    in_flight: int = 8
    processes: int = 1
    first: int = 0
    half_open: bool = False
    """Stop when the server has shown its certificate, and leave it waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """seconds: from the first request to the last answer. cpu_seconds: of the load's processes, for that alone."""

    admitted: int
    round_trips: int
    repeated: int
    seconds: float
    cpu_seconds: float


def run(wanted: Wanted) -> Reached:
    """RuntimeError for whoever was not let in."""
    share, more = divmod(wanted.authentications, wanted.processes)
    counts = [share + (index < more) for index in range(wanted.processes)]
    starts = [wanted.first + sum(counts[:index]) for index in range(wanted.processes)]
    if wanted.processes == 1:
        return _one_process(wanted, wanted.first, wanted.authentications)
    with ProcessPoolExecutor(wanted.processes, mp_context=get_context("spawn")) as pool:
        parts = list(pool.map(_one_process, [wanted] * wanted.processes, starts, counts))
    return Reached(
        admitted=sum(part.admitted for part in parts),
        round_trips=sum(part.round_trips for part in parts),
        repeated=sum(part.repeated for part in parts),
        seconds=max(part.seconds for part in parts),
        cpu_seconds=sum(part.cpu_seconds for part in parts),
    )


def _one_process(wanted: Wanted, first: int, count: int) -> Reached:
    trust = EapServerTrust(name=SERVER_NAME, danger_unverified=True)
    doors = []
    for path in wanted.clients:
        credential = Credential.from_pem(Path(path).read_bytes())
        context = eap_client_context(credential, trust, tls=EapTlsVersion(wanted.tls))
        context.set_ecdh_curve(GROUP)
        doors.append(EapTlsClient(context, SERVER_NAME))
    return asyncio.run(_in_turns(wanted, doors, range(first, first + count)))


async def _in_turns(wanted: Wanted, doors: Sequence[EapTlsClient], stations: Sequence[int]) -> Reached:
    totals = [0, 0, 0]

    async def one_after_another(asker: UdpRadiusClient, turns: Iterator[int]) -> None:
        for station in turns:
            trips, sent = await (_begun if wanted.half_open else _authenticated)(
                asker, doors[station % len(doors)], station
            )
            totals[0] += 1
            totals[1] += trips
            totals[2] += sent - trips

    async with await UdpRadiusClient.open("127.0.0.1", wanted.port, wanted.secret.encode(), patience=PATIENCE) as asker:
        turns = iter(stations)
        start, cpu = time.monotonic(), time.process_time()
        async with asyncio.timeout(AT_MOST_SECONDS), asyncio.TaskGroup() as group:
            for _ in range(wanted.in_flight):
                group.create_task(one_after_another(asker, turns))
        seconds, spent = time.monotonic() - start, time.process_time() - cpu
    return Reached(admitted=totals[0], round_trips=totals[1], repeated=totals[2], seconds=seconds, cpu_seconds=spent)


async def _authenticated(asker: UdpRadiusClient, door: EapTlsClient, station: int) -> tuple[int, int]:
    """Round trips, and packets sent for them."""
    trial = await try_eap(asker, EapPeer(IDENTITY, door.open), nas=_access_point(station), identity=IDENTITY)
    if trial.verdict is not TrialVerdict.ADMITTED or not trial.keys_match:
        raise RuntimeError(f"station {station}: {trial.verdict.value}: {trial.why}")
    return trial.round_trips, sum(step.sent for step in trial.steps)


async def _begun(asker: UdpRadiusClient, door: EapTlsClient, station: int) -> tuple[int, int]:
    """The same for identity and client_hello alone."""
    peer = EapPeer(IDENTITY, door.open)
    state: tuple[tuple[int, bytes], ...] = ()
    said = PeerReply(eap=EapPacket.response(0, EapType.IDENTITY, IDENTITY).to_wire())
    about, sent = _access_point(station).attributes(IDENTITY), 0
    for _ in range(2):
        asked = (*about, *split_eap_message(said.eap), *state)
        answered = await asker.ask(RadiusCode.ACCESS_REQUEST, asked)
        outcome = peer.receive(answered.packet.eap_message or b"")
        if answered.packet.code is not RadiusCode.ACCESS_CHALLENGE or not isinstance(outcome, PeerReply):
            raise RuntimeError(f"station {station}: {answered.packet.code.name}, {outcome}")
        said, sent = outcome, sent + answered.sent
        state = tuple((int(RadiusAttribute.STATE), value) for value in answered.packet.all(RadiusAttribute.STATE))
    return 2, sent


def _access_point(station: int) -> AsNas:
    octets = (0x020000000000 + station).to_bytes(6, "big")
    return AsNas(nas_identifier="bench", ssid="public", calling_station=octets.hex("-"))


if __name__ == "__main__":
    print(json.dumps(asdict(run(Wanted(**json.loads(sys.argv[1]))))))

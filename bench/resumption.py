"""Server time of a resumed TLS 1.3 handshake against a full one: ours, with the verdict, and Python's own ssl.

In memory: no sockets, no event loop. Only the server's steps are timed, by the wall clock, whose reading costs nothing
beside them; the median of many handshakes passes over those that were interrupted. Both servers authenticate the client
in a full handshake, Python's by a CA, ours by the record in the evidence cache; in a resumed one ours looks the name up
again and matches the key of the ticket, Python's takes the session as it is. Both give one ticket to each client.
"""

import ssl
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from bench.rounds import least
from bench.table import Table
from dnsbound.credential.credential import Credential, certificates_to_pem
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.edge.authenticator import Authenticator
from dnsbound.edge.context import Context
from dnsbound.testing import World
from dnsbound.verify.access import AccessList

DOOR = "bench"
HOST = "api.cars.example"
LONG_TTL = 3600
_STEPS = 8

Visit = Callable[[Any], tuple[float, Any]]
"""Takes a session to resume, or None; the server's seconds, and the session of the ticket it gave."""


def measure(repeats: int, rounds: int) -> Table:
    """Microseconds of the server per handshake, the least of several rounds, taken in turn."""
    with World() as world, tempfile.TemporaryDirectory(prefix="bench-") as directory:
        visits = _visits(world, Path(directory))
        work = {
            f"{label}, {kind}": partial(_one_round, visit, repeats, resume=kind == "resumed")
            for label, visit in visits.items()
            for kind in ("full", "resumed")
        }
        best = least(work, rounds)
    table = Table("Server time per TLS 1.3 handshake, in memory", ["handshake", "us", "of full", "of Python ssl"])
    for name, seconds in best.items():
        label, _, kind = name.rpartition(", ")
        full, theirs = best[f"{label}, full"], best[f"Python ssl, {kind}"]
        table.row(name, f"{seconds * 1e6:.0f}", f"{seconds / full:.2f}", f"{seconds / theirs:.2f}")
    return table


def _visits(world: World, place: Path) -> dict[str, Visit]:
    car = world.organisation("cars.example").device("car54", ttl=LONG_TTL)
    authority = CertificateAuthority.create("bench clients", now=time.time() - 60)
    chain = authority.certify(car.name, car.credential.spki, now=time.time() - 60)
    issued = Credential(car.name, car.credential.private_key, chain[:1])
    server = world.web_credential(HOST)
    door = Authenticator(AccessList.allowing(DOOR, [car.name.text]), world.resolver(), door=DOOR)
    ours = Context.server(server, authenticator=door, ticket_lifetime=LONG_TTL)
    ours.set_groups("X25519")
    stock = _stock_server(place, server, authority)
    return {
        "Python ssl": partial(_stock_visit, stock, _stock_client(place, world, issued)),
        "dnsbound, X.509": partial(_our_visit, ours, door, _client(world, issued)),
        "dnsbound, raw public key": partial(_our_visit, ours, door, _client(world, issued.as_raw_key())),
    }


def _client(world: World, credential: Credential) -> Context:
    context = Context.client(credential)
    context.load_verify_locations(cadata=world.web_root_pem.decode())
    context.set_groups("X25519")
    return context


def _stock_server(place: Path, server: Credential, clients: CertificateAuthority) -> ssl.SSLContext:
    (place / "server.pem").write_bytes(server.to_pem())
    (place / "clients.pem").write_bytes(certificates_to_pem(clients.chain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 1
    context.load_cert_chain(place / "server.pem")
    context.load_verify_locations(place / "clients.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_ecdh_curve("X25519")
    return context


def _stock_client(place: Path, world: World, credential: Credential) -> ssl.SSLContext:
    (place / "client.pem").write_bytes(credential.to_pem())
    context = ssl.create_default_context(cadata=world.web_root_pem.decode())
    context.load_cert_chain(place / "client.pem")
    return context


def _one_round(visit: Visit, repeats: int, *, resume: bool) -> float:
    spent, (_, session) = [], visit(None)
    for _ in range(repeats):
        seconds, newer = visit(session if resume else None)
        spent.append(seconds)
        session = newer
    return median(spent)


def _our_visit(server: Context, door: Authenticator, client: Context, session: Any) -> tuple[float, Any]:
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    near: Any = client.wrap_bio(to_client, to_server, server_hostname=HOST, session=session)

    def accept() -> Any:
        return server.accept(to_server, to_client, source="192.0.2.1")

    def step(far: Any) -> bool:
        try:
            far.do_handshake()
        except ssl.SSLWantReadError:
            if far.pending_claim is None:
                return False
            far.shim.admit(door.authenticate_blocking(far.pending_claim))
            far.do_handshake()
        return True

    return _run(near, accept, step, resumed=session is not None)


def _stock_visit(server: ssl.SSLContext, client: ssl.SSLContext, session: Any) -> tuple[float, Any]:
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=HOST, session=session)

    def accept() -> Any:
        return server.wrap_bio(to_server, to_client, server_side=True)

    def step(far: Any) -> bool:
        try:
            far.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    return _run(near, accept, step, resumed=session is not None)


def _run(near: Any, accept: Callable[[], Any], step: Callable[[Any], bool], *, resumed: bool) -> tuple[float, Any]:
    """Steps of both ends in turn; the server's are timed, its first octets of data and the making of its end too."""
    start = time.perf_counter()
    far = accept()
    spent = time.perf_counter() - start
    for _ in range(_STEPS):
        _client_step(near)
        start = time.perf_counter()
        done = step(far)
        if done:
            far.write(b"x")
        spent += time.perf_counter() - start
        if done:
            break
    if near.read(1) != b"x" or near.session_reused != resumed or near.session is None:
        raise RuntimeError("the handshake is not the one that was to be measured")
    return spent, near.session


def _client_step(near: Any) -> None:
    try:
        near.do_handshake()
    except ssl.SSLWantReadError:
        return

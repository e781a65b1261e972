"""A client whose key is in hardware, and one whose server's is, at a door on World: the whole path, over sockets."""

import socket
import ssl
from types import SimpleNamespace
from typing import Any

from dnsbound import Context, verified_peer
from dnsbound.credential.credential import Credential, CredentialKind
from dnsbound.credential.signer import Signer
from dnsbound.edge.blocking_server import blocking_server
from dnsbound.testing import World
from machines.doors import PATIENCE, SERVER, car, door, in_thread

NAME = "car54._device.cars.example"


def who(tls: ssl.SSLSocket) -> None:
    peer = verified_peer()
    tls.sendall(b"nobody" if peer is None else peer.name.text.encode())


def told_by(context: Context, client: ssl.SSLContext) -> tuple[bytes, Any]:
    """What the door calls the client, and the client's end."""
    with in_thread(blocking_server(who, "127.0.0.1", 0, context=context)) as port:
        plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        with client.wrap_socket(plain, server_hostname=SERVER) as tls:
            return tls.recv(4096), tls


def client_in_hardware(world: World, signer: Signer, kind: CredentialKind) -> bytes:
    """The name by which a door knows a client whose key signs elsewhere, published as its `3 1 1`."""
    own = Credential.for_signer(NAME, signer, now=world.now(), kind=kind)
    world.organisation("cars.example").publish("car54._device", own.tlsa())
    at = door(world)
    device = SimpleNamespace(credential=own)
    return told_by(at.context, at.client(device))[0]  # type: ignore[arg-type] # all that is asked of a Device


def server_in_hardware(world: World, signer: Signer, kind: CredentialKind) -> bytes:
    """The same of an ordinary client, at a door whose key signs elsewhere."""
    at = door(world)
    context = Context.server(
        Credential.for_signer("door.cars.example", signer, now=world.now(), kind=kind), authenticator=at.authenticator
    )
    client = Context.client(car(world).credential, danger_unverified_server=True)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client._set(peer_types=(0, 2))
    return told_by(context, client)[0]

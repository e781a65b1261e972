"""A raw key may be written in several forms, and a record names the octets of one: a ticket must not change them.

OpenSSL keeps the key in a ticket and not the octets. A session whose key would come back in another form would be
refused at each resumption, or worse, be matched by octets that the client never showed.
"""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adversary.door import GREETING, Door, open_door
from adversary.hostile_client import Entry, HostileClient, Session, client_name, extension
from dnsbound.iana import DANE_CLIENTID
from dnsbound.records.tlsa import TLSA
from dnsbound.testing import World

NAME = "car55._device.cars.example"
KEY = ec.generate_private_key(ec.SECP256R1())
USUAL = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
POINT = KEY.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
COMPRESSED = b"\x30\x39" + USUAL[2:23] + b"\x03\x22\x00" + POINT


def log_in(door: Door, spki: bytes) -> HostileClient:
    client = HostileClient(raw_public_key=True)
    entry = Entry(spki, extension(DANE_CLIENTID, client_name(NAME.encode())))
    with Session(door.address, client) as session:
        session.handshake()
        session.send(client.certificate([entry]), client.certificate_verify(KEY), client.finished())
        session.send(client.data(b"report"))
        session.until_closed()
    return client


@pytest.mark.parametrize(("spki", "tickets"), [(USUAL, 1), (COMPRESSED, 0)], ids=["usual", "compressed"])
def test_a_key_in_a_form_of_its_own_comes_in_and_gets_no_ticket(world: World, spki: bytes, tickets: int) -> None:
    with open_door(world, ticket_lifetime=600) as door:
        door.cars.publish(NAME, TLSA(3, 1, 1, hashlib.sha256(spki).digest()), ttl=60)
        client = log_in(door, spki)
        assert client.application_data == GREETING
        assert door.decision().reason is None
        assert client.tickets == tickets

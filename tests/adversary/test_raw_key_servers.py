"""A server's raw public key that no record vouches for never opens a client's connection.

The client's half of `test_raw_keys`. The server here is the native engine alone, which shows whatever key it is told
to, or a hostile one; what is tried is every public way to make a client's Context, and every record that is not this
key's `3 1 x`.
"""

import hashlib
import ssl
from collections.abc import Callable
from contextlib import suppress

import pytest

from adversary.hostile_client import extension
from dnsbound import TLSA, Context, _native
from dnsbound.errors import DnsboundError
from dnsbound.testing import World
from dnsbound.tls.errors import TLSRefused
from machines.native_hostile_server import HostileServer
from machines.native_pairs import CODE_POINT, RAW, TLS12, TLS13, X509, Identity, authority, make_identity
from machines.shim_pairs import credential

HOST = "server.example"
PORT = 8443
SERVER_CERTIFICATE_TYPE = 20
NAME = b"car54._device.cars.example"

versions = pytest.mark.parametrize("version", [TLS12, TLS13], ids=["1.2", "1.3"])


def serving_raw_key(shown: Identity, version: int, *, types: tuple[int, ...] = (RAW,)) -> _native.Connection:
    """A server that shows this key, and the certificate where raw keys are not agreed on and `types` has it."""
    config = _native.Config(server_side=True)
    config.set_credential(() if X509 not in types else shown.chain, shown.private_key)
    config.set_peer_verification("accept")
    config.set_certificate_types(own=types, peer=[RAW, X509])
    config.set_versions(version, version)
    config.set_clientid(CODE_POINT)
    return _native.Connection(config)


class Ends:
    """Our client over memory, and the server. The client says who it is as soon as it may, whatever is raised."""

    def __init__(self, context: Context, server: _native.Connection) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.near = context.wrap_bio(self._incoming, self._outgoing, server_hostname=HOST)
        self.far = server

    def shake(self) -> None:
        """Raises what the client raises."""
        for _ in range(6):
            with suppress(ssl.SSLWantReadError):
                self.near.do_handshake()
            self.far.feed(self._outgoing.read())
            with suppress(_native.TlsError):
                self.far.do_handshake()
            self._incoming.write(self.far.drain())

    def stays_shut(self) -> None:
        """The client ends it, and has said and heard nothing."""
        with pytest.raises(ssl.SSLError) as error:
            self.shake()
        assert isinstance(error.value, DnsboundError)
        for step in (lambda: self.near.write(b"report"), lambda: self.near.read(100)):
            with pytest.raises((OSError, DnsboundError)):
                step()
        self.far.feed(self._outgoing.read())
        with suppress(_native.TlsError):
            self.far.do_handshake()
        assert not self.far.handshake_complete
        assert self.far.client_names() == []


def trusting(context: Context) -> Context:
    context.load_verify_locations(cadata=authority().chain[0])
    return context


def unverified() -> Context:
    made = Context.client(credential(), clientid=CODE_POINT, danger_unverified_server=True)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


def nameless() -> Context:
    made = trusting(Context.client(credential(), clientid=CODE_POINT, danger_unverified_server=True))
    made.check_hostname = False
    return made


CONTEXTS: dict[str, Callable[[], Context]] = {
    "nobody": lambda: trusting(Context.client()),
    "a certificate": lambda: trusting(Context.client(credential(), clientid=CODE_POINT)),
    "a raw key": lambda: trusting(Context.client(credential().as_raw_key(), clientid=CODE_POINT)),
    "a bare Context": lambda: trusting(Context(ssl.PROTOCOL_TLS_CLIENT)),
    "no host name": nameless,
    "no verification": unverified,
}


@versions
@pytest.mark.parametrize("case", CONTEXTS)
def test_a_client_without_records_takes_no_raw_key(case: str, version: int) -> None:
    """It does not offer to, so a server that has nothing else has nothing to show."""
    Ends(CONTEXTS[case](), serving_raw_key(make_identity(HOST), version)).stays_shut()


@versions
@pytest.mark.parametrize("case", CONTEXTS)
def test_a_server_with_both_shows_its_certificate(case: str, version: int) -> None:
    """And that is verified as any; where verification was switched off by name, it is still no raw key."""
    context = CONTEXTS[case]()
    ends = Ends(context, serving_raw_key(make_identity(HOST), version, types=(RAW, X509)))
    if context.verify_mode != ssl.CERT_NONE or context.minimum_version > version:
        ends.stays_shut()
        return
    ends.shake()
    assert ends.far.handshake_complete
    assert ends.far.certificate_types()[1] == X509


# --- with records


def sha256(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()


RECORDS: dict[str, Callable[[Identity], list[TLSA]]] = {
    "another key's": lambda _: [TLSA(3, 1, 1, sha256(make_identity("other.example").spki))],
    "its certificate's": lambda it: [TLSA(3, 0, 1, sha256(it.chain[0]))],
    "its whole certificate": lambda it: [TLSA(3, 0, 0, it.chain[0])],
    "as an authority's": lambda it: [TLSA(2, 1, 1, sha256(it.spki))],
    "as a whole authority's key": lambda it: [TLSA(2, 1, 0, it.spki)],
    "as an authority's certificate": lambda it: [TLSA(2, 0, 0, it.chain[0])],
    "as one under a public authority": lambda it: [TLSA(1, 1, 1, sha256(it.spki))],
    "as a public authority's": lambda it: [TLSA(0, 1, 1, sha256(it.spki))],
    "its digest under another name": lambda it: [TLSA(3, 1, 2, sha256(it.spki) * 2)],
    "its key cut short": lambda it: [TLSA(3, 1, 0, it.spki[:-1])],
    "its key and an octet": lambda it: [TLSA(3, 1, 0, it.spki + b"!")],
    "the digest of something else": lambda it: [TLSA(3, 1, 1, sha256(it.chain[0]))],
    "an unknown usage": lambda it: [TLSA(4, 1, 1, sha256(it.spki))],
    "an unknown digest": lambda it: [TLSA(3, 1, 3, sha256(it.spki))],
    "several that do not fit": lambda it: [
        TLSA(3, 1, 1, bytes(32)),
        TLSA(2, 1, 1, sha256(it.spki)),
        TLSA(3, 0, 1, sha256(it.spki)),
        TLSA(1, 1, 1, sha256(it.spki)),
    ],
}


def by_records(world: World, records: list[TLSA]) -> Context:
    """A client that believes these records, and certificate authorities for nothing."""
    zone = world.organisation(HOST)
    zone.address(HOST, "127.0.0.1")
    zone.publish(f"_{PORT}._tcp.{HOST}", *records)
    made = Context.client(credential(), clientid=CODE_POINT, resolver=world.resolver(), server_tlsa="require")
    with suppress(TLSRefused):  # no record that could be used: then the handshake may not begin
        made.prepare_blocking(HOST, PORT)
    return made


@pytest.mark.parametrize("types", [(RAW,), (RAW, X509)], ids=["raw alone", "both"])
@pytest.mark.parametrize("case", RECORDS)
def test_only_this_keys_record_opens(world: World, case: str, types: tuple[int, ...]) -> None:
    shown = make_identity("elsewhere.example")
    context = by_records(world, RECORDS[case](shown))
    ends = Ends(context, serving_raw_key(shown, TLS13, types=types))
    if X509 in types and case.startswith("its ") and "certificate" in case:
        # The record is the certificate's, and no raw key is offered: the certificate is what is shown, and believed.
        ends.shake()
        assert ends.far.certificate_types()[1] == X509
        return
    ends.stays_shut()


@pytest.mark.parametrize("matching", [0, 1, 2])
def test_its_own_record_opens(world: World, matching: int) -> None:
    """The control."""
    shown = make_identity("elsewhere.example")
    data = {0: shown.spki, 1: sha256(shown.spki), 2: hashlib.sha512(shown.spki).digest()}[matching]
    ends = Ends(by_records(world, [TLSA(3, 1, matching, data)]), serving_raw_key(shown, TLS13))
    ends.shake()
    assert ends.far.handshake_complete
    assert ends.far.client_names() == [(0, NAME)]
    assert ends.near.server_tlsa() == TLSA(3, 1, matching, data)


# --- a server that does not keep to what was agreed


def against(context: Context, server: HostileServer) -> list[int]:
    """The alerts the client sends; its handshake must not be complete."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = context.wrap_bio(incoming, outgoing, server_hostname=HOST)
    with pytest.raises(ssl.SSLWantReadError):
        near.do_handshake()
    incoming.write(server.answer(outgoing.read()))
    with pytest.raises(ssl.SSLError) as error:
        near.do_handshake()
    assert not isinstance(error.value, ssl.SSLWantReadError)
    said = server.open(outgoing.read())
    assert [kind for kind, _ in said] == [21], "one alert, and neither name nor data"
    return [content[1] for _, content in said]


def showing(shown: Identity, octets: bytes, **options: bytes) -> HostileServer:
    """It signs with its key, whatever it shows in the Certificate message."""
    return HostileServer(Identity(key=shown.key, chain=(octets,)), **options)


UNEXPECTED_EXTENSION_ALERTS = {110}
NO_CERTIFICATE_ALERTS = {42, 47, 50}
AGREED = extension(SERVER_CERTIFICATE_TYPE, b"\x02")


@pytest.mark.parametrize("case", CONTEXTS)
def test_a_key_in_place_of_a_certificate(case: str) -> None:
    shown = make_identity(HOST, issuer=authority())
    assert set(against(CONTEXTS[case](), showing(shown, shown.spki))) <= NO_CERTIFICATE_ALERTS


@pytest.mark.parametrize("case", CONTEXTS)
def test_a_key_announced_to_a_client_that_did_not_offer(case: str) -> None:
    shown = make_identity(HOST, issuer=authority())
    alerts = against(CONTEXTS[case](), showing(shown, shown.spki, encrypted=AGREED))
    assert set(alerts) <= UNEXPECTED_EXTENSION_ALERTS


def test_a_certificate_where_a_key_was_agreed(world: World) -> None:
    """The record matches the certificate's key, and still the octets are no raw key."""
    shown = make_identity(HOST, issuer=authority())
    context = by_records(world, [TLSA(3, 1, 1, sha256(shown.spki))])
    assert set(against(context, showing(shown, shown.chain[0], encrypted=AGREED))) <= NO_CERTIFICATE_ALERTS


@pytest.mark.parametrize("tail", [b"!", b"\0" * 4])
def test_octets_behind_the_key(world: World, tail: bytes) -> None:
    shown = make_identity(HOST)
    context = by_records(world, [TLSA(3, 1, 0, shown.spki), TLSA(3, 1, 1, sha256(shown.spki + tail))])
    assert set(against(context, showing(shown, shown.spki + tail, encrypted=AGREED))) <= NO_CERTIFICATE_ALERTS


def test_two_keys(world: World) -> None:
    """The first is the record's, the second signs; or the other way about."""
    right, wrong = make_identity(HOST), make_identity(HOST)
    for first, second in ((right, wrong), (wrong, right)):
        context = by_records(world, [TLSA(3, 1, 1, sha256(right.spki))])
        server = HostileServer(Identity(key=second.key, chain=(first.spki, second.spki)), encrypted=AGREED)
        assert against(context, server)


def test_the_records_key_without_possession(world: World) -> None:
    right, wrong = make_identity(HOST), make_identity(HOST)
    context = by_records(world, [TLSA(3, 1, 1, sha256(right.spki))])
    server = HostileServer(Identity(key=wrong.key, chain=(right.spki,)), encrypted=AGREED)
    assert against(context, server) == [51]

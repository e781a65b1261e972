"""First and later flights of TLS and DTLS at the native engine, as servers of names and their clients meet them.

The engine's own exception is what it may raise. Beyond that each target holds a promise of its own: a first flight
never completes a handshake, a stranger's datagram is answered by a shorter one, and whoever has not proved a key has no
name. Seeds are a client's honest flights; the server's share is new in every run, so later flights are read up to the
first signature.
"""

from collections.abc import Iterator
from contextlib import suppress
from functools import cache

from dnsbound import _native
from dnsbound.credential.credential import Credential
from dnsbound.iana import DANE_CLIENTID, TLS_1_2, TLS_1_3, CertificateType
from fuzz.target import Target

NAME = b"car54._device.cars.example"
ADDRESS = b"\xc0\x00\x02\x01\x12\x34"
KEYS = (b"k" * 32,)
TYPES = [CertificateType.RAW_PUBLIC_KEY, CertificateType.X509]
RECORD_HEADER = {False: 5, True: 13}
"""Octets, over streams and over datagrams; the last two are the length of what follows."""


@cache
def credential() -> Credential:
    return Credential.generate(NAME.decode(), now=1_790_000_000.0)


@cache
def server(*, datagram: bool) -> _native.Config:
    config = _native.Config(server_side=True, datagram=datagram)
    config.set_credential(credential().chain, credential().private_key_der())
    config.set_peer_verification("accept")
    config.set_certificate_types(own=[CertificateType.X509], peer=TYPES)
    config.set_clientid(DANE_CLIENTID, profiles=["ca13", "cid07"])
    config.set_held_flight(True)
    return config


@cache
def listener() -> _native.CookieListener:
    return _native.CookieListener(server(datagram=True))


def client(own: int, *, datagram: bool, version: int = TLS_1_2) -> _native.Connection:
    """version: of one over a stream."""
    config = _native.Config(server_side=False, datagram=datagram)
    config.set_credential(credential().chain, credential().private_key_der())
    config.set_certificate_types(own=[own], peer=[CertificateType.X509])
    config.set_peer_verification("none")
    config.set_clientid(DANE_CLIENTID, profiles=["cid07"])
    if not datagram:
        config.set_versions(version, version)
    return _native.Connection(config, server_hostname="api.example", client_name=NAME, clear_name=True)


def proved_nothing(connection: _native.Connection) -> None:
    """Neither complete nor named, unless the client's own honest flight came through unharmed."""
    if not connection.handshake_complete and connection.client_names():
        raise AssertionError("a name without possession")
    if connection.take_keylog():
        raise AssertionError("secrets were written")


# --- over streams


def greet(octets: bytes) -> object:
    """A first flight, of either version: the server may answer, and cannot be done."""
    connection = _native.Connection(server(datagram=False))
    connection.feed(octets)
    with suppress(_native.TlsError):
        if connection.do_handshake():
            raise AssertionError("complete after one flight")
    proved_nothing(connection)
    return connection.drain()


@cache
def hellos() -> list[bytes]:
    return [_begun(client(own, datagram=False, version=version)) for version in (TLS_1_2, TLS_1_3) for own in TYPES]


def _begun(connection: _native.Connection) -> bytes:
    connection.do_handshake()
    return connection.drain()


def answer(octets: bytes) -> object:
    """A second flight, after an honest hello."""
    connection = _native.Connection(server(datagram=False))
    connection.feed(hellos()[octets[0] % 2 if octets else 0])
    connection.do_handshake()
    connection.drain()
    connection.feed(octets[1:])
    with suppress(_native.TlsError):
        connection.do_handshake()
    proved_nothing(connection)
    return connection.drain()


def second_flights() -> list[bytes]:
    """Each behind an octet that says which hello went before."""
    made = []
    for place, own in enumerate(TYPES):
        near, far = client(own, datagram=False), _native.Connection(server(datagram=False))
        far.feed(_begun(near))
        far.do_handshake()
        near.feed(far.drain())
        made.append(bytes((place,)) + _begun(near))
    return made


# --- over datagrams


def knock(octets: bytes) -> object:
    """A datagram from an address that nothing is known of."""
    answered = listener().receive(octets, address=ADDRESS, keys=KEYS)
    if isinstance(answered, bytes):
        if len(answered) >= len(octets):
            raise AssertionError("an answer that is not shorter")
    elif answered is not None:
        with suppress(_native.TlsError):
            answered.do_handshake()
        proved_nothing(answered)
        return answered.take_datagrams()
    return answered


def first_datagrams() -> list[bytes]:
    """Without a cookie and with it."""
    made = []
    for own in TYPES:
        near = client(own, datagram=True)
        near.do_handshake()
        first, *_ = near.take_datagrams()
        request = listener().receive(first, address=ADDRESS, keys=KEYS)
        assert isinstance(request, bytes)
        near.feed_datagram(request)
        near.do_handshake()
        made += [first, *near.take_datagrams()]
    return made


def records(octets: bytes) -> object:
    """Datagrams to a server that has sent its flight: each record of the input is one, cut where its header says."""
    _, second = first_datagrams_of_one()
    connection = listener().receive(second, address=ADDRESS, keys=KEYS)
    assert isinstance(connection, _native.Connection)
    connection.do_handshake()
    sent = sum(map(len, connection.take_datagrams()))
    with suppress(_native.TlsError):
        for datagram in _cut(octets):
            connection.feed_datagram(datagram)
            connection.do_handshake()
            sent += sum(map(len, connection.take_datagrams()))
    proved_nothing(connection)
    return sent


@cache
def first_datagrams_of_one() -> tuple[bytes, bytes]:
    first, second, *_ = first_datagrams()
    return first, second


def _cut(octets: bytes) -> Iterator[bytes]:
    while octets:
        size = RECORD_HEADER[True] + int.from_bytes(octets[11:13], "big")
        yield octets[:size]
        octets = octets[size:]


def later_datagrams() -> list[bytes]:
    made = []
    for own in TYPES:
        near = client(own, datagram=True)
        near.do_handshake()
        request = listener().receive(near.take_datagrams()[0], address=ADDRESS, keys=KEYS)
        assert isinstance(request, bytes)
        near.feed_datagram(request)
        near.do_handshake()
        far = listener().receive(near.take_datagrams()[0], address=ADDRESS, keys=KEYS)
        assert isinstance(far, _native.Connection)
        far.do_handshake()
        for datagram in far.take_datagrams():
            near.feed_datagram(datagram)
        near.do_handshake()
        made.append(b"".join(near.take_datagrams()))
    return made


# --- at a client


def hear(octets: bytes) -> object:
    """What a server says to a client's first flight, of TLS 1.2 or, behind an odd octet, of TLS 1.3."""
    near = client(CertificateType.X509, datagram=False, version=TLS_1_2 if _even(octets) else TLS_1_3)
    near.do_handshake()
    near.drain()
    near.feed(octets[1:])
    with suppress(_native.TlsError):
        if near.do_handshake():
            raise AssertionError("complete by a flight that answers another hello")
    return near.drain()


def _even(octets: bytes) -> bool:
    return not octets or octets[0] % 2 == 0


def servers_flights() -> list[bytes]:
    made = []
    for place, version in enumerate((TLS_1_2, TLS_1_3)):
        near, far = (
            client(CertificateType.X509, datagram=False, version=version),
            _native.Connection(server(datagram=False)),
        )
        far.feed(_begun(near))
        far.do_handshake()
        made.append(bytes((place,)) + far.drain())
    return made


def hear_datagrams(octets: bytes) -> object:
    near = client(CertificateType.X509, datagram=True)
    near.do_handshake()
    near.take_datagrams()
    sent = 0
    with suppress(_native.TlsError):
        for datagram in _cut(octets):
            near.feed_datagram(datagram)
            if near.do_handshake():
                raise AssertionError("complete by a flight that answers another hello")
            sent += len(near.take_datagrams())
    return sent


def servers_datagrams() -> list[bytes]:
    """A HelloVerifyRequest, and the flight that follows a verified hello."""
    first, second = first_datagrams_of_one()
    request = listener().receive(first, address=ADDRESS, keys=KEYS)
    connection = listener().receive(second, address=ADDRESS, keys=KEYS)
    assert isinstance(request, bytes)
    assert isinstance(connection, _native.Connection)
    connection.do_handshake()
    return [request, b"".join(connection.take_datagrams())]


HANDSHAKE_TARGETS: dict[str, Target] = {
    "tls-hello": Target(greet, hellos),
    "tls12-flight": Target(answer, second_flights),
    "dtls-hello": Target(knock, first_datagrams),
    "dtls-records": Target(records, later_datagrams),
    "tls-server-flight": Target(hear, servers_flights),
    "dtls-server-flight": Target(hear_datagrams, servers_datagrams),
}

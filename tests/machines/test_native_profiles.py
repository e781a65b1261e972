"""dane_clientid in the profiles ca10 and cid07: where it stands in TLS 1.2 and 1.3, in which form, and what is refused.

draft-ietf-dance-client-auth-10 section 7; draft-ietf-dance-tls-clientid-07 section 3; RFC 9846 section 4.3.
"""

import pytest

from adversary.hostile_client import HostileClient, vector
from dnsbound import _native
from machines.native_hellos import hello_extensions, with_extensions
from machines.native_pairs import (
    CLIENT_NAME,
    CODE_POINT,
    RAW,
    SERVER,
    TLS12,
    TLS13,
    X509,
    client_config,
    connect,
    server_config,
    shake,
)
from machines.test_native_clientid import arrive, ask, clientid, present, refuse

DECODE_ERROR, ILLEGAL_PARAMETER = 50, 47
ZERO = b"\0"
ANSWER = vector(CLIENT_NAME, 1)


def server(
    *profiles: str, versions: tuple[int, int] = (TLS12, TLS13), request: bool = True, own: int = X509
) -> _native.Config:
    config = server_config(clientid=False, versions=versions, peer=[RAW, X509], own=[own])
    config.set_clientid(CODE_POINT, request=request, profiles=profiles)
    return config


def client(*profiles: str, versions: tuple[int, int] = (TLS12, TLS13), own: int = X509) -> _native.Config:
    config = client_config(clientid=False, own=[own])
    config.set_versions(*versions)
    config.set_clientid(CODE_POINT, profiles=profiles)
    return config


def meet(
    far: _native.Config, near: _native.Config, name: bytes | None = CLIENT_NAME, *, clear: bool = False
) -> tuple[_native.Connection, _native.Connection]:
    """(client, server), handshake complete."""
    caller = _native.Connection(near, server_hostname=SERVER, client_name=name, clear_name=clear)
    called = _native.Connection(far)
    shake(caller, called)
    return caller, called


# --- where the name stands


@pytest.mark.parametrize("own", [X509, RAW])
def test_tls12_carries_the_name_in_the_hellos(own: int) -> None:
    near, far = meet(server("cid07", versions=(TLS12, TLS12)), client("cid07", own=own), clear=True)
    assert near.version() == TLS12
    assert far.client_names() == [(0, CLIENT_NAME)]
    assert not far.clientid_empty()
    assert near.clientid_requested()
    assert far.clientid_requested()
    assert (far.peer_raw_public_key() is not None) == (own == RAW)


def test_tls12_octets() -> None:
    caller = _native.Connection(client("cid07"), client_name=CLIENT_NAME, clear_name=True)
    called = _native.Connection(server("cid07", versions=(TLS12, TLS12)))
    caller.do_handshake()
    hello = caller.drain()
    assert hello_extensions(hello)[CODE_POINT] == ANSWER
    called.feed(hello)
    called.do_handshake()
    assert hello_extensions(called.drain())[CODE_POINT] == b""


@pytest.mark.parametrize("profile", ["ca13", "ca10", "cid07"])
def test_a_name_is_never_in_clear_untold(profile: str) -> None:
    caller = _native.Connection(client(profile), client_name=CLIENT_NAME)
    caller.do_handshake()
    hello = caller.drain()
    assert CODE_POINT not in hello_extensions(hello)
    assert CLIENT_NAME not in hello


def test_tls12_without_clear_name_says_none() -> None:
    near, far = meet(server("cid07", versions=(TLS12, TLS12)), client("cid07"))
    assert near.version() == TLS12
    assert far.client_names() == []
    assert not far.clientid_empty()
    assert not near.clientid_requested()
    assert not far.clientid_requested()


@pytest.mark.parametrize("profile", ["ca13", "ca10", "cid07"])
def test_tls13_carries_it_in_the_certificate(profile: str) -> None:
    near, far = meet(server(profile), client(profile))
    assert near.version() == TLS13
    assert far.client_names() == [(0, CLIENT_NAME)]
    assert near.clientid_requested()


def test_tls13_chosen_after_a_clear_hello() -> None:
    near, far = meet(server("cid07"), client("cid07"), clear=True)
    assert near.version() == TLS13
    assert far.client_names() == [(0, CLIENT_NAME)]


def test_a_clear_hello_alone_is_no_name_in_tls13() -> None:
    hostile = HostileClient(extra_extensions=clientid(ANSWER))
    called = _native.Connection(server("cid07"))
    arrive(called, hostile)
    present(called, hostile, b"")
    assert called.do_handshake()
    assert called.client_names() == []
    assert not called.clientid_empty()


def test_hello_and_certificate_say_the_same_name() -> None:
    hostile = HostileClient(extra_extensions=clientid(ANSWER))
    called = _native.Connection(server("cid07"))
    arrive(called, hostile)
    present(called, hostile, clientid(vector(b"other.example", 1)))
    with pytest.raises(_native.TlsError) as refused:
        called.do_handshake()
    assert refused.value.alert_sent == ILLEGAL_PARAMETER
    assert called.client_names() == []


def test_a_server_that_does_not_ask_heeds_no_hello() -> None:
    near, far = meet(server("cid07", versions=(TLS12, TLS12), request=False), client("cid07"), clear=True)
    assert far.client_names() == []
    assert not near.clientid_requested()


def test_without_cid07_a_hello_with_it_is_refused() -> None:
    caller = _native.Connection(client("cid07"), client_name=CLIENT_NAME, clear_name=True)
    caller.do_handshake()
    called = _native.Connection(server("ca13", "ca10"))
    called.feed(caller.drain())
    with pytest.raises(_native.TlsError) as refused:
        called.do_handshake()
    assert refused.value.alert_sent == ILLEGAL_PARAMETER


def test_an_old_server_is_met_without_it() -> None:
    near, far = meet(server_config(clientid=False, versions=(TLS12, TLS12)), client("cid07"), clear=True)
    assert near.certificate_requested()
    assert not near.clientid_requested()
    assert far.client_names() == []


# --- what a server asks with


@pytest.mark.parametrize(
    ("profiles", "request_data"),
    [
        (("ca13",), ZERO),
        (("ca10",), ZERO),
        (("cid07",), b""),
        (("ca13", "ca10"), ZERO),
        (("ca13", "cid07"), ZERO),
        (("cid07", "ca10"), ZERO),
    ],
)
def test_the_request_of_each_set(profiles: tuple[str, ...], request_data: bytes) -> None:
    hostile = HostileClient()
    arrive(_native.Connection(server(*profiles)), hostile)
    assert hostile.requested_extensions()[CODE_POINT] == request_data


@pytest.mark.parametrize(
    ("profile", "request_data", "taken"),
    [
        ("ca13", ZERO, True),
        ("ca13", b"", False),
        ("ca10", ZERO, True),
        ("ca10", b"", True),
        ("cid07", ZERO, True),
        ("cid07", b"", True),
    ],
)
def test_which_request_a_client_takes(profile: str, request_data: bytes, taken: bool) -> None:
    caller, _ = ask(request=clientid(request_data), profiles=(profile,))
    if taken:
        assert caller.do_handshake()
        assert caller.clientid_requested()
        return
    with pytest.raises(_native.TlsError) as refused:
        caller.do_handshake()
    assert refused.value.alert_sent == DECODE_ERROR


@pytest.mark.parametrize("profile", ["ca10", "cid07"])
def test_no_server_names_anybody(profile: str) -> None:
    caller, _ = ask(request=clientid(ANSWER), profiles=(profile,))
    with pytest.raises(_native.TlsError) as refused:
        caller.do_handshake()
    assert refused.value.alert_sent == ILLEGAL_PARAMETER


# --- answers without a name


@pytest.mark.parametrize(
    ("profile", "data", "names", "empty"),
    [
        ("ca13", ZERO, [(0, b"")], False),
        ("ca10", ZERO, [(0, b"")], False),
        ("ca10", b"", [], True),
        ("cid07", b"", [], True),
    ],
)
def test_an_answer_without_a_name(profile: str, data: bytes, names: list[tuple[int, bytes]], empty: bool) -> None:
    called, hostile = _native.Connection(server(profile)), HostileClient()
    arrive(called, hostile)
    present(called, hostile, clientid(data))
    assert called.do_handshake()
    assert called.client_names() == names
    assert called.clientid_empty() == empty


def test_forms_of_other_profiles_are_decode_errors() -> None:
    refuse(DECODE_ERROR, clientid(b""), config=server("ca13"))
    refuse(DECODE_ERROR, clientid(ZERO), config=server("cid07"))


@pytest.mark.parametrize("profile", ["ca10", "cid07"])
def test_an_empty_answer_counts_as_one(profile: str) -> None:
    refuse(ILLEGAL_PARAMETER, clientid(b""), clientid(ANSWER), config=server(profile))


def test_an_empty_answer_elsewhere_is_none() -> None:
    called, hostile = _native.Connection(server("ca10")), HostileClient()
    arrive(called, hostile)
    present(called, hostile, b"", clientid(b""))
    assert called.do_handshake()
    assert not called.clientid_empty()


@pytest.mark.parametrize(("profile", "version"), [("ca10", TLS13), ("cid07", TLS13), ("cid07", TLS12)])
def test_our_client_may_answer_without_a_name(profile: str, version: int) -> None:
    far = server(profile, versions=(version, version))
    _, called = meet(far, client(profile), b"", clear=version == TLS12)
    assert called.clientid_empty()
    assert called.client_names() == []


# --- hellos that do not fit


@pytest.mark.parametrize("data", [ZERO, b"\x05abcd", b"\x03abcd", b"\xff" + b"x" * 254, vector(CLIENT_NAME, 2)])
@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_octets_of_a_client_hello_that_do_not_fit(data: bytes, version: int) -> None:
    caller = _native.Connection(client("cid07"), client_name=CLIENT_NAME, clear_name=True)
    caller.do_handshake()
    called = _native.Connection(server("cid07", "ca13", versions=(version, version)))
    called.feed(with_extensions(caller.drain(), {CODE_POINT: data}))
    with pytest.raises(_native.TlsError) as refused:
        called.do_handshake()
    assert refused.value.alert_sent == DECODE_ERROR
    assert called.client_names() == []


@pytest.mark.parametrize("data", [ZERO, ANSWER])
def test_octets_of_a_server_hello_that_do_not_fit(data: bytes) -> None:
    caller = _native.Connection(client("cid07"), client_name=CLIENT_NAME, clear_name=True)
    called = _native.Connection(server("cid07", versions=(TLS12, TLS12)))
    caller.do_handshake()
    called.feed(caller.drain())
    called.do_handshake()
    caller.feed(with_extensions(called.drain(), {CODE_POINT: data}))
    with pytest.raises(_native.TlsError) as refused:
        caller.do_handshake()
    assert refused.value.alert_sent == DECODE_ERROR


def test_a_server_hello_answers_only_what_was_sent() -> None:
    caller = _native.Connection(client("cid07"), client_name=CLIENT_NAME)
    called = _native.Connection(server("cid07", versions=(TLS12, TLS12)))
    caller.do_handshake()
    called.feed(caller.drain())
    called.do_handshake()
    flight = called.drain()
    assert CODE_POINT not in hello_extensions(flight)
    caller.feed(with_extensions(flight, {CODE_POINT: b""}))
    with pytest.raises(_native.TlsError) as refused:
        caller.do_handshake()
    assert refused.value.alert_sent == 110


def test_a_name_put_in_on_the_way_is_found_out() -> None:
    """The hellos are signed over: who is in the middle can neither add nor change a name."""
    caller = _native.Connection(client("cid07"), client_name=CLIENT_NAME, clear_name=True)
    called = _native.Connection(server("cid07", versions=(TLS12, TLS12)))
    caller.do_handshake()
    called.feed(with_extensions(caller.drain(), {CODE_POINT: vector(b"thief.example", 1)}))
    called.do_handshake()
    caller.feed(called.drain())
    caller.do_handshake()
    called.feed(caller.drain())
    with pytest.raises(_native.TlsError) as refused:
        called.do_handshake()
    assert refused.value.alert_sent == 51
    assert called.client_names() == []


# --- what can never be right


def test_settings_that_make_no_sense() -> None:
    config = _native.Config(server_side=False)
    with pytest.raises(ValueError, match="no profile"):
        config.set_clientid(CODE_POINT, profiles=[])
    with pytest.raises(ValueError, match="no such profile"):
        config.set_clientid(CODE_POINT, profiles=["ca09"])
    with pytest.raises(ValueError, match="cid07"):
        _native.Connection(client("ca13", "ca10"), client_name=CLIENT_NAME, clear_name=True)
    with pytest.raises(ValueError, match="no client name"):
        _native.Connection(client("cid07"), clear_name=True)
    with pytest.raises(ValueError, match="1 to 255"):
        _native.Connection(client("ca13"), client_name=b"")
    with pytest.raises(ValueError, match="0 to 255"):
        _native.Connection(client("cid07"), client_name=b"x" * 256)
    with pytest.raises(ValueError, match="server connection"):
        _native.Connection(server("cid07"), client_name=CLIENT_NAME, clear_name=True)


def test_the_default_is_ca13() -> None:
    near, far = connect(server_config(), client_config())
    assert (near.version(), far.client_names()) == (TLS13, [(0, CLIENT_NAME)])
    refuse(DECODE_ERROR, clientid(b""))

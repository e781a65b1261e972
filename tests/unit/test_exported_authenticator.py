"""Exported authenticators against a second computation written from RFC 9261's formulas, and every way to be wrong."""

import hashlib
import hmac as hmac_module
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.credential.signature import CHECKS, BadSignature, verify_signature
from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, Misuse, PeerError, Reason, Refused
from dnsbound.iana import ExtensionType, HandshakeType, SignatureScheme
from dnsbound.names import ClientName
from dnsbound.tls import exported_authenticator as ea
from dnsbound.tls.authenticator_request import EXTENSION_PLACES, REQUEST_KIND, AuthenticatorRequest, Role
from dnsbound.tls.exported_authenticator import AuthenticatorKeys, ContextForm, InvalidAuthenticator
from dnsbound.tls.handshake_messages import Extension
from unit import authenticators as rfc
from unit.authenticators import CLIENTID, NAME, Formulas

TLS12, DTLS12, TLS13 = 0x0303, 0xFEFD, 0x0304
CONTEXT = bytes(range(32))
HANDSHAKE_CONTEXT, FINISHED_KEY = b"\x11" * 32, b"\x22" * 32
FORMULAS = Formulas(HANDSHAKE_CONTEXT, FINISHED_KEY)
ALGORITHMS = [KeyAlgorithm.P256, KeyAlgorithm.ED25519, KeyAlgorithm.RSA2048, KeyAlgorithm.MLDSA44, KeyAlgorithm.MLDSA65]


def keys(sender: Role = Role.CLIENT, digest: str = "sha256") -> AuthenticatorKeys:
    return AuthenticatorKeys(
        sender=sender, digest=digest, handshake_context=HANDSHAKE_CONTEXT, finished_key=FINISHED_KEY
    )


def question(**options: Any) -> AuthenticatorRequest:
    return AuthenticatorRequest.build(Role.SERVER, CONTEXT, **{"clientid": CLIENTID, **options})


@pytest.fixture(scope="module")
def own() -> Credential:
    return Credential.generate(NAME.decode(), now=0)


def answer(own: Credential, request: AuthenticatorRequest | None = None, **options: Any) -> bytes:
    return ea.build(keys(), request or question(), own.chain, own.signer, **{"client_name": own.name, **options})


def shown(own: Credential, *, context: bytes = CONTEXT, leaf: bytes | None = None, extensions: bytes = b"") -> bytes:
    return rfc.certificate(context, (own.chain[0] if leaf is None else leaf, extensions))


# --- two computations


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_built_holds_by_the_formulas(algorithm: KeyAlgorithm) -> None:
    own = Credential.generate(NAME.decode(), now=0, algorithm=algorithm)
    octets = answer(own)
    context, leaf = FORMULAS.check(question().octets, octets)
    assert context == CONTEXT
    assert rfc.extension(CLIENTID, rfc.vector(NAME, 1)) in octets
    assert leaf.public_key() == own.private_key.public_key()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_the_formulas_build_is_valid(algorithm: KeyAlgorithm) -> None:
    own = Credential.generate(NAME.decode(), now=0, algorithm=algorithm)
    name = rfc.extension(CLIENTID, rfc.vector(NAME, 1))
    octets = FORMULAS.authenticator(question().octets, shown(own, extensions=name), own.private_key)
    found = ea.validate(keys(), question(), octets)
    assert (found.chain, found.client_name, found.context, found.sender) == (own.chain, NAME, CONTEXT, Role.CLIENT)


def test_the_request_is_what_the_formulas_say() -> None:
    schemes = (SignatureScheme.ED25519, SignatureScheme.ECDSA_SECP256R1_SHA256)
    expected = rfc.request(CONTEXT, rfc.schemes(*schemes), rfc.extension(CLIENTID, b"\x00"))
    assert question(schemes=schemes).octets == expected
    asked = AuthenticatorRequest.build(Role.CLIENT, CONTEXT, schemes=schemes)
    assert asked.octets == rfc.request(CONTEXT, rfc.schemes(*schemes), kind=rfc.CLIENT_REQUEST)


def test_a_server_answers_a_client_with_its_own_keys(own: Credential) -> None:
    asked = AuthenticatorRequest.build(Role.CLIENT, CONTEXT)
    octets = ea.build(keys(Role.SERVER), asked, own.chain, own.signer)
    assert FORMULAS.check(asked.octets, octets)[0] == CONTEXT
    assert ea.validate(keys(Role.SERVER), asked, octets).sender is Role.SERVER


def test_a_server_may_show_a_certificate_unasked(own: Credential) -> None:
    offered = {"offered_schemes": [rfc.RSA_PKCS1, rfc.ECDSA_P256], "offered_extensions": [5]}
    octets = ea.build_unasked(
        keys(Role.SERVER), CONTEXT, own.chain, own.signer, extensions=[Extension(5, b"\x01staple")], **offered
    )
    assert FORMULAS.check(b"", octets)[0] == CONTEXT
    found = ea.validate_unasked(keys(Role.SERVER), octets, **offered)
    assert (found.context, found.leaf_extensions) == (CONTEXT, (Extension(5, b"\x01staple"),))
    with pytest.raises(InvalidAuthenticator):
        ea.validate_unasked(keys(Role.SERVER), octets, offered_schemes=[rfc.ECDSA_P256])


def test_sha384_suites_use_sha384(own: Credential) -> None:
    long = AuthenticatorKeys(
        sender=Role.CLIENT, digest="sha384", handshake_context=b"\x11" * 48, finished_key=b"\x22" * 48
    )
    octets = ea.build(long, question(), own.chain, own.signer)
    assert Formulas(b"\x11" * 48, b"\x22" * 48, "sha384").check(question().octets, octets)[0] == CONTEXT
    with pytest.raises(InvalidAuthenticator):
        ea.validate(keys(), question(), octets)


class Elsewhere:
    """A key that is not in this process, as one in hardware."""

    def __init__(self, own: Credential) -> None:
        self._signer = own.signer
        self.spki = own.spki
        self.schemes = own.signer.schemes
        self.signed: list[bytes] = []

    def sign(self, message: bytes, scheme: SignatureScheme) -> bytes:
        self.signed.append(message)
        return self._signer.sign(message, scheme)


def test_a_key_elsewhere_signs_once_and_what_the_formulas_say(own: Credential) -> None:
    elsewhere = Elsewhere(own)
    octets = ea.build(keys(), question(), own.chain, elsewhere, client_name=own.name)  # type: ignore[arg-type]
    shows = octets[: 4 + int.from_bytes(octets[1:4], "big")]
    assert elsewhere.signed == [FORMULAS.to_sign(question().octets, shows)]
    assert FORMULAS.check(question().octets, octets)[0] == CONTEXT


# --- the rows


def test_ea_01_a_client_sends_none_unasked(own: Credential) -> None:
    """There is nothing to do it with: every function that builds one takes a request, or refuses a client."""
    with pytest.raises(Misuse):
        ea.build_unasked(keys(Role.CLIENT), CONTEXT, own.chain, own.signer, offered_schemes=[rfc.ECDSA_P256])
    builders = [name for name, made in vars(ea).items() if name.startswith("build") and made.__module__ == ea.__name__]
    assert builders == ["build", "build_empty", "build_unasked"]
    for builder in (ea.build, ea.build_empty):
        assert inspect.signature(builder).parameters["request"].default is inspect.Parameter.empty
    octets = FORMULAS.authenticator(b"", shown(own), own.private_key)
    with pytest.raises(InvalidAuthenticator):
        ea.validate_unasked(keys(Role.CLIENT), octets, offered_schemes=[rfc.ECDSA_P256])
    with pytest.raises(Misuse):
        ea.build(keys(Role.SERVER), question(), own.chain, own.signer)


def exporter(log: list[tuple[bytes, int, bytes | None]]) -> Callable[[bytes, int, bytes | None], bytes]:
    def export(label: bytes, length: int, context: bytes | None) -> bytes:
        log.append((label, length, context))
        return hashlib.shake_128(label).digest(length)

    return export


def test_ea_02_tls_1_2_needs_the_extended_master_secret() -> None:
    log: list[tuple[bytes, int, bytes | None]] = []
    export = exporter(log)
    for version, extended in (
        (TLS12, False),
        (DTLS12, False),
        (0xFEFF, True),
        (0x0302, True),
        (0x0301, True),
        (0x0300, True),
        (0, True),
        (0x0305, True),
    ):
        with pytest.raises(PeerError):
            AuthenticatorKeys.export(
                export, Role.CLIENT, version=version, digest="sha256", extended_master_secret=extended
            )
    assert log == [], "nothing was exported"
    assert dict(ea.NEEDS_EXTENDED_MASTER_SECRET) == {TLS12: True, DTLS12: True, TLS13: False}


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize(
    ("version", "form", "context"),
    [
        (TLS13, ContextForm.ZERO_LENGTH, None),
        (TLS13, ContextForm.ABSENT, None),
        (TLS12, ContextForm.ZERO_LENGTH, b""),
        (TLS12, ContextForm.ABSENT, None),
        (DTLS12, ContextForm.ZERO_LENGTH, b""),
    ],
)
@pytest.mark.parametrize("digest", ["sha256", "sha384"])
def test_what_is_exported(role: Role, version: int, form: ContextForm, context: bytes | None, digest: str) -> None:
    log: list[tuple[bytes, int, bytes | None]] = []
    made = AuthenticatorKeys.export(
        exporter(log), role, version=version, digest=digest, extended_master_secret=True, context_form=form
    )
    size = hashlib.new(digest).digest_size
    assert log == [
        (f"EXPORTER-{role.value} authenticator handshake context".encode(), size, context),
        (f"EXPORTER-{role.value} authenticator finished key".encode(), size, context),
    ]
    assert (made.handshake_context, made.finished_key) == tuple(
        hashlib.shake_128(label).digest(length) for label, length, _ in log
    )


def test_ea_04_only_requested_extensions_are_sent(own: Credential) -> None:
    with pytest.raises(Misuse):
        answer(own, extensions=[Extension(5, b"")])
    asked = question(extensions=[Extension(5, b"\x01\x00\x00\x00\x00")])
    assert ea.validate(keys(), asked, answer(own, asked, extensions=[Extension(5, b"x")])).leaf_extensions[0].type == 5
    unnamed = question(clientid=None)
    assert ea.validate(keys(), unnamed, answer(own, unnamed)).client_name is None


@pytest.mark.parametrize("number", [5, 18, 0x1234, 62])
def test_ea_04_an_extension_that_was_not_asked_for_is_refused(own: Credential, number: int) -> None:
    for place in (0, 1):
        entries = [(own.chain[0], b""), (own.chain[0], b"")]
        entries[place] = (own.chain[0], rfc.extension(number, b""))
        octets = FORMULAS.authenticator(question().octets, rfc.certificate(CONTEXT, *entries), own.private_key)
        with pytest.raises(InvalidAuthenticator):
            ea.validate(keys(), question(), octets)


def test_ea_04_unknown_extensions_of_a_request_are_ignored(own: Credential) -> None:
    asked = rfc.request(CONTEXT, rfc.extension(0x1234, b"?"), rfc.schemes(0x7777, rfc.ECDSA_P256))
    parsed = AuthenticatorRequest.parse(asked, Role.SERVER, clientid=CLIENTID)
    octets = ea.build(keys(), parsed, own.chain, own.signer, client_name=own.name)
    assert FORMULAS.check(asked, octets)[0] == CONTEXT
    assert NAME not in octets.replace(own.chain[0], b"")


@pytest.mark.parametrize("known", list(ExtensionType))
@pytest.mark.parametrize("requester", list(Role))
def test_ea_04_a_known_extension_stands_where_it_may(known: ExtensionType, requester: Role) -> None:
    listed = [rfc.schemes(rfc.ECDSA_P256)]
    if known is not ExtensionType.SIGNATURE_ALGORITHMS:
        listed.append(rfc.extension(known, b""))
    octets = rfc.request(CONTEXT, *listed, kind=REQUEST_KIND[requester])
    if REQUEST_KIND[requester] in EXTENSION_PLACES[known]:
        assert known in AuthenticatorRequest.parse(octets, requester).extension_types
        return
    with pytest.raises(Malformed):
        AuthenticatorRequest.parse(octets, requester)
    with pytest.raises(Misuse):
        AuthenticatorRequest.build(requester, CONTEXT, extensions=[Extension(known, b"")])


def test_the_tables_are_total() -> None:
    assert set(EXTENSION_PLACES) == set(ExtensionType)
    assert set(REQUEST_KIND) == set(Role)
    assert {kind for places in EXTENSION_PLACES.values() for kind in places} <= set(HandshakeType)
    assert set(CHECKS) == set(SignatureScheme)
    assert {role.other for role in Role} == set(Role)


def test_ea_05_schemes_are_those_of_tls_1_3_and_of_the_request(own: Credential) -> None:
    assert all(scheme >> 8 not in {1, 2} and scheme & 0xFF != 1 for scheme in SignatureScheme), "no SHA-1, no PKCS#1"
    asked = question(schemes=[SignatureScheme.ED25519])
    with pytest.raises(PeerError):
        answer(own, asked)
    octets = FORMULAS.authenticator(asked.octets, shown(own), own.private_key)
    with pytest.raises(InvalidAuthenticator):
        ea.validate(keys(), asked, octets)


def test_ea_05_pkcs1_is_not_verified() -> None:
    """Also where the other end was asked for it: a ClientHello of TLS 1.2 names it."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    own = Credential.generate(NAME.decode(), now=0, algorithm=KeyAlgorithm.RSA2048)
    assert isinstance(own.private_key, rsa.RSAPrivateKey)
    shows = shown(own)
    signature = own.private_key.sign(FORMULAS.to_sign(b"", shows), padding.PKCS1v15(), hashes.SHA256())
    octets = FORMULAS.sealed(b"", shows, rfc.verify(rfc.RSA_PKCS1, signature))
    with pytest.raises(InvalidAuthenticator):
        ea.validate_unasked(keys(Role.SERVER), octets, offered_schemes=[rfc.RSA_PKCS1])


def test_ea_07_macs_are_compared_in_constant_time(own: Credential, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    real = hmac_module.compare_digest

    def watched(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return real(one, other)

    monkeypatch.setattr(hmac_module, "compare_digest", watched)
    octets = answer(own)
    ea.validate(keys(), question(), octets)
    assert (octets[-32:], octets[-32:]) in compared
    assert (CONTEXT, CONTEXT) in compared


def test_ea_08_an_empty_authenticator_is_a_refusal() -> None:
    octets = ea.build_empty(keys(), question())
    assert octets == FORMULAS.finished(question().octets, rfc.certificate(CONTEXT))
    with pytest.raises(Refused) as caught:
        ea.validate(keys(), question(), octets)
    assert caught.value.reason is Reason.NO_CREDENTIAL
    with pytest.raises(InvalidAuthenticator):
        ea.validate(keys(), question(), octets[:-1] + bytes([octets[-1] ^ 1]))
    assert ea.context_of(octets) is None


def test_ea_09_no_raw_public_keys(own: Credential) -> None:
    bare = own.as_raw_key()
    with pytest.raises(Misuse):
        ea.build(keys(), question(), bare.chain, bare.signer)
    octets = FORMULAS.authenticator(question().octets, shown(own, leaf=own.spki), own.private_key)
    with pytest.raises(Malformed):
        ea.validate(keys(), question(), octets)


# --- what is wrong with an authenticator


def test_it_is_bound_to_its_request_and_its_connection(own: Credential) -> None:
    octets = answer(own)
    other_request = question(schemes=[SignatureScheme.ECDSA_SECP256R1_SHA256])
    assert other_request.octets != question().octets
    with pytest.raises(InvalidAuthenticator):
        ea.validate(keys(), other_request, octets)
    elsewhere = AuthenticatorKeys(
        sender=Role.CLIENT, digest="sha256", handshake_context=b"\x33" * 32, finished_key=FINISHED_KEY
    )
    with pytest.raises(InvalidAuthenticator):
        ea.validate(elsewhere, question(), octets)


def test_another_context_is_refused(own: Credential) -> None:
    octets = FORMULAS.authenticator(question().octets, shown(own, context=b"other"), own.private_key)
    with pytest.raises(InvalidAuthenticator):
        ea.validate(keys(), question(), octets)
    assert ea.context_of(octets) == b"other"


def test_another_keys_signature_is_refused(own: Credential) -> None:
    other = Credential.generate(NAME.decode(), now=0)
    octets = FORMULAS.authenticator(question().octets, shown(own), other.private_key)
    with pytest.raises(InvalidAuthenticator):
        ea.validate(keys(), question(), octets)
    with pytest.raises(Misuse):
        ea.build(keys(), question(), own.chain, other.signer)


def test_a_scheme_of_another_kind_of_key_is_refused(own: Credential) -> None:
    octets = FORMULAS.sealed(question().octets, shown(own), rfc.verify(rfc.ED25519, b"s" * 64))
    with pytest.raises(InvalidAuthenticator):
        ea.validate(keys(), question(), octets)


def test_every_bit_counts(own: Credential) -> None:
    octets = answer(own)
    for place in range(len(octets)):
        broken = octets[:place] + bytes([octets[place] ^ 0x10]) + octets[place + 1 :]
        with pytest.raises(DnsboundError) as caught:
            ea.validate(keys(), question(), broken)
        assert isinstance(caught.value, InvalidAuthenticator | Malformed), place
        assert not isinstance(caught.value, Misuse)


def test_every_truncation_is_refused(own: Credential) -> None:
    octets = answer(own)
    for length in range(len(octets)):
        with pytest.raises((InvalidAuthenticator, Malformed)):
            ea.validate(keys(), question(), octets[:length])
    with pytest.raises(Malformed):
        ea.validate(keys(), question(), octets + b"\x00")


def test_a_full_authenticator_shows_a_certificate(own: Credential) -> None:
    octets = FORMULAS.authenticator(question().octets, rfc.certificate(CONTEXT), own.private_key)
    with pytest.raises(InvalidAuthenticator):
        ea.validate(keys(), question(), octets)


def test_the_name_stands_in_the_first_entry_and_once(own: Credential) -> None:
    name = rfc.extension(CLIENTID, rfc.vector(NAME, 1))

    def validated(*extensions: bytes) -> ea.ValidatedAuthenticator:
        shows = rfc.certificate(CONTEXT, *((own.chain[0], block) for block in extensions))
        return ea.validate(keys(), question(), FORMULAS.authenticator(question().octets, shows, own.private_key))

    assert validated(name, b"").client_name == NAME
    assert validated(b"", name).client_name is None, "as in a handshake, only the first entry's counts"
    assert validated(b"").client_name is None
    with pytest.raises(InvalidAuthenticator):
        validated(name, name)
    with pytest.raises(Malformed):
        validated(rfc.extension(CLIENTID, b"\x05abc"))


def test_too_much_is_not_looked_at(own: Credential) -> None:
    with pytest.raises(LimitExceeded):
        ea.validate(keys(), question(), bytes(70_000))
    with pytest.raises(LimitExceeded):
        AuthenticatorRequest.parse(bytes(70_000), Role.SERVER)
    many = rfc.certificate(CONTEXT, *[(own.chain[0], b"")] * 11)
    with pytest.raises(LimitExceeded):
        ea.validate(keys(), question(), FORMULAS.authenticator(question().octets, many, own.private_key))
    crowded = rfc.request(CONTEXT, *(rfc.extension(1000 + number, b"") for number in range(65)))
    with pytest.raises(LimitExceeded):
        AuthenticatorRequest.parse(crowded, Role.SERVER)


# --- what is wrong with a request


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        rfc.request(CONTEXT),
        rfc.request(CONTEXT, rfc.extension(13, b"\x00\x00")),
        rfc.request(CONTEXT, rfc.extension(13, b"\x00\x03\x04\x03\x08")),
        rfc.request(CONTEXT, rfc.schemes(0x0403), rfc.schemes(0x0403)),
        rfc.request(CONTEXT, rfc.schemes(0x0403)) + b"\x00",
        rfc.request(CONTEXT, rfc.schemes(0x0403), kind=rfc.CLIENT_REQUEST),
        rfc.request(CONTEXT, rfc.schemes(0x0403), kind=rfc.CERTIFICATE),
        rfc.request(CONTEXT, rfc.schemes(0x0403), kind=1),
        rfc.request(CONTEXT, rfc.schemes(0x0403), rfc.extension(CLIENTID, b"")),
        rfc.request(CONTEXT, rfc.schemes(0x0403), rfc.extension(CLIENTID, rfc.vector(NAME, 1))),
        rfc.request(CONTEXT, rfc.schemes(0x0403))[:-1],
    ],
)
def test_what_is_no_request(octets: bytes) -> None:
    with pytest.raises(Malformed):
        AuthenticatorRequest.parse(octets, Role.SERVER, clientid=CLIENTID)


def test_a_request_is_built_well_or_not_at_all() -> None:
    for context in (b"", b"c" * 256):
        with pytest.raises(Misuse):
            AuthenticatorRequest.build(Role.SERVER, context)
    with pytest.raises(Misuse):
        AuthenticatorRequest.build(Role.CLIENT, CONTEXT, clientid=CLIENTID)
    with pytest.raises(Misuse):
        question(schemes=[])
    with pytest.raises(Misuse):
        question(extensions=[Extension(CLIENTID, b"\x00")])


# --- signatures


@pytest.mark.parametrize("algorithm", list(KeyAlgorithm))
def test_a_signature_verifies_by_its_own_scheme_and_key_alone(algorithm: KeyAlgorithm) -> None:
    own = Credential.generate(NAME.decode(), now=0, algorithm=algorithm, kind="raw")
    for scheme in own.signer.schemes:
        signature = own.signer.sign(b"message", scheme)
        verify_signature(own.spki, scheme, signature, b"message")
        with pytest.raises(BadSignature):
            verify_signature(own.spki, scheme, signature, b"another message")
        for other in set(SignatureScheme) - {scheme}:
            with pytest.raises(BadSignature):
                verify_signature(own.spki, other, signature, b"message")
    for unknown in (0x0401, 0x0203, 0xFFFF):
        with pytest.raises(BadSignature):
            verify_signature(own.spki, unknown, b"", b"message")
    with pytest.raises(Malformed):
        verify_signature(b"\x30\x00", SignatureScheme.ED25519, b"", b"message")


def test_a_name_that_was_not_asked_for_is_not_sent(own: Credential) -> None:
    assert NAME not in answer(own, question(clientid=None), client_name=ClientName.parse("a.b")).replace(
        own.chain[0], b""
    )

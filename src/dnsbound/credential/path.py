"""Certification paths for usages 0 to 2: from a client's certificate to a published or configured authority.

Signatures are checked by `cryptography`, one certificate by the next. The rules around them stand here and not in
`cryptography.x509.verification`, because that verifier follows the web's profile: it finds an underscore in a dNSName
malformed as soon as a name constraint is to be applied, forbids authorities with Ed25519 keys, knows no trust anchor
that is a bare key (RFC 7671 section 5.2.3), and stops at the first trusted certificate (section 5.4 goes on). Rules
applied: validity, basicConstraints and path length, keyUsage, extKeyUsage, name constraints, no unknown critical
extension (RFC 5280 section 6.1), key and digest strength. Policies are not processed: a certificate that makes them
critical beyond `certificatePolicies` is refused. Revocation lists are not read: the record in the DNS is what ends an
identity.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Self, TypeAlias, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.extensions import Extensions
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from dnsbound.credential.certificate_facts import spki_of
from dnsbound.credential.certificate_parsing import UNPARSABLE, certificate_from_der
from dnsbound.credential.keys import MAXIMUM_RSA_BITS, KeyFacts, PublicKey
from dnsbound.credential.name_constraints import check_names
from dnsbound.errors import DnsboundError, Malformed, Reason, Refused
from dnsbound.limits import PEER_CERTIFICATES, Budget
from dnsbound.names import USERS_LABEL, ClientName, MailboxName, mailboxes_among
from dnsbound.times import Moment, iso

_UNDERSTOOD: Final = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.CERTIFICATE_POLICIES,
    }
)
_Purposes: TypeAlias = tuple[frozenset[x509.ObjectIdentifier], str]
_CLIENT_PURPOSES: Final[_Purposes] = (
    frozenset({ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}),
    "client authentication",
)
_MAIL_PURPOSES: Final[_Purposes] = (
    frozenset({ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}),
    "mail (emailProtection)",
)
_REMEMBERED_OCTETS: Final = 4096
"""Larger authorities' certificates are parsed each time, so that no peer can make the memory large."""
_BROKEN_DIGESTS: Final = frozenset({"md5", "sha1"})
_T = TypeVar("_T", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class PathCertificate:
    """A certificate that parses as a whole."""

    der: bytes
    x509: x509.Certificate
    extensions: Extensions
    subject: bytes
    issuer: bytes
    spki: bytes

    @classmethod
    def from_der(cls, der: bytes) -> Self:
        try:
            certificate = certificate_from_der(der)
            extensions = certificate.extensions
            subject, issuer = certificate.subject.public_bytes(), certificate.issuer.public_bytes()
        except UNPARSABLE as error:
            raise Malformed(f"certificate does not parse: {error}") from error
        return cls(der, certificate, extensions, subject, issuer, spki_of(der))

    @property
    def self_issued(self) -> bool:
        return self.subject == self.issuer


Path = tuple[PathCertificate, ...]
"""Leaf first; each certificate is signed by the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathRules:
    """What a path is checked against."""

    name: ClientName
    now: Moment
    danger_weak_crypto: bool = False


def pool_of(certificates: Iterable[PathCertificate]) -> Mapping[bytes, Sequence[PathCertificate]]:
    """Issuer candidates by their subject; the same certificate counts once."""
    pool: dict[bytes, dict[bytes, PathCertificate]] = {}
    for certificate in certificates:
        pool.setdefault(certificate.subject, {})[certificate.der] = certificate
    return {subject: tuple(entries.values()) for subject, entries in pool.items()}


def signed_paths(
    leaf: PathCertificate, pool: Mapping[bytes, Sequence[PathCertificate]], budget: Budget
) -> Iterator[Path]:
    """Every path from the leaf upwards, shorter ones before their own extensions. Each step spends from the budget."""
    return _extended((leaf,), pool, budget, {})


def _extended(
    path: Path,
    pool: Mapping[bytes, Sequence[PathCertificate]],
    budget: Budget,
    known: dict[tuple[bytes, bytes], bool],
) -> Iterator[Path]:
    yield path
    if len(path) > PEER_CERTIFICATES.maximum:
        return
    top = path[-1]
    for issuer in pool.get(top.issuer, ()):
        if any(issuer.subject == passed.subject and issuer.spki == passed.spki for passed in path):
            continue
        budget.spend()
        step = (top.der, issuer.der)
        if step not in known:
            remembered = len(path) > 1 and max(map(len, step)) <= _REMEMBERED_OCTETS
            known[step] = _authority_is_signed_by(*step) if remembered else _is_signed_by(top, issuer)
        if known[step]:
            yield from _extended((*path, issuer), pool, budget, known)


def _is_signed_by(certificate: PathCertificate, issuer: PathCertificate) -> bool:
    try:
        if _costs_too_much(issuer.x509.public_key()):
            return False
        certificate.x509.verify_directly_issued_by(issuer.x509)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


@lru_cache(maxsize=512)
def _authority_is_signed_by(authority: bytes, issuer: bytes) -> bool:
    """The same for two authorities, which a whole estate of clients presents again and again. A signature over octets
    holds or not whenever it is asked about; dates and constraints are checked every time."""
    return _is_signed_by(authority_from_der(authority), authority_from_der(issuer))


def authority_from_der(der: bytes) -> PathCertificate:
    """As `PathCertificate.from_der`, for certificates that come again."""
    return _remembered(der) if len(der) <= _REMEMBERED_OCTETS else PathCertificate.from_der(der)


@lru_cache(maxsize=512)
def _remembered(der: bytes) -> PathCertificate:
    return PathCertificate.from_der(der)


def _costs_too_much(key: object) -> bool:
    return isinstance(key, rsa.RSAPublicKey) and key.key_size > MAXIMUM_RSA_BITS


def is_signed_by_key(certificate: PathCertificate, key: PublicKey) -> bool:
    """Whether a bare key signed the certificate (RFC 7671 section 5.2.3). As between certificates, a signature over
    MD5 or SHA-1 is none."""
    signed = certificate.x509
    if _costs_too_much(key):
        return False
    try:
        if signed.signature_hash_algorithm is not None and signed.signature_hash_algorithm.name in _BROKEN_DIGESTS:
            return False
        parameters = signed.signature_algorithm_parameters
        if isinstance(key, rsa.RSAPublicKey):
            digest = signed.signature_hash_algorithm
            if digest is None or not isinstance(parameters, padding.PKCS1v15 | padding.PSS):
                return False
            key.verify(signed.signature, signed.tbs_certificate_bytes, parameters, digest)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            if not isinstance(parameters, ec.ECDSA):
                return False
            key.verify(signed.signature, signed.tbs_certificate_bytes, parameters)
        else:
            key.verify(signed.signature, signed.tbs_certificate_bytes)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def check_path(path: Path, rules: PathRules) -> None:
    """RFC 5280 section 6.1 without policies and revocation, for a path whose last certificate is the trust anchor, or
    is signed by one. Refused with CHAIN_INVALID or NAME_NOT_IN_CERTIFICATE."""
    try:
        for certificate in path:
            _check_certificate(certificate, now=rules.now, danger_weak_crypto=rules.danger_weak_crypto)
        _check_leaf(path[0], rules.name)
        for depth in range(1, len(path)):
            _check_authority(path, depth, _purposes_of(rules.name))
    except DnsboundError:
        raise
    except UNPARSABLE as error:
        raise Refused(Reason.CHAIN_INVALID, f"a certificate has an unreadable field: {error}") from error


def check_authority(authority: PathCertificate, *, now: Moment) -> None:
    """What a path demands of the authority it ends in, whoever stands below. Refused(CHAIN_INVALID)."""
    try:
        _check_certificate(authority, now=now, danger_weak_crypto=False)
        _check_role(authority, _CLIENT_PURPOSES, is_last=True)
    except DnsboundError:
        raise
    except UNPARSABLE as error:
        raise Refused(Reason.CHAIN_INVALID, f"the certificate has an unreadable field: {error}") from error


def _check_certificate(certificate: PathCertificate, *, now: Moment, danger_weak_crypto: bool) -> None:
    moment = datetime.fromtimestamp(now, UTC)
    if moment < certificate.x509.not_valid_before_utc:
        start = certificate.x509.not_valid_before_utc.timestamp()
        raise Refused(Reason.CHAIN_INVALID, f"{_title(certificate)} is not valid before {iso(start)}")
    if moment > certificate.x509.not_valid_after_utc:
        end = certificate.x509.not_valid_after_utc.timestamp()
        raise Refused(Reason.CHAIN_INVALID, f"{_title(certificate)} expired on {iso(end)}")
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            raise Refused(
                Reason.CHAIN_INVALID, f"{_title(certificate)} has an unknown critical extension {_oid(extension)}"
            )
    if not danger_weak_crypto:
        _check_strength(certificate)


def _check_strength(certificate: PathCertificate) -> None:
    weak = KeyFacts.from_spki(certificate.spki).weak_because
    if weak is not None:
        raise Refused(Reason.CHAIN_INVALID, f"{_title(certificate)} has a weak key: {weak}")


def _purposes_of(name: ClientName) -> _Purposes:
    return _MAIL_PURPOSES if isinstance(name, MailboxName) else _CLIENT_PURPOSES


def _check_leaf(leaf: PathCertificate, name: ClientName) -> None:
    purposes = _value(leaf, x509.ExtendedKeyUsage)
    allowed, purpose = _purposes_of(name)
    if purposes is not None and allowed.isdisjoint(purposes):
        raise Refused(Reason.CHAIN_INVALID, f"the certificate's extKeyUsage does not allow {purpose}")
    usage = _value(leaf, x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        raise Refused(Reason.CHAIN_INVALID, "the certificate's keyUsage does not allow signatures")
    alternative = _value(leaf, x509.SubjectAlternativeName)
    if isinstance(name, MailboxName):
        shown_there = [] if alternative is None else alternative.get_values_for_type(x509.RFC822Name)
        if name not in mailboxes_among(shown_there):
            raise Refused(Reason.NAME_NOT_IN_CERTIFICATE, f"{name.canonical} is not an rfc822Name of the certificate")
        return
    names = [] if alternative is None else alternative.get_values_for_type(x509.DNSName)
    # Exact, without wildcards: RFC 7671 section 10.2 leaves those to the application.
    if not _accepted_names(name).intersection(shown.lower() for shown in names):
        raise Refused(Reason.NAME_NOT_IN_CERTIFICATE, f"{name.canonical} is not a dNSName of the certificate")


def _accepted_names(name: ClientName) -> frozenset[str]:
    """The dNSNames that show the client's name: itself, and for a domain's users the domain (ARCH example 3)."""
    label, _, domain = name.canonical.partition(".")
    return frozenset({name.canonical, domain} if label == USERS_LABEL else {name.canonical})


def _check_authority(path: Path, depth: int, purposes: _Purposes) -> None:
    authority = path[depth]
    _check_role(authority, purposes, is_last=depth == len(path) - 1)
    constraints = _value(authority, x509.BasicConstraints)
    below = sum(not passed.self_issued for passed in path[1:depth])
    if constraints is not None and constraints.path_length is not None and below > constraints.path_length:
        raise Refused(Reason.CHAIN_INVALID, f"{_title(authority)} allows {constraints.path_length} below it")
    names = _value(authority, x509.NameConstraints)
    if names is not None:
        for index, passed in enumerate(path[:depth]):
            if index == 0 or not passed.self_issued:
                check_names(names, passed.x509)


def _check_role(authority: PathCertificate, allowed_purposes: _Purposes, *, is_last: bool) -> None:
    """Whether it may sign certificates of clients at all."""
    constraints = _value(authority, x509.BasicConstraints)
    # RFC 6698 section 2.1.1: what a record or the configuration names as authority may lack basicConstraints.
    if constraints is None and not is_last:
        raise Refused(Reason.CHAIN_INVALID, f"{_title(authority)} is not marked as an authority")
    if constraints is not None and not constraints.ca:
        raise Refused(Reason.CHAIN_INVALID, f"{_title(authority)} is marked as no authority")
    usage = _value(authority, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        raise Refused(Reason.CHAIN_INVALID, f"{_title(authority)} has a keyUsage that does not allow signing others")
    purposes = _value(authority, x509.ExtendedKeyUsage)
    allowed, purpose = allowed_purposes
    if purposes is not None and allowed.isdisjoint(purposes):
        raise Refused(Reason.CHAIN_INVALID, f"{_title(authority)} is not for {purpose}")


def _value(certificate: PathCertificate, kind: type[_T]) -> _T | None:
    for extension in certificate.extensions:
        if isinstance(extension.value, kind):
            return extension.value
    return None


def _oid(extension: x509.Extension[x509.ExtensionType]) -> str:
    return extension.oid.dotted_string


def _title(certificate: PathCertificate) -> str:
    subject = certificate.x509.subject.rfc4514_string()
    return f"certificate {subject!r}" if subject else "a certificate without subject"

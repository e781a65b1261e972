"""What other servers hand on of a client's certificates, in every form that was met: read to DER, leaf first.

    percent-escaped PEM      nginx `$ssl_client_escaped_cert`, Envoy, Kamailio `$tls_peer_urlencoded_cert`
    PEM                      bodies; also folded to one line, its line ends made spaces or tabs
    base64 of DER            HAProxy `%[ssl_c_der,base64]`, Caddy; several with commas between them, Traefik
    byte sequences           RFC 9440: `Client-Cert` and `Client-Cert-Chain`
    x-forwarded-client-cert  Envoy
    DER                      bodies: one certificate behind the other, HAProxy `ssl_c_der` and `ssl_c_chain_der`

Escapes are decoded as such and never as those of a form: `+` is a character of base64, not a space. A server that has
no certificate to hand on says so in words of its own (`NOTHING`); that gives an empty tuple, which the caller refuses.
Anything else is certificates or Malformed: nothing is skipped to find one. What a certificate says is not looked at.

What this is not: the trust in it. Whoever can reach the verify service can say what he likes here; see `edge.front`.
Documents: RFC 9440 sections 2.1 to 2.3, RFC 9651 section 4.2.7, RFC 7468 section 3, RFC 3986 section 2.1.
"""

import binascii
import hashlib
import re
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sized
from typing import Final

from dnsbound.credential import der
from dnsbound.credential.certificate_facts import spki_of
from dnsbound.credential.presented import LeafDigests, Presented
from dnsbound.door_limits import FRONT_BODY_OCTETS
from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.limits import PEER_CERTIFICATES

Certificates = tuple[bytes, ...]
"""DER, leaf first; empty where the client has shown none."""

NOTHING: Final = frozenset({b"", b"-", b"(null)", b"null", b"none", b"undefined"})
"""What servers write, in lower case, where there is no certificate: Apache `(null)`, njs and log formats the others."""
_PLACEHOLDER: Final = re.compile(rb"\{(?:http|tls)[A-Za-z0-9_.]*\}")
"""Caddy leaves what it cannot fill in as it is written (2.6)."""

_BLANK: Final = b" \t\r\n"
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]*={0,2}")
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_BYTE_SEQUENCE: Final = re.compile(rb":([A-Za-z0-9+/=]*):")
_PEM: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,30})-----([A-Za-z0-9+/=\s]*)-----END ([A-Z0-9 ]{1,30})-----")
_CERTIFICATE_LABEL: Final = b"CERTIFICATE"
_KEY_LABEL: Final = b"PUBLIC KEY"
_HEXADECIMAL: Final = re.compile(r"(?:[0-9A-Fa-f]{2})+|[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})+")


def is_nothing(value: bytes) -> bool:
    """Whether a server said that there is no certificate."""
    stripped = value.strip(_BLANK)
    return stripped.lower() in NOTHING or _PLACEHOLDER.fullmatch(stripped) is not None


# --- fields


def certificates_of_field(value: bytes) -> Certificates:
    """The certificates of a field in any of the forms but Envoy's. Malformed, LimitExceeded."""
    _bound(value)
    if is_nothing(value):
        return ()
    text = value.strip(_BLANK)
    if text.startswith(b":"):
        return byte_sequences(text)
    if b"%" in text:
        text = percent_decoded(text).strip(_BLANK)
    if b"-----" in text:
        return _certificates_of_pem(text)
    return _checked(_base64(part.strip(_BLANK)) for part in text.split(b","))


def byte_sequences(value: bytes) -> Certificates:
    """RFC 9440 sections 2.2 and 2.3: an item, or a list, of byte sequences, without parameters. Malformed."""
    _bound(value)
    found: list[bytes] = []
    for part in value.split(b","):
        sequence = _BYTE_SEQUENCE.fullmatch(part.strip(b" \t"))
        if sequence is None:
            raise Malformed("not a byte sequence of RFC 9440")
        found.append(_base64(sequence[1]))
    return _checked(found)


def joined(leaf: Certificates, others: Certificates) -> Certificates:
    """The certificates of two fields. Some servers give the leaf in both, and a chain without its leaf is nothing."""
    if not leaf:
        return ()
    if others and others[0] == leaf[0]:
        others = others[1:]
    _count((*leaf, *others))
    return (*leaf, *others)


# --- Envoy


def certificates_of_forwarded(value: bytes) -> Certificates:
    """x-forwarded-client-cert as Envoy's `SANITIZE_SET` makes it: one element, of our own front. Malformed for several:
    then somebody else's words stand in it, and which are whose cannot be seen. Malformed, LimitExceeded."""
    _bound(value)
    if is_nothing(value):
        return ()
    pairs = _forwarded_pairs(value)
    if b"cert" not in pairs and b"chain" not in pairs:
        raise Malformed("x-forwarded-client-cert without Cert: Envoy is to set cert and chain")
    leaf = certificates_of_field(pairs.get(b"cert", b""))
    chain = certificates_of_field(pairs.get(b"chain", b""))
    if len(leaf) > 1 or (leaf and chain and chain[0] != leaf[0]):
        raise Malformed("x-forwarded-client-cert shows two leaves")
    shown = chain or leaf
    said = pairs.get(b"hash", b"").lower()
    if said and shown and said != hashlib.sha256(shown[0]).hexdigest().encode():
        raise Malformed("x-forwarded-client-cert: Hash is another certificate's")
    return shown


def _forwarded_pairs(value: bytes) -> dict[bytes, bytes]:
    """The pairs of the one element, keys in lower case; URI and DNS may come several times and are not read."""
    pairs: dict[bytes, bytes] = {}
    at, end = 0, len(value)
    while at < end:
        equals = value.find(b"=", at)
        key = value[at:equals].strip(b" \t").lower() if equals >= 0 else b""
        if not key.isalpha():
            raise Malformed("x-forwarded-client-cert is not made of pairs", at)
        text, at = _forwarded_value(value, equals + 1)
        if key in pairs and key not in (b"uri", b"dns"):
            raise Malformed(f"x-forwarded-client-cert has {key.decode()} twice", at)
        pairs[key] = text
        if at < end and value[at : at + 1] == b",":
            raise Malformed(
                "x-forwarded-client-cert has several elements: it passed through others, or was not set", at
            )
        at += 1
    return pairs


def _forwarded_value(value: bytes, at: int) -> tuple[bytes, int]:
    """The text of a value, and where it ends: at `;`, at `,`, or at the end."""
    if value[at : at + 1] != b'"':
        found = _UNQUOTED.match(value, at)
        assert found is not None
        return found[0], found.end()
    found = _QUOTED.match(value, at)
    if found is None or value[found.end() : found.end() + 1] not in (b"", b";", b","):
        raise Malformed("x-forwarded-client-cert has a quoted value that does not end", at)
    return found[1].replace(b'\\"', b'"'), found.end()


_UNQUOTED: Final = re.compile(rb'[^;,"]*')
_QUOTED: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)


# --- bodies


def presented_of_body(body: bytes) -> Presented:
    """What a body shows: PEM certificates, leaf first, DER ones, or one PEM public key; in PEM escaped or not. An empty
    `Presented` for none. Malformed, LimitExceeded."""
    _bound(body)
    if is_nothing(body):
        return Presented()
    if body[:1] == bytes((der.SEQUENCE,)):
        return Presented(_checked(_split(body)))
    text = body.strip(_BLANK)
    if b"%" in text:
        text = percent_decoded(text).strip(_BLANK)
    blocks = _pem_blocks(text) if b"-----" in text else [(_CERTIFICATE_LABEL, _base64(b"".join(text.split())))]
    if [label for label, _ in blocks] == [_KEY_LABEL]:
        return Presented(raw_public_key=_spki(blocks[0][1]))
    if any(label != _CERTIFICATE_LABEL for label, _ in blocks):
        raise Malformed("PEM of something else than certificates, or one public key")
    return Presented(_checked(octets for _, octets in blocks))


def _split(body: bytes) -> list[bytes]:
    """DER elements, one behind the other."""
    found: list[bytes] = []
    start = 0
    for _, _, stop in der.elements(body, 0, len(body)):
        found.append(body[start:stop])
        start = stop
        _count(found)
    return found


def _spki(octets: bytes) -> bytes:
    _, stop = der.expect(octets, 0, len(octets), der.SEQUENCE, "public key")
    if stop != len(octets):
        raise Malformed("public key has octets too many", stop)
    return octets


# --- digests


def digest_of_text(text: str) -> bytes:
    """Hexadecimal digits of either case, colons between the octets or not (Postfix writes them, Exim does not)."""
    if len(text) > _DIGEST_CHARACTERS or _HEXADECIMAL.fullmatch(text) is None:
        raise Malformed("a digest is hexadecimal digits, with colons between all octets or none")
    return bytes.fromhex(text.replace(":", ""))


_DIGEST_CHARACTERS: Final = 3 * 64


def digests_of_texts(texts: Mapping[str, str]) -> LeafDigests:
    """Of the digests by the names of `LeafDigests`' fields. Malformed for another name, or a digest that is none."""
    unknown = texts.keys() - LeafDigests.__dataclass_fields__.keys()
    if unknown:
        raise Malformed(f"{min(unknown)[:40]!r} is no digest that is known here")
    return LeafDigests(**{kind: digest_of_text(text) for kind, text in texts.items()})


# --- what the forms are made of


def percent_decoded(text: bytes) -> bytes:
    """RFC 3986 section 2.1, and nothing of forms: `+` stays what it is. Malformed for a `%` that begins no escape."""
    decoded, escapes = _ESCAPE.subn(lambda found: bytes((int(found[1], 16),)), text)
    if escapes != text.count(b"%"):
        raise Malformed("a percent sign without two hexadecimal digits behind it")
    return decoded


def _certificates_of_pem(text: bytes) -> Certificates:
    blocks = _pem_blocks(text)
    if any(label != _CERTIFICATE_LABEL for label, _ in blocks):
        raise Malformed("PEM of something else than a certificate")
    return _checked(octets for _, octets in blocks)


def _pem_blocks(text: bytes) -> list[tuple[bytes, bytes]]:
    """Label and octets of each block; between them white space or a comma alone."""
    blocks: list[tuple[bytes, bytes]] = []
    at = 0
    for found in _PEM.finditer(text):
        if text[at : found.start()].strip(b" \t\r\n,"):
            raise Malformed("something else than PEM beside a certificate", at)
        if found[1] != found[3]:
            raise Malformed("a PEM block ends as another than it began", found.start())
        blocks.append((found[1], _base64(b"".join(found[2].split()))))
        at = found.end()
        _count(blocks)
    if not blocks or text[at:].strip(b" \t\r\n,"):
        raise Malformed("PEM that is not whole", at)
    return blocks


def _base64(text: bytes) -> bytes:
    if not text or _BASE64.fullmatch(text) is None:
        raise Malformed("not base64")
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("not base64: its length or its padding is wrong") from None


def _checked(octets: Iterable[bytes]) -> Certificates:
    """Each is framed as a certificate whose key can be found; what else it holds is nobody's concern here."""
    found = tuple(octets)
    _count(found)
    for certificate in found:
        spki_of(certificate)
    return found


def _count(found: Sized) -> None:
    if len(found) > PEER_CERTIFICATES.default:
        raise LimitExceeded(PEER_CERTIFICATES.name, f"more than {PEER_CERTIFICATES.default} certificates")


def _bound(octets: bytes) -> None:
    if len(octets) > FRONT_BODY_OCTETS.maximum:
        raise LimitExceeded(FRONT_BODY_OCTETS.name, f"{len(octets)} octets")

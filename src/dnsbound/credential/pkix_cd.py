"""PKIX-CD: certificates at TLSA records of the unregistered usage 4, vouched for by the web
(draft-wilson-dane-pkix-cd).

An expired draft for zones without DNSSEC, which earlier tools for DANE still speak. The record is `4 0 0`, a whole
certificate. Its authorities are fetched over HTTPS from a host that the name says, so what is believed in the end is
that host's certificate of the web. That is weaker than a signed zone: whoever gets a web certificate for the host
speaks for every name below it. It is therefore for finding keys, behind a switch, and logs nobody in.

Here is what needs no network: which host, which file, and whether the certificates lead from one to the other. Dates,
constraints and any dNSName are checked, which the draft's code does not.
"""

from collections.abc import Sequence
from typing import Final

from cryptography import x509

from dnsbound.credential.certificate_parsing import UNPARSABLE, certificate_from_der
from dnsbound.credential.path import PathCertificate, PathRules, check_path, pool_of, signed_paths
from dnsbound.errors import Malformed, Reason, Refused
from dnsbound.limits import PATH_STEPS, Budget
from dnsbound.names import ClientName
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment

USAGE: Final = 4
"""Assigned to nothing (IANA, DANE Parameters)."""
_WELL_KNOWN: Final = "/.well-known/ca/"


def is_of_pkix_cd(record: TLSA) -> bool:
    """Whether it is the one form that is taken: `4 0 0`."""
    return (record.usage, record.selector, record.matching_type) == (USAGE, 0, 0)


def authority_host(name: ClientName) -> str:
    """The host of a name's authorities: the last label that begins with an underscore, without it, and what stands
    behind it. `abc.sensor._device.example.net` has `device.example.net`. Malformed for a name without such a label."""
    labels = name.labels
    for index in range(len(labels) - 1, -1, -1):
        if labels[index].startswith("_"):
            host = ".".join((labels[index].lstrip("_"), *labels[index + 1 :]))
            return ClientName.parse(host).canonical
    raise Malformed(f"{name} has no label with an underscore, which would say who its authority is")


def authority_path(certificate: bytes) -> str:
    """The path of the file with the issuer of this certificate, in DER. Malformed when it does not say its issuer's
    key."""
    parsed = certificate_from_der(certificate)
    try:
        identifier = parsed.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        identifier = None
    except UNPARSABLE as error:
        raise Malformed(f"certificate does not parse: {error}") from error
    if not identifier:
        raise Malformed("the certificate does not say by which key it was issued")
    return f"{_WELL_KNOWN}{identifier.hex('-')}.pem"


def is_top(certificate: bytes) -> bool:
    """Whether nobody stands above: it names itself as its issuer."""
    return PathCertificate.from_der(certificate).self_issued


def check(certificate: bytes, authorities: Sequence[bytes], *, name: ClientName, now: Moment) -> None:
    """Refused unless the certificates lead from this one to a self-signed one among the authorities, every rule of a
    path holds now, and the name is a dNSName: CHAIN_INVALID, NAME_NOT_IN_CERTIFICATE. Malformed, LimitExceeded."""
    leaf = PathCertificate.from_der(certificate)
    refusal: Refused | None = None
    for path in signed_paths(leaf, pool_of(map(PathCertificate.from_der, authorities)), Budget(PATH_STEPS)):
        if len(path) < 2 or not path[-1].self_issued:
            continue
        try:
            check_path(path, PathRules(name=name, now=now))
        except Refused as refused:
            refusal = refused
        else:
            return
    raise refusal or Refused(Reason.CHAIN_INVALID, "the certificate does not lead to an authority of its host")

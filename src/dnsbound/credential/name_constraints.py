"""Name constraints of an authority's certificate, applied to what it signed (RFC 5280 section 4.2.1.10).

dNSName, iPAddress and directoryName are compared. A constraint on any other form makes every certificate that carries a
name of that form invalid, as the section demands of those who cannot process it.
"""

from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from types import MappingProxyType
from typing import Any, Final

from cryptography import x509

from dnsbound.errors import Reason, Refused


def check_names(constraints: x509.NameConstraints, certificate: x509.Certificate) -> None:
    """Refused(CHAIN_INVALID) when a name of the certificate is excluded, not permitted, or cannot be judged."""
    names = list(_names_of(certificate))
    for excluded in constraints.excluded_subtrees or ():
        for name in names:
            if type(name) is type(excluded) and _lies_below(name, excluded):
                raise Refused(Reason.CHAIN_INVALID, f"an authority excludes the name {_text(name)}")
    for name in names:
        permitted = [tree for tree in constraints.permitted_subtrees or () if type(tree) is type(name)]
        if permitted and not any(_lies_below(name, tree) for tree in permitted):
            raise Refused(Reason.CHAIN_INVALID, f"no authority permits the name {_text(name)}")


def admits_dns_name(constraints: x509.NameConstraints, name: str) -> bool:
    """Whether a certificate with this dNSName, and no other name, would be within the constraints."""
    alone = x509.DNSName(name)
    if any(_lies_below(alone, tree) for tree in constraints.excluded_subtrees or () if isinstance(tree, x509.DNSName)):
        return False
    permitted = [tree for tree in constraints.permitted_subtrees or () if isinstance(tree, x509.DNSName)]
    return not permitted or any(_lies_below(alone, tree) for tree in permitted)


def _names_of(certificate: x509.Certificate) -> Iterable[x509.GeneralName]:
    subject = certificate.subject
    if list(subject):
        yield x509.DirectoryName(subject)
    for attribute in subject.get_attributes_for_oid(x509.NameOID.EMAIL_ADDRESS):
        yield x509.RFC822Name(str(attribute.value))
    try:
        yield from certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return


def _lies_below(name: x509.GeneralName, tree: x509.GeneralName) -> bool:
    compare = _COMPARISONS.get(type(name))
    if compare is None:
        raise Refused(Reason.CHAIN_INVALID, f"an authority constrains names of the form {type(name).__name__}")
    return compare(name.value, tree.value)


def _dns_below(name: str, tree: str) -> bool:
    """Zero or more labels added on the left; a leading dot, which some authorities write, means one or more."""
    name, tree = name.lower(), tree.lower()
    if not tree:
        return True
    if tree.startswith("."):
        return name.endswith(tree)
    return name == tree or name.endswith("." + tree)


def _address_below(name: IPv4Address | IPv6Address, tree: IPv4Network | IPv6Network) -> bool:
    return name in tree


def _directory_below(name: x509.Name, tree: x509.Name) -> bool:
    upper = tree.rdns
    return name.rdns[: len(upper)] == upper


_COMPARISONS: Final[Mapping[type, Callable[[Any, Any], bool]]] = MappingProxyType(
    {x509.DNSName: _dns_below, x509.IPAddress: _address_below, x509.DirectoryName: _directory_below}
)


def _text(name: x509.GeneralName) -> str:
    value = name.value
    return value.rfc4514_string() if isinstance(value, x509.Name) else str(value)

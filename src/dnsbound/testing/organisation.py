"""Organisations of World and the devices they name: what a test publishes, removes and breaks."""

from __future__ import annotations

import ipaddress
import threading
from typing import TYPE_CHECKING, Final, TypeAlias

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from dns.dnssectypes import Algorithm

from dnsbound.credential.credential import Credential, CredentialKind
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.dns.authority_zone import MemoryZone, Zone
from dnsbound.dns.signer import ZoneKey, ZoneKeys
from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.names import ClientName
from dnsbound.records.tlsa import TLSA

if TYPE_CHECKING:
    from dns.rdtypes.ANY.SOA import SOA

    from dnsbound.testing.faults import Fault
    from dnsbound.testing.world import World

Record: TypeAlias = TLSA | dns.rdata.Rdata | str
"""A TLSA value, dnspython rdata, or presentation text with its type first (`A 192.0.2.1`)."""

SHORT_TTL: Final = 2
"""Seconds; so that what a test removes is forgotten soon."""
_INFRASTRUCTURE_TTL: Final = 3600


class Organisation:
    """One zone of World with its own keys, delegated from the zone above it. Made by `World.organisation`.

    Names are given whole (`car54._device.cars.example`) or relative (`car54._device`): one that ends in the
    organisation's name is whole.
    """

    def __init__(self, world: World, origin: dns.name.Name, *, signed: bool, algorithm: Algorithm) -> None:
        self._world = world
        self._lock = threading.RLock()
        self.origin: Final = origin
        self.data: Final = MemoryZone(origin, soa=_soa(origin), name_servers=[_server(origin)], ttl=_INFRASTRUCTURE_TTL)
        self.data.replace(_server(origin), _INFRASTRUCTURE_TTL, [rdata_of("A 127.0.0.1")])
        self._keys = ZoneKeys.generate(origin, algorithm) if signed else None
        world.zones.put(Zone(self.data, self._keys))

    @property
    def name(self) -> str:
        """The zone's name without its final dot."""
        return self.origin.to_text(omit_final_dot=True)

    @property
    def keys(self) -> ZoneKeys | None:
        """The zone's keys; None when it is not signed."""
        return self._keys

    def device(
        self,
        label: str,
        *,
        algorithm: KeyAlgorithm = KeyAlgorithm.P256,
        kind: CredentialKind = "x509",
        publish: bool = True,
        ttl: int = SHORT_TTL,
    ) -> Device:
        """A device with a fresh credential, named `<label>._device.<organisation>` and published as `3 1 1`."""
        return self.identity(f"{label}._device", algorithm=algorithm, kind=kind, publish=publish, ttl=ttl)

    def identity(
        self,
        name: str,
        *,
        algorithm: KeyAlgorithm = KeyAlgorithm.P256,
        kind: CredentialKind = "x509",
        publish: bool = True,
        ttl: int = SHORT_TTL,
    ) -> Device:
        """The same for any name of the zone: services, users, hosts."""
        whole = ClientName.parse(self._absolute(name).to_text(omit_final_dot=True))
        credential = Credential.generate(whole, now=self._world.now(), algorithm=algorithm, kind=kind)
        device = Device(self, whole, credential, ttl)
        if publish:
            device.publish()
        return device

    def publish(
        self, name: str, *records: Record, ttl: int = SHORT_TTL, danger_one_key_for_all_names: bool = False
    ) -> None:
        """Add records; they are there at the next query. The danger knob lets `3 x x` stand at a wildcard."""
        owner = self._absolute(name)
        for record in records:
            self.data.add(owner, ttl, rdata_of(record), danger_one_key_for_all_names=danger_one_key_for_all_names)

    def replace(self, name: str, *records: Record, ttl: int = SHORT_TTL) -> None:
        """Make these the only records of their type at the name."""
        self.data.replace(self._absolute(name), ttl, [rdata_of(record) for record in records])

    def remove(self, name: str, rdtype: str | None = None) -> bool:
        """Remove all records of a name, or those of one type; whether there were any."""
        try:
            wanted = None if rdtype is None else dns.rdatatype.from_text(rdtype)
        except dns.exception.DNSException as error:
            raise Malformed(f"{rdtype!r} is no record type") from error
        return self.data.remove(self._absolute(name), wanted)

    def address(self, host: str, ip: str, *, ttl: int = SHORT_TTL) -> None:
        """An A or AAAA record."""
        try:
            rdtype = "A" if ipaddress.ip_address(ip).version == 4 else "AAAA"
        except ValueError:
            raise Malformed(f"{ip!r} is no IP address") from None
        self.publish(host, f"{rdtype} {ip}", ttl=ttl)

    def cname(self, name: str, target: str, *, ttl: int = SHORT_TTL) -> None:
        """An alias; the target is a whole name, of any zone."""
        self.publish(name, f"CNAME {name_of(target)}", ttl=ttl)

    def delegate(
        self, child: str, *, signed: bool = True, algorithm: Algorithm = Algorithm.ECDSAP256SHA256
    ) -> Organisation:
        """A zone of its own below this one, delegated with DS if both are signed."""
        return self._world.organisation(
            self._absolute(child).to_text(omit_final_dot=True), signed=signed, algorithm=algorithm
        )

    def set_keys(self, keys: ZoneKeys, *, publish_ds: bool = True) -> None:
        """Sign with other keys from now on. publish_ds: let the parent follow at once."""
        with self._lock:
            if self._keys is None:
                raise Misuse(f"{self.name} is not signed")
            self._keys = keys
            self._world.zones.put(Zone(self.data, keys))
            if publish_ds:
                self._world.publish_ds(self)

    def roll_key(self, algorithm: Algorithm = Algorithm.ECDSAP256SHA256) -> ZoneKey:
        """Start a roll: a new key is published beside the old one, and its DS too."""
        key = ZoneKey.generate(algorithm)
        if self._keys is None:
            raise Misuse(f"{self.name} is not signed")
        self.set_keys(self._keys.with_prepublished(key))
        return key

    def fault(self, fault: Fault, *, seconds: float = 0.0) -> None:
        """Break every answer of this zone until `heal`."""
        self._world.fault(self.name, fault, seconds=seconds, whole_zone=True)

    def heal(self) -> None:
        self._world.heal(self.name)

    def _absolute(self, name: str) -> dns.name.Name:
        absolute = name_of(name)
        if absolute.is_subdomain(self.origin):
            return absolute
        return name_of(name.rstrip("."), self.origin)

    def __repr__(self) -> str:
        return f"<Organisation {self.name}>"


class Device:
    """A name, the credential behind it, and its record. Made by `Organisation.device`."""

    __slots__ = ("_organisation", "credential", "name", "ttl")

    def __init__(self, organisation: Organisation, name: ClientName, credential: Credential, ttl: int) -> None:
        self._organisation = organisation
        self.name = name
        self.credential = credential
        self.ttl = ttl

    @property
    def record(self) -> TLSA:
        """Its `3 1 1` record."""
        return self.credential.tlsa()

    def publish(
        self,
        usage: Usage = Usage.DANE_EE,
        selector: Selector = Selector.SPKI,
        matching_type: MatchingType = MatchingType.SHA2_256,
    ) -> TLSA:
        """Publish a record of this form beside the ones that are there."""
        record = self.credential.tlsa(usage, selector, matching_type)
        self._organisation.publish(self.name.text, record, ttl=self.ttl)
        return record

    def revoke(self) -> bool:
        """Remove all TLSA records of the name; whether there were any."""
        return self._organisation.remove(self.name.text, "TLSA")

    def renew(self, *, kind: CredentialKind = "x509", algorithm: KeyAlgorithm = KeyAlgorithm.P256) -> Credential:
        """A fresh key: its record replaces the old ones. The old credential is returned."""
        old, now = self.credential, self._organisation._world.now()  # noqa: SLF001 (one module, one thought)
        self.credential = Credential.generate(self.name, now=now, algorithm=algorithm, kind=kind)
        self._organisation.replace(self.name.text, self.record, ttl=self.ttl)
        return old

    def __repr__(self) -> str:
        return f"<Device {self.name}>"


def _server(origin: dns.name.Name) -> dns.name.Name:
    return dns.name.from_text("ns", origin)


def _soa(origin: dns.name.Name) -> SOA:
    contact = dns.name.from_text("hostmaster", origin)
    text = f"SOA {_server(origin)} {contact} 1 7200 3600 1209600 {SHORT_TTL}"
    return rdata_of(text)  # type: ignore[return-value] # the text says SOA


def name_of(text: str, origin: dns.name.Name = dns.name.root) -> dns.name.Name:
    """The name as dnspython has it; Malformed when it is none."""
    try:
        return dns.name.from_text(text, origin)
    except dns.exception.DNSException as error:
        raise Malformed(f"{text!r} is no domain name: {error}") from None


def rdata_of(record: Record) -> dns.rdata.Rdata:
    """The record as dnspython has it; Malformed when its text is none."""
    if isinstance(record, dns.rdata.Rdata):
        return record
    text = f"TLSA {record.to_text()}" if isinstance(record, TLSA) else record
    rdtype, _, rest = text.partition(" ")
    try:
        return dns.rdata.from_text(dns.rdataclass.IN, rdtype, rest)
    except dns.exception.DNSException as error:
        raise Malformed(f"{text!r} is no record: {error}") from None

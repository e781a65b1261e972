"""What an enrolment server grants, without HTTP: a request and a client in, an identity and its certificate out.

The certificate is a form that EST clients need; nobody's trust rests on it. Its issuer is the server's own and may be
thrown away: verifiers of usage 3 look at the key alone (RFC 7671 section 5.1), and the record in the DNS is what lets
the device in and what ends it. Blocking; one object serves any number of threads.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from dnsbound.adapters.est_connection import Client
from dnsbound.credential.certificate import CLIENT_LIFETIME
from dnsbound.credential.certificate_request import CertificateRequest
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.errors import Malformed
from dnsbound.names import ClientName
from dnsbound.provision.enrolment.enrolments import Requester
from dnsbound.provision.enrolment.refusal import Because, EnrolmentRefused
from dnsbound.provision.enrolment.request import check_linked, check_request
from dnsbound.provision.entries import Identity, IdentityState, KeyState
from dnsbound.provision.errors import NotInInventory
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.owner import OwnerName
from dnsbound.times import Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """What a device gets, once its record is served."""

    identity: Identity
    certificate: bytes
    """DER of the leaf for the key of the request."""
    again: bool
    """The same request was granted before."""
    may_switch: bool = True
    """The key may be used as soon as its record is served; False while a former key is to be used yet."""


class Renewals(Protocol):
    """Changing the key of an identity in use: the roll of RFC 7671 section 8.1."""

    def renew(
        self, name: ClientName, spki: bytes, certificate: bytes | None, *, now: Moment, actor: str, reason: str
    ) -> bool:
        """Begin or go on with the change to this key; whether it may be used now. EnrolmentRefused."""
        ...

    def sighted(self, name: ClientName, spki: bytes, *, now: Moment) -> None:
        """A client logged in with this key."""
        ...


class EnrolmentService:
    """issuer: signs the certificates. elsewhere: zones that are published to, besides those of the inventory; None for
    names in any zone. require_linking: requests must carry the channel binding (RFC 7030 section 3.5)."""

    def __init__(
        self,
        inventory: Inventory,
        *,
        issuer: CertificateAuthority,
        elsewhere: Collection[OwnerName] | None = (),
        renewals: Renewals | None = None,
        ttl: int | None = None,
        actor: str = "enrolment",
        require_linking: bool = False,
        clock: Callable[[], Moment],
    ) -> None:
        self.inventory = inventory
        self.require_linking = require_linking
        self._issuer = issuer
        self._elsewhere = None if elsewhere is None else tuple(elsewhere)
        self._renewals = renewals
        self._ttl = ttl
        self._actor = actor
        self.now = clock

    @property
    def authorities(self) -> tuple[bytes, ...]:
        """DER of the issuer's certificates (RFC 7030 section 4.1.3)."""
        return self._issuer.chain

    def enrol(
        self,
        request: CertificateRequest,
        client: Client,
        *,
        name: ClientName,
        token: str | None,
        maker: ClientName | None,
        source: str,
        wants_certificate: bool = True,
    ) -> Granted:
        """A new device (RFC 7030 section 4.2.1). name: whose token it is, or whom the request asks to be. maker: the
        client's own name, authenticated. wants_certificate: it is kept with the key; not so where the bare key is used.
        EnrolmentRefused, Undecided."""
        requester = Requester(token=token, proved_keys=client.proved_keys, maker=maker)
        self._check(request, client, name)
        now = self.now()
        certificate = self._certified(name, request.spki, now)
        made = self.inventory.enrolments.enrol(
            requester,
            name,
            spki=request.spki,
            certificate=certificate if wants_certificate else None,
            ttl=self._ttl,
            elsewhere=self._elsewhere,
            now=now,
            actor=self._actor,
            reason=f"asked for by {source}" if source else "",
        )
        return Granted(
            identity=made.identity,
            certificate=made.identity.key.certificate or certificate,
            again=made.again,
        )

    def renew(
        self,
        request: CertificateRequest,
        client: Client,
        *,
        name: ClientName,
        source: str,
        wants_certificate: bool = True,
    ) -> Granted:
        """A device that is known (RFC 7030 section 4.2.2): another certificate for its key, or another key. name: its
        own, authenticated by DANE; with a key that the inventory still has. EnrolmentRefused, Undecided."""
        self._check(request, client, name)
        now = self.now()
        identity = self._active(name)
        if client.spki not in {key.spki for key in identity.keys if key.state is not KeyState.RETIRED}:
            # A record that was withdrawn is believed for as long as a cache holds it; it must not become the next one.
            raise EnrolmentRefused(
                Because.NOT_AUTHORISED, f"{name} has another key by now than the one it logged in by"
            )
        certificate = self._certified(name, request.spki, now)
        if request.spki == identity.spki:
            return Granted(identity=identity, certificate=certificate, again=False)
        if self._renewals is None:
            raise EnrolmentRefused(Because.IN_CHANGE, f"{name} has another key, and keys are not changed here")
        may_switch = self._renewals.renew(
            name,
            request.spki,
            certificate if wants_certificate else None,
            now=now,
            actor=self._actor,
            reason=f"asked for by {source}" if source else "",
        )
        after = self._active(name)
        kept = next((key.certificate for key in after.keys if key.spki == request.spki), None)
        return Granted(
            identity=after,
            certificate=kept or certificate,
            again=any(key.spki == request.spki for key in identity.keys),
            may_switch=may_switch,
        )

    def sighted(self, name: ClientName, spki: bytes) -> None:
        """A client logged in: where that key is a new one, the device has changed to it."""
        if self._renewals is not None and spki != self._active(name).spki:
            self._renewals.sighted(name, spki, now=self.now())

    def _check(self, request: CertificateRequest, client: Client, name: ClientName) -> None:
        check_request(request, name)
        check_linked(request, client.binding, required=self.require_linking)

    def _active(self, name: ClientName) -> Identity:
        try:
            identity = self.inventory.identities.named(name)
        except NotInInventory:
            raise EnrolmentRefused(Because.NOT_AUTHORISED, f"{name} is not in the inventory") from None
        if identity.state is not IdentityState.ACTIVE:
            raise EnrolmentRefused(Because.NOT_AUTHORISED, f"{name} was revoked")
        return identity

    def _certified(self, name: ClientName, spki: bytes, now: Moment) -> bytes:
        try:
            return self._issuer.certify(name, spki, now=now, lifetime=CLIENT_LIFETIME)[0]
        except Malformed as error:
            raise EnrolmentRefused(Because.WEAK_KEY, str(error)) from error

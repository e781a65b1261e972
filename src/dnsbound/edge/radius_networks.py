"""The networks of a RADIUS server: one door each, with its authenticator and the TLS server that stands in it.

Several networks may name one door; they then share its authenticator, and with it what is known of live sessions. What
is read again at SIGHUP (credential, settings, the list of networks) is made anew; authenticators, evidence and ticket
keys stay, so that nobody is forgotten and a session still resumes.

What this is not: the rules themselves (`radius_configuration`), or the EAP conversation (`protocols.eap_server`).
"""

import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from dnsbound.edge.access_file import AccessFile
from dnsbound.edge.access_in_force import AccessInForce
from dnsbound.edge.authenticator import Authenticator, LookupSource
from dnsbound.edge.context import Context
from dnsbound.edge.context_credential import CredentialLike
from dnsbound.edge.context_tickets import TicketKeysLike
from dnsbound.edge.eap_server_chain import eap_server_chain
from dnsbound.edge.radius_client_dtls import RADIUS_DATAGRAMS
from dnsbound.edge.radius_configuration import NetworkRule, RadiusConfiguration, ServerSettings
from dnsbound.edge.ticket_keys import OwnTicketKeys, TicketKeyFile
from dnsbound.times import Moment
from dnsbound.verify.lookup_budget import LookupBudget

TicketKeysOf = Callable[[str], TicketKeysLike]
"""Gives the ticket keys of a door."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RadiusNetwork:
    """A network as it is served. context: of the EAP-TLS server; its door is the network's."""

    rule: NetworkRule
    authenticator: Authenticator
    context: Context

    @property
    def label(self) -> str:
        return self.rule.label


class RadiusNetworks:
    """The networks in the order of the file. Made once, and told of each new configuration."""

    def __init__(
        self,
        configuration: RadiusConfiguration,
        credential: CredentialLike,
        resolver: LookupSource,
        *,
        access: AccessFile,
        ticket_keys: TicketKeysOf | None = None,
        clock: Callable[[], Moment] = time.time,
    ) -> None:
        """access: the list that the configuration names. ticket_keys: where several processes share them; without it
        they are the configuration's file, or this process's own. Misuse or Malformed, as `Context.server` raises."""
        self._resolver = resolver
        self._clock = clock
        self._shared_keys = ticket_keys
        self._own_keys: dict[tuple[str, int], OwnTicketKeys] = {}
        self._authenticators: dict[str, Authenticator] = {}
        self._access: Final = AccessInForce(access)
        self._lookups = _lookup_budget(configuration.server)
        self._networks: tuple[RadiusNetwork, ...] = ()
        self.configure(configuration, credential, access=access)

    def configure(self, configuration: RadiusConfiguration, credential: CredentialLike, *, access: AccessFile) -> None:
        """Serve by this from now on. When it raises, nothing has changed."""
        configuration.check_doors(access.current().doors)
        contexts: dict[str, Context] = {}
        networks = []
        for rule in configuration.networks:
            authenticator = self._authenticator(rule.door)
            if rule.door not in contexts:
                contexts[rule.door] = self._context(configuration.server, credential, authenticator)
            networks.append(RadiusNetwork(rule=rule, authenticator=authenticator, context=contexts[rule.door]))
        self._access.follow(access)
        self._networks = tuple(networks)

    def matching(
        self, *, client: str, ssid: str | None, nas_identifier: str | None, realm: str
    ) -> RadiusNetwork | None:
        """The first network these requests are for. realm: of the identity hint, canonical; `""` for none."""
        for network in self._networks:
            if network.rule.matches(client=client, ssid=ssid, nas_identifier=nas_identifier, realm=realm):
                return network
        return None

    def __iter__(self) -> Iterator[RadiusNetwork]:
        return iter(self._networks)

    def clients_context(
        self, settings: ServerSettings, credential: CredentialLike, *, datagram: bool = False
    ) -> Context:
        """The door of RADIUS clients over TLS or DTLS, which are admitted by their own names."""
        return Context.server(
            credential,
            authenticator=self._authenticator(settings.radsec_door),
            claim_from=[source.value for source in settings.claim_from],
            profiles=None if datagram else [profile.value for profile in settings.profiles],
            datagram=RADIUS_DATAGRAMS if datagram else False,
        )

    @property
    def authenticators(self) -> tuple[Authenticator, ...]:
        """One for each door that is or was served, live sessions of which may be left."""
        return tuple(self._authenticators.values())

    def _authenticator(self, door: str) -> Authenticator:
        known = self._authenticators.get(door)
        if known is None:
            known = self._authenticators[door] = Authenticator(
                self._access, self._resolver, door=door, lookups=self._lookups, clock=self._clock
            )
        return known

    def _context(self, settings: ServerSettings, credential: CredentialLike, authenticator: Authenticator) -> Context:
        context = Context.server(
            credential,
            authenticator=authenticator,
            claim_from=[source.value for source in settings.claim_from],
            profiles=[profile.value for profile in settings.profiles],
            ticket_lifetime=settings.ticket_seconds,
            ticket_keys=self._ticket_keys(settings, authenticator.door) if settings.ticket_seconds else None,
            key_exchange=settings.key_exchange,
            show_raw_public_key=True,
            danger_no_extended_master_secret=settings.danger_no_extended_master_secret,
            dnssec_chain=None if settings.chain_file is None else eap_server_chain(settings.chain_file),
        )
        context.minimum_version = ssl.TLSVersion(settings.tls[0])
        context.maximum_version = ssl.TLSVersion(settings.tls[-1])
        return context

    def _ticket_keys(self, settings: ServerSettings, door: str) -> TicketKeysLike:
        if settings.ticket_keys is not None:
            return TicketKeyFile(settings.ticket_keys, door=door)
        if self._shared_keys is not None:
            return self._shared_keys(door)
        return self._own_keys.setdefault((door, settings.ticket_seconds), OwnTicketKeys(settings.ticket_seconds))


def _lookup_budget(settings: ServerSettings) -> LookupBudget:
    return LookupBudget(per_source=settings.lookups_per_source, per_zone=settings.lookups_per_zone)

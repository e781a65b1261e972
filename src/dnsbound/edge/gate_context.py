"""The TLS server of a gate: its Context, made of what gate.toml says and of the files it names."""

import re
import ssl
from typing import Final

from dnsbound.edge.authenticator import Authenticator
from dnsbound.edge.chain_from_file import ChainFromFile
from dnsbound.edge.context import Context
from dnsbound.edge.context_chain import ServedChain
from dnsbound.edge.context_tickets import TicketKeysLike
from dnsbound.edge.credential_files import load_credential
from dnsbound.edge.gate_configuration import GateRule, TlsSettings
from dnsbound.edge.ticket_keys import TicketKeyFile
from dnsbound.errors import Misuse

_OWNER: Final = re.compile(r"_([0-9]{1,5})\._tcp\.(.+)\.")


def gate_context(rule: GateRule, authenticator: Authenticator, ticket_keys: TicketKeysLike | None) -> Context:
    """ticket_keys: of the door, used where the rule has tickets and no file for their keys. Reads the rule's files;
    Misuse or Malformed when one of them cannot be used."""
    settings = rule.tls
    context = Context.server(
        load_credential(settings.credential, settings.certificate),
        authenticator=authenticator,
        policy="optional" if rule.gated.strangers else "required",
        claim_from=[source.value for source in settings.claim_from],
        profiles=[profile.value for profile in settings.profiles],
        ticket_lifetime=settings.ticket_seconds,
        ticket_keys=_ticket_keys(settings, rule.door, ticket_keys),
        dnssec_chain=None if settings.chain_file is None else served_chain(settings),
        key_exchange=settings.key_exchange,
        show_raw_public_key=True,
        handshakes_at_once=settings.handshakes,
        handshakes_per_source=settings.handshakes_per_source,
        handshake_seconds=settings.handshake_seconds,
    )
    context.minimum_version = ssl.TLSVersion(settings.tls[0])
    context.maximum_version = ssl.TLSVersion(settings.tls[-1])
    if rule.gated.alpn:
        context.set_alpn_protocols(list(rule.gated.alpn))
    return context


def _ticket_keys(settings: TlsSettings, door: str, shared: TicketKeysLike | None) -> TicketKeysLike | None:
    if not settings.ticket_seconds:
        return None
    return TicketKeyFile(settings.ticket_keys, door=door) if settings.ticket_keys is not None else shared


def served_chain(settings: TlsSettings) -> ServedChain:
    """The chain of the gate's own records (RFC 9102), of the host and port in its owner name. Misuse or Malformed."""
    assert settings.chain_file is not None
    source = ChainFromFile(settings.chain_file)
    owner = source.file.name.to_text()
    found = _OWNER.fullmatch(owner.lower())
    if found is None:
        raise Misuse(f"{settings.chain_file} holds the chain of {owner}, not of _PORT._tcp and the gate's name")
    return ServedChain(host=found[2], port=int(found[1]), source=ChainFromFile(settings.chain_file, source.file.name))

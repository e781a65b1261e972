"""What comes before TLS on a connection to a gate: the PROXY header of a load balancer, and the greeting of protocols
that begin in clear. Then the connection is handed on to TLS, or, where strangers may come in without it, to the filter.

Whoever is here holds a handshake slot and has as long as a handshake may take. Nothing that was said in clear is taken
for what was said in TLS: what a client sends on after it asked for TLS goes into the handshake, and fails there.
"""

import asyncio
import ipaddress
import logging
from typing import TYPE_CHECKING, Any, Final, cast

from dnsbound.door_limits import GATE_CLEAR_OCTETS
from dnsbound.edge.gate_connection import GateConnection
from dnsbound.errors import DnsboundError, LimitExceeded, PeerError
from dnsbound.protocols.proxy_protocol import ProxyHeader

if TYPE_CHECKING:
    from dnsbound.edge.gate import Gate
    from dnsbound.edge.gate_configuration import Network
    from dnsbound.protocols.gated import Address, ClearGreeting, Step

_log: Final = logging.getLogger("dnsbound.gate")


class AddressedTransport:
    """A transport whose ends are where a load balancer says they are. Otherwise the transport itself."""

    __slots__ = ("_ends", "_plain")

    def __init__(self, plain: asyncio.Transport, source: "Address", destination: "Address") -> None:
        self._plain = plain
        self._ends = {"peername": source, "sockname": destination}

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 (asyncio's interface)
        return self._ends[name] if name in self._ends else self._plain.get_extra_info(name, default)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (whatever the transport has)
        return getattr(self._plain, name)


class Entrance(asyncio.Protocol):
    """The protocol of an accepted socket until TLS begins."""

    def __init__(self, gate: "Gate") -> None:
        self._gate = gate
        self._loop: Final = asyncio.get_running_loop()
        self._slots = gate.context.handshake_slots
        self._socket: asyncio.Transport
        """As it was accepted."""
        self.plain: asyncio.Transport
        """The same, or with the addresses that a load balancer told."""
        self._held = bytearray()
        self._said = 0
        self._awaits_header = False
        self._greeting: ClearGreeting | None = None
        self._slot: str | None = None
        """Whose slot is held."""
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = self.plain = cast("asyncio.Transport", transport)
        source = _host(self.plain)
        self._awaits_header = _is_among(source, self._gate.rule.accept_proxy_from)
        # All clients of a load balancer come from its address: none of them may use up the others' share.
        if not self._take("" if self._awaits_header else source):
            return
        self._timer = self._loop.call_later(self._slots.seconds, self._too_late)
        if not self._awaits_header:
            self._go_on()

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        self._said += len(data)
        if self._said > GATE_CLEAR_OCTETS.default:
            self._failed(LimitExceeded(GATE_CLEAR_OCTETS.name, "in clear"))
        elif self._awaits_header:
            self._held += data
            self._read_header()
        elif self._greeting is not None:
            self._carry_out(self._greeting.client_said(data))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (the interface's signature)
        if not self._is_over:
            self._gate.counters.clear_failed += 1
        self._leave()

    def abort(self) -> None:
        """End it, if it has not gone on to TLS."""
        if not self._is_over:
            self._leave()
            self._socket.abort()

    # --- the header of a load balancer

    def _read_header(self) -> None:
        try:
            found = ProxyHeader.from_wire(bytes(self._held))
        except DnsboundError as error:
            self._failed(error)
            return
        if found is None:
            return
        header, length = found
        del self._held[:length]
        self._awaits_header = False
        if header.source is not None and header.destination is not None:
            told = AddressedTransport(self._socket, header.source, header.destination)
            self.plain = cast("asyncio.Transport", told)
        self._give_back()
        if self._take(_host(self.plain)):
            self._go_on()

    def _go_on(self) -> None:
        held, self._held = bytes(self._held), bytearray()
        if self._gate.rule.gated.greeting is None:
            self._begin_tls(held)
            return
        self._greeting = self._gate.rule.gated.greeting()
        self._carry_out(self._greeting.begin())
        if held and not self._is_over:
            self._carry_out(self._greeting.client_said(held))

    # --- the greeting

    def _carry_out(self, step: "Step") -> None:
        if step.to_client:
            self.plain.write(step.to_client)
        if step.end is not None:
            self._failed(step.end)
        elif step.upgrade:
            self._begin_tls(b"")
        elif step.in_clear:
            self._begin_in_clear(step.to_backend)
        elif self.plain.get_write_buffer_size() > GATE_CLEAR_OCTETS.default:
            self._failed(PeerError("it does not take what it asked for"))

    def _begin_tls(self, octets: bytes) -> None:
        """octets: the beginning of the handshake, where it came with a PROXY header."""
        protocol = self._gate.tls_protocol()
        self._leave()
        # Paused while the protocols are exchanged: uvloop chooses how it receives when reading starts.
        self._socket.pause_reading()
        self._socket.set_protocol(protocol)
        protocol.connection_made(self.plain)
        self._socket.resume_reading()
        rest = memoryview(octets)
        while rest and not self._socket.is_closing():
            buffer = protocol.get_buffer(len(rest))
            taken = min(len(buffer), len(rest))
            buffer[:taken] = rest[:taken]
            protocol.buffer_updated(taken)
            rest = rest[taken:]

    def _begin_in_clear(self, replay: bytes) -> None:
        if not self._gate.rule.gated.strangers:
            self._failed(PeerError("it did not begin TLS"))
            return
        connection = GateConnection(self._gate, replay=replay)
        self._leave()
        self._socket.set_protocol(connection)
        connection.connection_made(self.plain)

    # --- ends

    def _failed(self, error: DnsboundError) -> None:
        self._gate.counters.clear_failed += 1
        _log.debug("gate %s: %s said in clear: %s", self._gate.rule.label, _host(self.plain), error)
        self._leave()
        self._socket.close()

    def _too_late(self) -> None:
        self._timer = None
        self._gate.counters.clear_failed += 1
        self._leave()
        self._socket.abort()

    def _take(self, source: str) -> bool:
        if self._slots.take(source):
            self._slot = source
            return True
        self._leave()
        self._socket.abort()
        return False

    def _give_back(self) -> None:
        if self._slot is not None:
            self._slots.give_back(self._slot)
            self._slot = None

    def _leave(self) -> None:
        self._is_over = True
        self._give_back()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _host(plain: asyncio.Transport) -> str:
    peername = plain.get_extra_info("peername")
    return str(peername[0]) if isinstance(peername, tuple) and peername else ""


def _is_among(host: str, networks: "tuple[Network, ...]") -> bool:
    if not networks or not host:
        return False
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return any((mapped or address) in network for network in networks)

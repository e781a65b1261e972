"""One question to one resolver over UDP, its response unvalidated: for diagnosis, never for a decision.

`doctor` compares the clock with the signatures it finds this way, also where nothing validates.
"""

import secrets

import dns.name
import dns.rdatatype

from dnsbound.dns.messages import Query, Response
from dnsbound.edge.reactor import BlockingReactor
from dnsbound.edge.udp_exchange import UdpExchange
from dnsbound.edge.upstream import Upstream
from dnsbound.errors import Misuse
from dnsbound.times import Seconds


def probe(server: Upstream, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, *, timeout: Seconds) -> Response:
    """What the resolver says, DNSSEC records included and validation by it switched off.

    TimeoutError when it says nothing, OSError when it cannot be reached, Malformed for what is no DNS message, Misuse
    for a resolver over TLS.
    """
    if server.tls:
        raise Misuse(f"{server.label} is asked over TLS, not by a probe")
    arrived: list[bytes | OSError] = []
    reactor = BlockingReactor()
    query = Query(id=secrets.randbits(16), name=name, rdtype=rdtype)
    exchange = UdpExchange(reactor, (server.address, server.port), query, arrived.append)
    try:
        reactor.run_until(lambda: bool(arrived), reactor.time() + timeout)
    finally:
        exchange.close()
        reactor.close()
    if not arrived:
        raise TimeoutError(f"{server.label} did not answer in {timeout:g} s")
    if isinstance(arrived[0], OSError):
        raise arrived[0]
    return Response.from_wire(arrived[0], source=server.label)

"""A bounded load of DNS queries over UDP, the same for every server: so many on their way, each asked again when lost.

Only the server's processor time is looked at, so the asker need be no faster than it takes to keep the server busy.
"""

import socket
import time
from collections.abc import Sequence

import dns.message
import dns.rcode
import dns.rdatatype

IN_FLIGHT = 64
_WAIT_SECONDS = 1.0
_STEP_SECONDS = 0.02
_PATIENCE_SECONDS = 120.0
_ANSWERS_AT = slice(6, 8)
_AUTHORITY_AT = slice(8, 10)


def query(name: str) -> bytes:
    """For a TLSA record, with its signature wanted."""
    return dns.message.make_query(name, dns.rdatatype.TLSA, want_dnssec=True, payload=1232).to_wire()


def ask_all(port: int, queries: Sequence[bytes], *, exists: bool) -> None:
    """Until each has been answered: with two records where the name exists, else with a proof that has a signature.

    RuntimeError for any other answer, and when nothing comes.
    """
    waiting: dict[int, tuple[int, bytes]] = {}
    left = list(enumerate(queries))[::-1]
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("127.0.0.1", port))
        asking.settimeout(_WAIT_SECONDS)
        while left or waiting:
            while left and len(waiting) < IN_FLIGHT:
                number, octets = left.pop()
                waiting[number & 0xFFFF] = number, octets
                asking.send((number & 0xFFFF).to_bytes(2, "big") + octets[2:])
            try:
                answer = asking.recv(65535)
            except TimeoutError:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{len(waiting) + len(left)} queries were not answered") from None
                left += waiting.values()
                waiting.clear()
                continue
            if waiting.pop(int.from_bytes(answer[:2], "big"), None) is not None:
                _check(answer, exists=exists)


def wait_until_served(port: int, zone: str, seconds: float) -> None:
    """Until the zone's SOA is answered with a signature. RuntimeError."""
    asked = dns.message.make_query(zone, dns.rdatatype.SOA, want_dnssec=True).to_wire()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.connect(("127.0.0.1", port))
            asking.settimeout(_WAIT_SECONDS)
            try:
                asking.send(asked)
                if int.from_bytes(asking.recv(65535)[_ANSWERS_AT], "big") == 2:
                    return
            except (TimeoutError, ConnectionError):
                pass
        time.sleep(_STEP_SECONDS)
    raise RuntimeError(f"port {port} does not serve {zone} within {seconds:.0f} s")


def _check(answer: bytes, *, exists: bool) -> None:
    answers, authority = (int.from_bytes(answer[place], "big") for place in (_ANSWERS_AT, _AUTHORITY_AT))
    rcode = answer[3] & 0xF
    right = answers == 2 if exists else answers == 0 and authority >= 4
    if not right or answer[2] & 0x02 or rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        raise RuntimeError(f"an answer that is not the one expected: {dns.message.from_wire(answer)}")

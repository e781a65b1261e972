"""Fetching the authorities of PKIX-CD over HTTPS (`dnsbound.credential.pkix_cd` says what it is, and how weak).

One request for each level, without redirects, cookies or proxies; a bounded number of levels, octets and seconds.
"""

import http.client
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import closing
from typing import Final

from dnsbound.credential.credential import certificates_from_pem
from dnsbound.credential.pkix_cd import authority_host, authority_path, check, is_top
from dnsbound.errors import LimitExceeded, Reason, Refused, Undecided
from dnsbound.names import ClientName
from dnsbound.object_limits import PKIX_CD_LEVELS, PKIX_CD_OCTETS
from dnsbound.times import Moment, Seconds

_HTTPS: Final = 443
_PIECE: Final = 16_384


class PkixCd:
    """Believes certificates at `4 0 0` records by the web's authorities. Whoever makes one has turned the switch."""

    def __init__(
        self,
        *,
        web: ssl.SSLContext | None = None,
        connect: Callable[[str, Seconds], socket.socket] | None = None,
        deadline: Seconds = 10.0,
    ) -> None:
        """web: whom the web is trusted by; the system's authorities by default. connect: makes the connection to a
        host, given the seconds it may take; to its port 443 by default. deadline: seconds for all levels together."""
        self._web = web or ssl.create_default_context()
        self._connect = connect or _connected
        self._deadline = deadline

    def check(self, certificate: bytes, *, name: ClientName, now: Moment) -> None:
        """Refused unless authorities of the name's host vouch for the certificate: CHAIN_INVALID,
        NAME_NOT_IN_CERTIFICATE. Undecided when the host cannot be asked. Malformed, LimitExceeded."""
        until = time.monotonic() + self._deadline
        host = authority_host(name)
        authorities: list[bytes] = []
        below = certificate
        while not authorities or not is_top(below):
            if len(authorities) == PKIX_CD_LEVELS.default:
                raise LimitExceeded(PKIX_CD_LEVELS.name, f"more than {PKIX_CD_LEVELS.default} levels of authorities")
            path = authority_path(below)
            found = certificates_from_pem(self._fetch(host, path, until))
            if not found:
                raise Refused(Reason.CHAIN_INVALID, f"https://{host}{path} has no certificate")
            below = found[0]
            authorities.append(below)
        check(certificate, authorities, name=name, now=now)

    def _fetch(self, host: str, path: str, until: Seconds) -> bytes:
        try:
            return self._get(host, path, until)
        except (OSError, http.client.HTTPException) as error:
            raise Undecided(Reason.DNS_FAILED, f"https://{host}{path}: {error or type(error).__name__}") from error

    def _get(self, host: str, path: str, until: Seconds) -> bytes:
        plain = self._connect(host, _left(until))
        with closing(plain), self._web.wrap_socket(plain, server_hostname=host) as secured:
            connection = http.client.HTTPConnection(host)
            connection.sock = secured
            connection.request("GET", path, headers={"Accept": "application/x-pem-file", "Connection": "close"})
            with connection.getresponse() as response:
                if response.status != http.client.OK:
                    raise Refused(Reason.CHAIN_INVALID, f"https://{host}{path} is answered {response.status}")
                held = b""
                while piece := response.read1(_PIECE):
                    held += piece
                    if len(held) > PKIX_CD_OCTETS.default:
                        raise LimitExceeded(PKIX_CD_OCTETS.name, f"more than {PKIX_CD_OCTETS.default} octets")
                    secured.settimeout(_left(until))
                return held


def _connected(host: str, seconds: Seconds) -> socket.socket:
    return socket.create_connection((host, _HTTPS), timeout=seconds)


def _left(until: Seconds) -> Seconds:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("no time is left")
    return left

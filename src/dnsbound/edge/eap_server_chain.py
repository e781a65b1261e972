"""The DNSSEC chain that an EAP-TLS server shows to devices, which have no network to look anything up (RFC 9102).

Its records stand at `_1812._tcp.SERVER` (docs/decisions/0013-tlsa-of-an-eap-server.md); the chain is a file of
`dnsbound chain export`, made anew by a job before its signatures end and read again when it changes.
"""

import os
import re
from typing import Final

from dnsbound.edge.chain_from_file import ChainFromFile
from dnsbound.edge.context_chain import ServedChain
from dnsbound.errors import Misuse

EAP_TLSA_PORT: Final = 1812
"""RADIUS over TCP has this port (RFC 6613 section 2.2) and no TLS of its own."""

_OWNER: Final = re.compile(rf"_{EAP_TLSA_PORT}\._tcp\.(.+)\.")


def eap_server_chain(path: str | os.PathLike[str]) -> ServedChain:
    """For `Context.server`. Misuse or Malformed for a file that is no chain, or is that of another owner."""
    source = ChainFromFile(path)
    owner = source.file.name.to_text()
    found = _OWNER.fullmatch(owner.lower())
    if found is None:
        raise Misuse(f"{path} holds the chain of {owner}, not of _{EAP_TLSA_PORT}._tcp and the server's name")
    return ServedChain(host=found[1], port=EAP_TLSA_PORT, source=ChainFromFile(path, source.file.name))

"""A claim as the accounting database keeps it while its session lives, so that a restart can ask about it again.

Nothing of it is a verdict: after a restart the engine looks the name up and matches anew, and what is asked is whether
somebody who is in may stay. Whoever can write the database can keep somebody in who is in already, and nothing more.

JSON, because people look into such databases: names as text, octets as base64.
"""

import base64
import binascii
import json
from typing import Any, Final

from dnsbound.credential.presented import EarlierMatch, Presented
from dnsbound.errors import Malformed, Misuse
from dnsbound.names import ClientName
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment
from dnsbound.verify.claim import Claim, NameSource, Proved

_VERSION: Final = 1


def claim_to_wire(claim: Claim) -> bytes:
    """Misuse for a claim whose possession was not proved to us: nobody was let in by one."""
    if not isinstance(claim.possession, Proved):
        raise Misuse("a session is kept only of a client that proved possession to us")
    presented, earlier = claim.presented, claim.presented.earlier
    kept = {
        "version": _VERSION,
        "name": claim.name.text,
        "name_source": claim.name_source.value,
        "door": claim.door,
        "source": claim.source,
        "protocol": claim.protocol,
        "proved": {"by": claim.possession.by, "until": claim.possession.until},
        "chain": [_text(certificate) for certificate in presented.chain],
        "raw_public_key": None if presented.raw_public_key is None else _text(presented.raw_public_key),
        "earlier": None
        if earlier is None
        else {"record": _text(earlier.record.to_wire()), "chain_expires": earlier.chain_expires},
        "carried_chain": None if claim.carried_chain is None else _text(claim.carried_chain),
    }
    return json.dumps(kept, separators=(",", ":")).encode()


def claim_from_wire(octets: bytes) -> Claim:
    """What `claim_to_wire` made; Malformed for anything else."""
    try:
        kept = json.loads(octets)
        if kept["version"] != _VERSION:
            raise Malformed("kept claim of another version")
        return Claim(
            name=ClientName.parse(kept["name"]),
            name_source=NameSource(kept["name_source"]),
            presented=Presented(
                chain=tuple(_octets(certificate) for certificate in kept["chain"]),
                raw_public_key=_optional(kept["raw_public_key"]),
                earlier=_earlier(kept["earlier"]),
            ),
            possession=Proved(str(kept["proved"]["by"]), _moment(kept["proved"]["until"])),
            door=str(kept["door"]),
            source=str(kept["source"]),
            protocol=str(kept["protocol"]),
            carried_chain=_optional(kept["carried_chain"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Malformed(f"kept claim: {error}") from None


def _earlier(kept: Any) -> EarlierMatch | None:  # noqa: ANN401 (of JSON)
    if kept is None:
        return None
    return EarlierMatch(record=TLSA.from_wire(_octets(kept["record"])), chain_expires=_moment(kept["chain_expires"]))


def _moment(kept: Any) -> Moment | None:  # noqa: ANN401 (of JSON)
    return None if kept is None else float(kept)


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")


def _optional(text: Any) -> bytes | None:  # noqa: ANN401 (of JSON)
    return None if text is None else _octets(text)


def _octets(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise Malformed(f"kept claim: {error}") from None

"""aiortc: WebRTC peers that are admitted by their DNS names.

A peer's certificate is never sent to a CA, and its SDP says by a fingerprint which certificate DTLS will show (RFC 8122
section 5, RFC 8827 section 5). Whoever relays the SDP could put another there. Here the fingerprint must be what the
name's own record says, `3 0 1` (or `3 0 2`, `3 0 0`), before the description is taken at all:

    connection = BoundPeerConnection(credential, authenticator)
    await connection.accept(offer, name="car54._device.cars.example")     # Refused, Undecided, or the evidence
    await connection.setLocalDescription(await connection.createAnswer())

The name must be on the access list of the authenticator's door before the DNS is asked. aiortc's DTLS then lets nobody
through but the holder of that certificate's key, so `verified_peer` says who it is from the moment the connection
stands, and asks again while it lasts: a peer whose record is removed is cut.

What it is not: signalling, which is the application's, and any proof for a peer that is not connected yet. Records of
the key alone (`3 1 x`) cannot be compared with a fingerprint.
"""

import asyncio
import logging
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn

from aiortc import RTCCertificate, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import SessionDescription
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from dnsbound.credential.credential import Credential
from dnsbound.credential.presented import LeafDigests, Presented
from dnsbound.edge.authenticator import Authenticator
from dnsbound.edge.session_sweep import sweep_for
from dnsbound.errors import LimitExceeded, Malformed, Misuse, Reason, Refused, Undecided
from dnsbound.limits import SDP_OCTETS
from dnsbound.names import ClientName
from dnsbound.verify.claim import Asserted, Claim, NameSource
from dnsbound.verify.peer import VerifiedPeer

if TYPE_CHECKING:
    from dnsbound.verify.sessions import Session

_log: Final = logging.getLogger("dnsbound.listen")

DTLS: Final = "aiortc's DTLS"
"""Who vouches that the peer holds its certificate's key."""
_FINGERPRINT: Final = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2})*")
_OCTETS: Final = {"sha-256": 32, "sha-512": 64}
"""Digests that records have as well; of others, DTLS alone holds the peer to what its description says."""
_UNREADABLE: Final = (ValueError, LookupError, AssertionError, StopIteration, AttributeError, TypeError)
"""What aiortc raises for a description that it cannot read or use."""


class BoundPeerConnection(RTCPeerConnection):
    """aiortc's RTCPeerConnection whose two ends are known by their DNS names. It belongs to one event loop."""

    def __init__(
        self, credential: Credential, authenticator: Authenticator, *, configuration: RTCConfiguration | None = None
    ) -> None:
        """credential: what this end shows, a P-256 key with a certificate that its name's `3 0 1` record names.
        authenticator: who may be at the other end. Misuse for a credential that WebRTC cannot use."""
        super().__init__(configuration)
        # aiortc makes a certificate for each connection and has no public place for one that stays the same.
        self._RTCPeerConnection__certificates = [certificate_of(credential)]
        self._authenticator = authenticator
        self._accepting = asyncio.Lock()
        self._claim: Claim | None = None
        self._peer: VerifiedPeer | None = None
        self._session: Session | None = None
        self._cut_because: Refused | Undecided | LimitExceeded | None = None
        self._closing: asyncio.Task[None] | None = None
        self.on("connectionstatechange", self._state_changed)

    @property
    def verified_peer(self) -> VerifiedPeer | None:
        """Who is at the other end: None until DTLS has shown it. Raises what the peer was cut with, once it was."""
        if self._cut_because is not None:
            raise self._cut_because
        return self._peer if self._session is not None else None

    async def accept(
        self, description: RTCSessionDescription, *, name: ClientName | str, source: str = ""
    ) -> VerifiedPeer:
        """Take an offer or answer from the peer of this name, if its fingerprints are those of the name's records.

        source: where it came from, for lookup budgets and logs. Refused, also for another name or certificate than the
        connection began with; Undecided; Malformed for a description that is none. Nothing of it is used then.
        """
        async with self._accepting:
            claim = Claim(
                name=ClientName.parse(name) if isinstance(name, str) else name,
                name_source=NameSource.STATED,
                presented=Presented(digests=digests_of(description)),
                possession=Asserted(DTLS),
                door=self._authenticator.door,
                source=source,
                protocol="WebRTC",
            )
            self._check_unchanged(claim)
            peer = await self._authenticator.authenticate(claim)
            try:
                await super().setRemoteDescription(description)
            except _UNREADABLE as error:
                raise Malformed(f"the peer's session description cannot be used: {error}") from error
            self._claim, self._peer = claim, peer
        return peer

    async def setRemoteDescription(  # noqa: N802 (aiortc's own)
        self,
        sessionDescription: RTCSessionDescription,  # noqa: ARG002, N803 (aiortc's own)
    ) -> NoReturn:
        """Not here: nobody would know whose description it is."""
        raise Misuse("say whose description it is: accept(description, name=...)")

    def _check_unchanged(self, claim: Claim) -> None:
        """RFC 8842 allows another certificate in the middle, which aiortc's DTLS would never see."""
        before = self._claim
        if before is None:
            return
        if claim.name != before.name:
            raise self._turned_away(Reason.BAD_NAME, f"the connection began with {before.name}, not with {claim.name}")
        if claim.presented != before.presented:
            raise self._turned_away(Reason.TLSA_MISMATCH, f"{claim.name} now shows another certificate")

    def _turned_away(self, reason: Reason, words: str) -> Refused:
        refused = Refused(reason, words)
        self._authenticator.turned_away(refused)
        return refused

    # --- while it lasts

    def _state_changed(self) -> None:
        if self.connectionState == "connected" and self._session is None:
            self._connected()
        elif self.connectionState in ("closed", "failed"):
            self._gone()

    def _connected(self) -> None:
        if self._peer is None or self._claim is None:
            return
        sweep = sweep_for(asyncio.get_running_loop(), self._authenticator)
        try:
            self._session = sweep.register(self._peer, self._claim, _Live(self))
        except LimitExceeded as error:
            self._end(error)

    def _gone(self) -> None:
        if self._session is not None:
            self._authenticator.sessions.remove(self._session)
            self._session = None

    def _end(self, reason: Refused | Undecided | LimitExceeded) -> None:
        self._cut_because = reason
        self._gone()
        self._closing = asyncio.get_running_loop().create_task(self._close_quietly())

    async def _close_quietly(self) -> None:
        with suppress(ConnectionError):
            await self.close()

    async def close(self) -> None:
        """End the connection."""
        self._gone()
        await super().close()


class _Live:
    """The handle of the registry of live sessions, whose calls may come from any thread."""

    def __init__(self, connection: BoundPeerConnection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()

    def renewed(self, peer: VerifiedPeer) -> None:
        self._connection._peer = peer  # noqa: SLF001 (the two classes are one machine)

    def cut(self, reason: Refused | Undecided) -> None:
        _log.info("a WebRTC connection is cut: %s", reason)
        with suppress(RuntimeError):  # The loop is closed, and everything of it.
            self._loop.call_soon_threadsafe(self._connection._end, reason)  # noqa: SLF001 (as above)


def certificate_of(credential: Credential) -> RTCCertificate:
    """The credential as aiortc has it. Misuse unless it is a P-256 key of this process with a certificate."""
    key = credential.private_key
    if not credential.chain or not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Misuse("WebRTC needs a credential with a certificate and an EC key of this process: aiortc signs itself")
    return RTCCertificate(key=key, cert=x509.load_der_x509_certificate(credential.chain[0]))


def digests_of(description: RTCSessionDescription) -> LeafDigests:
    """The one certificate that every part of a description names, by fingerprints that records have as well.

    Read by aiortc's own reader, since what another one understood would prove nothing of what DTLS will hold the peer
    to. Malformed when it does not parse, or a part has no such fingerprint, or parts differ (RFC 8122 section 5).
    """
    text = description.sdp
    if len(text) > SDP_OCTETS.default:
        raise LimitExceeded(SDP_OCTETS.name, f"a session description of {len(text)} characters")
    try:
        sections = SessionDescription.parse(text).media
    except _UNREADABLE as error:
        raise Malformed(f"the peer's session description does not parse: {error}") from error
    if not sections:
        raise Malformed("the peer's session description describes no media and no data")
    found: set[tuple[bytes | None, bytes | None]] = set()
    for section in sections:
        fingerprints = section.dtls.fingerprints if section.dtls is not None else []
        found.add(_digests((one.algorithm, one.value) for one in fingerprints))
    if len(found) != 1:
        raise Malformed("the parts of the peer's session description name different certificates")
    sha256, sha512 = found.pop()
    return LeafDigests(certificate_sha256=sha256, certificate_sha512=sha512)


def _digests(fingerprints: Iterable[tuple[str, str]]) -> tuple[bytes | None, bytes | None]:
    """SHA-256 and SHA-512, each said once or repeatedly but the same."""
    said: dict[str, bytes] = {}
    for algorithm, value in fingerprints:
        octets = _OCTETS.get(algorithm.lower())
        if octets is None:
            continue
        if not _FINGERPRINT.fullmatch(value):
            raise Malformed(f"{value[:200]!r} is no fingerprint")
        digest = bytes.fromhex(value.replace(":", ""))
        if len(digest) != octets or said.setdefault(algorithm.lower(), digest) != digest:
            raise Malformed(f"a part of the peer's session description has no single {algorithm} fingerprint")
    if not said:
        raise Malformed("a part of the peer's session description has no SHA-256 or SHA-512 fingerprint")
    return said.get("sha-256"), said.get("sha-512")

"""The agent's side of the SSH agent protocol, for one key that signs for its holder to log in, and for SSHSIG.

    agent = AgentConversation(identity)
    agent.receive_data(octets); out = agent.data_to_send()

ssh asks which keys there are, and has what it must sign for a login signed; the key itself is never handed out, and may
be on a token. Unlike other agents this one signs nothing that is not SSH's: the same key speaks TLS and signs objects,
and whoever reaches the socket must not be able to sign those. What is signed is a request to log in (its first field is
the session's identifier) that names this very key, or the octets of an SSHSIG.
Sections: draft-ietf-sshm-ssh-agent sections 3 to 5; RFC 4252 section 7; PROTOCOL and PROTOCOL.sshsig of OpenSSH.
What this is not: adding, removing or locking keys, or extensions, which get the failure that the draft demands.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from dnsbound.credential import ssh_signature
from dnsbound.credential.signer import Signer
from dnsbound.credential.ssh_key import SshKey
from dnsbound.credential.ssh_signature import string
from dnsbound.door_limits import SSH_AGENT_OCTETS
from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.wire import Reader


class Message(IntEnum):
    """draft-ietf-sshm-ssh-agent section 6.1."""

    FAILURE = 5
    REQUEST_IDENTITIES = 11
    IDENTITIES_ANSWER = 12
    SIGN_REQUEST = 13
    SIGN_RESPONSE = 14


_RSA_FLAGS: Final = {2: ssh_signature.RSA_SHA2_256, 4: ssh_signature.RSA_SHA2_512}
"""Section 6.3."""
_LENGTH: Final = 4
_USERAUTH_REQUEST: Final = 50
_SESSION_OCTETS: Final = (20, 64)
"""The exchange hash of the first key exchange: SHA-1 to SHA-512."""
_CONNECTION: Final = b"ssh-connection"
_BY_KEY: Final = b"publickey"
_BOUND_TO_HOST: Final = b"publickey-hostbound-v00@openssh.com"
_SSHSIG: Final = b"SSHSIG"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentIdentity:
    """A key that can be used. certificates: blobs of SSH certificates of the same key, offered before it."""

    signer: Signer
    key: SshKey
    comment: str
    certificates: tuple[bytes, ...] = ()

    @property
    def blobs(self) -> tuple[bytes, ...]:
        return (*self.certificates, self.key.blob)


class AgentConversation:
    """One connection. Octets in, octets out. LimitExceeded where a message is longer than any that is answered: the
    connection then ends."""

    def __init__(self, identity: AgentIdentity) -> None:
        self._identity = identity
        self._in = bytearray()
        self._out = bytearray()

    def receive_data(self, data: bytes) -> None:
        """Answer every message that is whole. A key on a token may take its time, and ask a person."""
        self._in += data
        while len(self._in) >= _LENGTH:
            length = int.from_bytes(self._in[:_LENGTH], "big")
            if length > SSH_AGENT_OCTETS.default:
                raise LimitExceeded(SSH_AGENT_OCTETS.name, f"a message of {length} octets")
            if len(self._in) < _LENGTH + length:
                return
            message = bytes(self._in[_LENGTH : _LENGTH + length])
            del self._in[: _LENGTH + length]
            self._out += string(self._answer(message))

    def data_to_send(self) -> bytes:
        """What has to go out; once."""
        out = bytes(self._out)
        self._out.clear()
        return out

    def _answer(self, message: bytes) -> bytes:
        try:
            reader = Reader(message, "SSH agent message")
            kind = reader.uint(1)
            if kind == Message.REQUEST_IDENTITIES:
                reader.finish()
                return self._identities()
            if kind == Message.SIGN_REQUEST:
                return self._signed(reader)
        except Malformed:
            pass
        return bytes((Message.FAILURE,))

    def _identities(self) -> bytes:
        comment = string(self._identity.comment.encode("utf-8"))
        blobs = self._identity.blobs
        listed = b"".join(string(blob) + comment for blob in blobs)
        return bytes((Message.IDENTITIES_ANSWER,)) + len(blobs).to_bytes(4, "big") + listed

    def _signed(self, reader: Reader) -> bytes:
        blob, data, flags = reader.prefixed(4), reader.prefixed(4), reader.uint(4)
        reader.finish()
        identity = self._identity
        if blob not in identity.blobs:
            raise Malformed("SSH agent: another key")
        check_signed_data(data, blob)
        algorithm = _RSA_FLAGS.get(flags) if identity.key.kind == "ssh-rsa" else None
        if identity.key.kind == "ssh-rsa" and algorithm is None:
            raise Malformed("SSH agent: RSA by SHA-1")
        return bytes((Message.SIGN_RESPONSE,)) + string(ssh_signature.sign(identity.signer, data, algorithm))


def check_signed_data(data: bytes, blob: bytes) -> None:
    """Malformed unless this is what SSH has signed by the key with this blob: a request to log in, or an SSHSIG."""
    if data.startswith(_SSHSIG):
        _check_sshsig(data)
    else:
        _check_login(data, blob)


def _check_sshsig(data: bytes) -> None:
    reader = Reader(data, "SSHSIG to be signed")
    reader.octets(len(_SSHSIG))
    namespace, reserved, digest, octets = (reader.prefixed(4) for _ in range(4))
    reader.finish()
    if not namespace or reserved or (digest, len(octets)) not in ((b"sha256", 32), (b"sha512", 64)):
        raise Malformed("SSH agent: no SSHSIG to be signed")


def _check_login(data: bytes, blob: bytes) -> None:
    """RFC 4252 section 7; the second method is OpenSSH's, with the host's key behind (PROTOCOL section 3.1)."""
    reader = Reader(data, "SSH login to be signed")
    session, kind = reader.prefixed(4), reader.uint(1)
    _user, service, method = reader.prefixed(4), reader.prefixed(4), reader.prefixed(4)
    has_signature, algorithm, named = reader.uint(1), reader.prefixed(4), reader.prefixed(4)
    if method == _BOUND_TO_HOST:
        reader.prefixed(4)
    reader.finish()
    least, most = _SESSION_OCTETS
    if (
        not least <= len(session) <= most
        or kind != _USERAUTH_REQUEST
        or service != _CONNECTION
        or method not in (_BY_KEY, _BOUND_TO_HOST)
        or has_signature != 1
        or named != blob
        or not algorithm
    ):
        raise Malformed("SSH agent: no request to log in with this key")

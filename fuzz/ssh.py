"""Where SSH's octets of strangers are read: signatures, certificates, records, the agent, and Git's objects."""

import time
from functools import cache

from dnsbound.credential import ssh_certificate, ssh_signature
from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import public_key_from_spki
from dnsbound.credential.ssh_certificate import SshCertificate
from dnsbound.credential.ssh_key import SshKey
from dnsbound.credential.ssh_signature import string
from dnsbound.names import ClientName
from dnsbound.objects.git_object import GitObject
from dnsbound.objects.sshsig import SshSignature, digest_of, make
from dnsbound.protocols.ssh_agent import AgentConversation, AgentIdentity
from dnsbound.records.sshfp import SSHFP
from fuzz.target import Target, text

NAME = ClientName.parse("car54._device.cars.example")
DIGEST = digest_of([b"message"])


@cache
def identity() -> AgentIdentity:
    credential = Credential.generate(NAME, now=time.time())
    return AgentIdentity(signer=credential.signer, key=SshKey.from_spki(credential.spki), comment="car54")


def signature() -> SshSignature:
    return make(DIGEST, identity().signer, namespace="file")


def certificate() -> str:
    return ssh_certificate.make(
        identity().key, identity().signer, principals=[str(NAME)], valid_after=1.0, valid_before=2.0
    )


def login() -> bytes:
    blob = identity().key.blob
    words = string(b"root") + string(b"ssh-connection") + string(b"publickey")
    data = string(bytes(32)) + b"\x32" + words + b"\x01" + string(b"ecdsa-sha2-nistp256") + string(blob)
    return string(b"\x0d" + string(blob) + string(data) + bytes(4))


def read_wire(octets: bytes) -> object:
    found = SshSignature.from_wire(octets)
    assert SshSignature.from_wire(found.to_wire()) == found
    return found.check(DIGEST)


def read_text(octets: bytes) -> object:
    return SshSignature.from_text(text(octets)).check(DIGEST)


def read_blob(octets: bytes) -> object:
    return ssh_signature.verify(public_key_from_spki(identity().key.spki), octets, b"message")


def read_key_blob(octets: bytes) -> object:
    key = SshKey.from_blob(octets)
    assert key.blob == octets
    return key


def read_certificate(octets: bytes) -> object:
    kind, _, body = text(octets).partition(" ")
    return SshCertificate.from_text(kind, body)


def read_record(octets: bytes) -> object:
    record = SSHFP.from_wire(octets)
    assert SSHFP.from_text(record.to_text()) == record
    return record.names(identity().key.kind, identity().key.blob)


def talk_to_agent(octets: bytes) -> object:
    """In pieces and at once: as many octets of answers."""
    whole, pieces = AgentConversation(identity()), AgentConversation(identity())
    whole.receive_data(octets)
    for at in range(len(octets)):
        pieces.receive_data(octets[at : at + 1])
    first, second = whole.data_to_send(), pieces.data_to_send()
    # Signatures of ECDSA differ from each other, in their length by an octet or two for each number.
    assert bool(first) == bool(second)
    return first


def read_commit(octets: bytes) -> object:
    found = GitObject.of_commit(octets)
    assert len(found.payload) <= len(octets)
    return found


SSH_TARGETS: dict[str, Target] = {
    "sshsig": Target(read_wire, lambda: [signature().to_wire()]),
    "sshsig-text": Target(read_text, lambda: [signature().to_text().encode()]),
    "ssh-signature": Target(read_blob, lambda: [ssh_signature.sign(identity().signer, b"message")]),
    "ssh-key-blob": Target(read_key_blob, lambda: [identity().key.blob]),
    "ssh-certificate": Target(read_certificate, lambda: [certificate().encode()]),
    "sshfp-record": Target(read_record, lambda: [SSHFP.of(identity().key.kind, identity().key.blob).to_wire()]),
    "ssh-agent": Target(talk_to_agent, lambda: [string(b"\x0b"), login()]),
    "git-commit": Target(read_commit, lambda: [COMMIT]),
    "git-tag": Target(GitObject.of_tag, lambda: [b"object 1\ntagger F <f@x.example> 1 +0\n\nx\n" + ARMOUR]),
}
ARMOUR = b"-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n"
COMMIT = b"tree 1\ncommitter F <f@x.example> 1 +0\ngpgsig " + ARMOUR.replace(b"\n", b"\n ")[:-1] + b"\nmessage\n"

"""The agent: what it shows and signs, and that it signs nothing that is not SSH's."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from dnsbound.credential import ssh_signature
from dnsbound.credential.keys import PrivateKey
from dnsbound.credential.signer import LocalSigner
from dnsbound.credential.ssh_key import SshKey
from dnsbound.credential.ssh_signature import string
from dnsbound.edge.ssh_agent import SshAgent
from dnsbound.errors import LimitExceeded, Misuse
from dnsbound.objects.sshsig import SshSignature, digest_of
from dnsbound.protocols.ssh_agent import AgentConversation, AgentIdentity, Message
from dnsbound.wire import Reader

KEY = ed25519.Ed25519PrivateKey.generate()
FAILURE = bytes((Message.FAILURE,))


def identity(key: PrivateKey = KEY, **more: tuple[bytes, ...]) -> AgentIdentity:
    signer = LocalSigner(key)
    return AgentIdentity(signer=signer, key=SshKey.from_spki(signer.spki), comment="car54", **more)


def ask(message: bytes, holder: AgentIdentity | None = None) -> bytes:
    conversation = AgentConversation(holder or identity())
    for octet in string(message):
        conversation.receive_data(bytes((octet,)))
    reader = Reader(conversation.data_to_send(), "answer")
    answer = reader.prefixed(4)
    reader.finish()
    return answer


def login(
    *,
    session: bytes = bytes(32),
    kind: int = 50,
    service: bytes = b"ssh-connection",
    method: bytes = b"publickey",
    signed: int = 1,
    blob: bytes | None = None,
    more: bytes = b"",
) -> bytes:
    named = identity().key.blob if blob is None else blob
    fields = (b"deploy", service, method)
    return (
        string(session)
        + bytes((kind,))
        + b"".join(map(string, fields))
        + bytes((signed,))
        + string(b"ssh-ed25519")
        + string(named)
        + more
    )


def sshsig(namespace: bytes = b"git", digest: bytes = b"sha512", octets: bytes = bytes(64)) -> bytes:
    return b"SSHSIG" + b"".join(map(string, (namespace, b"", digest, octets)))


def request(data: bytes, *, blob: bytes | None = None, flags: int = 0) -> bytes:
    asked = identity().key.blob if blob is None else blob
    return bytes((Message.SIGN_REQUEST,)) + string(asked) + string(data) + flags.to_bytes(4, "big")


def test_sh_17_it_shows_its_key_and_the_certificates_before_it() -> None:
    holder = identity(certificates=(b"certificate",))
    reader = Reader(ask(bytes((Message.REQUEST_IDENTITIES,)), holder), "answer")
    assert (reader.uint(1), reader.uint(4)) == (Message.IDENTITIES_ANSWER, 2)
    shown = [(reader.prefixed(4), reader.prefixed(4)) for _ in range(2)]
    reader.finish()
    assert shown == [(b"certificate", b"car54"), (holder.key.blob, b"car54")]


@pytest.mark.parametrize(
    "data",
    [login(), login(method=b"publickey-hostbound-v00@openssh.com", more=string(b"hostkey")), sshsig()],
    ids=["login", "login bound to a host", "sshsig"],
)
def test_sh_17_it_signs_what_is_sshs(data: bytes) -> None:
    reader = Reader(ask(request(data)), "answer")
    assert reader.uint(1) == Message.SIGN_RESPONSE
    blob = reader.prefixed(4)
    reader.finish()
    assert ssh_signature.verify(KEY.public_key(), blob, data) == "ssh-ed25519"


TLS = b"\x20" * 64 + b"TLS 1.3, client CertificateVerify\0" + bytes(32)
NOT_SSHS = {
    "TLS": TLS,
    "JWS": b"eyJhbGciOiJFZERTQSJ9.e30",
    "COSE": b"\x84\x6aSignature1",
    "nothing": b"",
    "session of no length": login(session=b""),
    "session too long": login(session=bytes(65)),
    "another message": login(kind=51),
    "another service": login(service=b"ssh-userauth"),
    "another method": login(method=b"hostbased"),
    "a question and no login": login(signed=0),
    "another key inside": login(blob=b"x"),
    "more behind": login(more=b"x"),
    "host missing": login(method=b"publickey-hostbound-v00@openssh.com"),
    "no namespace": sshsig(namespace=b""),
    "another digest": sshsig(digest=b"sha1"),
    "digest of another length": sshsig(octets=bytes(32)),
    "more behind an SSHSIG": sshsig() + b"x",
}


@pytest.mark.parametrize("case", NOT_SSHS)
def test_sh_18_it_signs_nothing_else(case: str) -> None:
    assert ask(request(NOT_SSHS[case])) == FAILURE


def test_sh_18_another_key_another_message_and_half_ones_fail() -> None:
    whole = request(login())
    assert ask(request(login(), blob=b"other")) == FAILURE
    for message in (b"", b"\x11", bytes((25,)) + b"x", bytes((Message.REQUEST_IDENTITIES,)) + b"x", whole + b"x"):
        assert ask(message) == FAILURE
    for length in range(1, len(whole), 5):
        assert ask(whole[:length]) == FAILURE


def test_sh_18_a_message_that_is_too_long_ends_the_connection() -> None:
    with pytest.raises(LimitExceeded):
        AgentConversation(identity()).receive_data((1 << 24).to_bytes(4, "big"))


def test_sh_17_rsa_signs_by_the_digest_that_was_asked_for() -> None:
    key = rsa.generate_private_key(65537, 2048)
    holder = identity(key)
    data = login(blob=holder.key.blob)
    for flags, algorithm in ((2, "rsa-sha2-256"), (4, "rsa-sha2-512")):
        reader = Reader(ask(request(data, blob=holder.key.blob, flags=flags), holder), "answer")
        assert reader.uint(1) == Message.SIGN_RESPONSE
        assert ssh_signature.verify(key.public_key(), reader.prefixed(4), data) == algorithm
    assert ask(request(data, blob=holder.key.blob, flags=0), holder) == FAILURE


@pytest.mark.peer("ssh-add")
@pytest.mark.peer("ssh-keygen")
def test_sh_17_openssh_lists_and_signs_by_it(tmp_path: Path) -> None:
    holder = identity(ec.generate_private_key(ec.SECP256R1()))
    path = tmp_path / "agent.sock"
    (tmp_path / "key.pub").write_text(holder.key.to_text() + "\n")
    (tmp_path / "message").write_bytes(b"message")
    environment = {**os.environ, "SSH_AUTH_SOCK": str(path)}

    async def run(*command: str) -> "subprocess.CompletedProcess[str]":
        return await asyncio.to_thread(
            subprocess.run, command, env=environment, capture_output=True, text=True, timeout=20, check=False
        )

    async def scenario() -> None:
        async with SshAgent(holder, path):
            assert path.stat().st_mode & 0o777 == 0o600
            listed = await run("ssh-add", "-L")
            assert listed.stdout == f"{holder.key.to_text()} car54\n"
            sign = ("ssh-keygen", "-Y", "sign", "-n", "file", "-f", str(tmp_path / "key.pub"), "-U")
            signed = await run(*sign, str(tmp_path / "message"))
            assert signed.returncode == 0, signed.stderr
            found = SshSignature.from_text((tmp_path / "message.sig").read_text())
            found.check(digest_of([b"message"], found.digest))
            assert found.key == holder.key
            # A key cannot be put into it.
            assert (await run("ssh-add", "-D")).returncode != 0

    asyncio.run(scenario())
    assert not path.exists()


def test_sh_18_a_socket_of_somebody_elses_agent_is_not_taken(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with SshAgent(identity(), tmp_path / "agent.sock"):
            with pytest.raises(Misuse):
                SshAgent(identity(), tmp_path / "agent.sock")
        (tmp_path / "file").write_text("x")
        with pytest.raises(Misuse):
            SshAgent(identity(), tmp_path / "file")

    asyncio.run(scenario())

"""Readers: every format gives the same key, and every fault is a row with a reason, and not the end of the list."""

import gzip
import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from dnsbound.provision.adoption.candidate import BadRow, Candidate, PassedOver, Problem
from dnsbound.provision.adoption.source import ReadingRules
from dnsbound.provision.adoption.sources import octets_in
from unit.adoption_sources import (
    authority,
    b64,
    certificate,
    key,
    key_usage,
    pem,
    private_der,
    private_pem,
    public_pem,
    read,
    read_octets,
    request,
    spki,
    the_bad_row,
    the_candidate,
    tpm_public,
)

CAR = "car54._device.cars.example"


def ssh_line(number: int = 0) -> str:
    return key(number).public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")


WHOLE_FILES = {
    "certificate.pem": pem("CERTIFICATE", certificate()),
    "certificate.crt": b"Certificate:\n    Data: as openssl x509 -text prints\n"
    + pem("X509 CERTIFICATE", certificate()),
    "crlf.pem": pem("CERTIFICATE", certificate()).replace(b"\n", b"\r\n"),
    "marked.pem": b"\xef\xbb\xbf" + public_pem(),
    "certificate.der": certificate(),
    "public.pem": public_pem(),
    "public.der": spki(),
    "request.csr": pem("CERTIFICATE REQUEST", request()),
    "request.der": request(),
    "tpm2b.bin": tpm_public(sized=True),
    "tpmt.bin": tpm_public(),
    "id.pub": f"{ssh_line()} {CAR}\n".encode(),
    "list.csv": f"name,public_key\n{CAR},{b64(spki())}\n".encode(),
    "list.json": f'[{{"name": "{CAR}", "public_key": "{b64(spki())}"}}]'.encode(),
    "one.json": f'{{"name": "{CAR}",\n "public_key": "{b64(spki())}"}}'.encode(),
    "list.jsonl": f'{{"name": "{CAR}", "public_key": "{spki().hex()}"}}\n'.encode(),
}


@pytest.mark.parametrize("name", WHOLE_FILES)
def test_every_format_gives_the_same_key(tmp_path: Path, name: str) -> None:
    found = the_candidate(read_octets(tmp_path, WHOLE_FILES[name], name))
    assert found.spki == spki()
    assert (found.certificate is not None) == name.startswith(("certificate", "crlf"))
    assert found.where.startswith(str(tmp_path / name))


@pytest.mark.parametrize("name", WHOLE_FILES)
def test_the_format_is_told_by_what_is_in_the_file(tmp_path: Path, name: str) -> None:
    if name == "list.jsonl":
        pytest.skip("one line of JSON is one object of a document as well")
    assert the_candidate(read_octets(tmp_path, WHOLE_FILES[name], "nameless")).spki == spki()


def test_a_certificate_shows_names_and_serial_number(tmp_path: Path) -> None:
    der = certificate(0, CAR, common_name="car54", serial="SN-54")
    shown = the_candidate(read_octets(tmp_path, der, "54.der")).shown
    assert (shown.san, shown.common_name, shown.serial, shown.file_name) == ((CAR,), "car54", "SN-54", "54")


def test_many_blocks_are_many_rows_and_each_says_its_line(tmp_path: Path) -> None:
    octets = pem("CERTIFICATE", certificate(1)) + b"-- and --\n" + private_pem(2) + public_pem(3)
    first, second, third = read_octets(tmp_path, octets, "all.pem")
    assert isinstance(first, Candidate)
    assert (first.spki, first.where.rpartition(":")[2]) == (spki(1), "1")
    assert isinstance(second, BadRow)
    assert second.problem is Problem.PRIVATE_KEY
    assert isinstance(third, Candidate)
    lines = octets.decode().split("\n")
    assert third.where == f"{tmp_path / 'all.pem'}:{lines.index('-----BEGIN PUBLIC KEY-----') + 1}"


def test_the_issuers_after_a_certificate_are_its_chain(tmp_path: Path) -> None:
    leaf = certificate(1, CAR, issuer=9, issuer_name="Cars CA")
    first, second = read_octets(tmp_path, pem("CERTIFICATE", leaf) + pem("CERTIFICATE", authority()), "chain.pem")
    assert isinstance(first, Candidate)
    assert isinstance(second, PassedOver)


def test_an_authority_is_no_client(tmp_path: Path) -> None:
    assert the_bad_row(read_octets(tmp_path, pem("CERTIFICATE", authority()), "ca.pem")).problem is Problem.AUTHORITY
    assert the_bad_row(read_octets(tmp_path, authority(), "ca.der")).problem is Problem.AUTHORITY
    table = f"name,certificate\n{CAR},{b64(authority())}\n".encode()
    assert the_bad_row(read_octets(tmp_path, table, "ca.csv")).problem is Problem.AUTHORITY


def test_a_self_signed_device_may_call_itself_an_authority(tmp_path: Path) -> None:
    """As `openssl req -x509` makes them; what makes an authority is the right to sign certificates."""
    der = certificate(0, CAR, extensions=(x509.BasicConstraints(ca=True, path_length=None),))
    assert the_candidate(read_octets(tmp_path, der, "self.der")).spki == spki()


@pytest.mark.parametrize(
    "extension",
    [key_usage(encipher=True), x509.ExtendedKeyUsage([x509.ObjectIdentifier("2.23.133.8.1")])],
    ids=["key-encipherment", "endorsement-key"],
)
def test_a_key_that_may_not_sign_is_refused(tmp_path: Path, extension: x509.ExtensionType) -> None:
    der = certificate(0, CAR, extensions=(extension,))
    assert the_bad_row(read_octets(tmp_path, der, "ek.der")).problem is Problem.CANNOT_SIGN


RESTRICTED, DECRYPT = 0x00050072, 0x00020072


@pytest.mark.parametrize("attributes", [RESTRICTED, DECRYPT])
def test_a_tpm_key_that_signs_no_handshake_is_refused(tmp_path: Path, attributes: int) -> None:
    octets = tpm_public(attributes=attributes, sized=True)
    assert the_bad_row(read_octets(tmp_path, octets, "ak.bin")).problem is Problem.CANNOT_SIGN


@pytest.mark.parametrize("cut", range(0, len(tpm_public()), 5))
def test_a_tpm_key_that_is_cut_short_is_none(tmp_path: Path, cut: int) -> None:
    table = f"name,tpm_public\n{CAR},{tpm_public()[:cut].hex()}\n".encode()
    assert the_bad_row(read_octets(tmp_path, table, "tpm.csv")).problem in (Problem.UNREADABLE, Problem.NO_KEY)


PRIVATE = {
    "pkcs8.pem": private_pem(),
    "pkcs8.der": private_der(),
    "label.pem": pem("ENCRYPTED PRIVATE KEY", b"whatever it is"),
    "open.pem": b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n",
    "putty.ppk": b"PuTTY-User-Key-File-3: ssh-ed25519\n",
    "store.jks": b"\xfe\xed\xfe\xed\0\0\0\2",
    "cell.csv": f"name,public_key\n{CAR},{b64(private_der())}\n".encode(),
    "block.csv": f'name,public_key\n{CAR},"{private_pem().decode()}"\n'.encode(),
    "column.csv": f"name,public_key,private_key\n{CAR},{b64(spki())},something\n".encode(),
    "member.json": f'[{{"name": "{CAR}", "public_key": "{b64(spki())}", "d": "something"}}]'.encode(),
    "tag.csv": f"name,public_key,owner\n{CAR},{b64(spki())},{b64(private_der())}\n".encode(),
}


@pytest.mark.parametrize("name", PRIVATE)
def test_a_private_key_is_refused_and_not_shown(tmp_path: Path, name: str) -> None:
    row = the_bad_row(read_octets(tmp_path, PRIVATE[name], name))
    assert row.problem is Problem.PRIVATE_KEY
    secret = key().private_numbers().private_value.to_bytes(32, "big")
    assert not any(form in repr(row) for form in (secret.hex(), b64(secret)[:20], b64(private_der())[40:60]))


UNREADABLE = {
    "cut.pem": (public_pem()[:-30], Problem.UNREADABLE),
    "inner.pem": (b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n", Problem.UNREADABLE),
    "other.pem": (pem("PKCS7", b"123"), Problem.UNREADABLE),
    "cut.der": (certificate()[:-7], Problem.UNREADABLE),
    "more.der": (spki() + b"\0", Problem.UNREADABLE),
    "packed.csv.gz": (gzip.compress(b"name,public_key\n"), Problem.COMPRESSED),
    "sheet.xlsx": (b"PK\x03\x04", Problem.COMPRESSED),
    "wide.csv": ("name,public_key\n".encode("utf-16"), Problem.ENCODING),
    "empty.csv": (b"", Problem.UNKNOWN_FORMAT),
    "prose.txt": (b"Dear customer,\nplease find attached.\n", Problem.UNKNOWN_FORMAT),
    "headless.csv": (f"{CAR},{b64(spki())}\n".encode(), Problem.NO_KEY),
    "twice.csv": (b"serial,sn,public_key\n1,2,3\n", Problem.UNKNOWN_FORMAT),
    "latin.csv": ("name,public_key\nzürich,x\n".encode("latin-1"), Problem.ENCODING),
    "cells.csv": (b"name,public_key\na,b,c\n", Problem.UNREADABLE),
    "open.csv": (f'name,public_key\n{CAR},"{b64(spki())}\n'.encode(), Problem.UNREADABLE),
    "nothing.csv": (f"name,public_key\n{CAR},\n".encode(), Problem.NO_KEY),
    "two.csv": (f"name,public_key,certificate\n{CAR},{b64(spki(1))},{b64(certificate(2))}\n".encode(), Problem.NO_KEY),
    "key.csv": (f"name,certificate\n{CAR},{b64(spki())}\n".encode(), Problem.UNREADABLE),
    "ttl.csv": (f"name,public_key,ttl\n{CAR},{b64(spki())},soon\n".encode(), Problem.BAD_FIELD),
    "long.csv": (f"name,public_key,ttl\n{CAR},{b64(spki())},99999999\n".encode(), Problem.BAD_FIELD),
    "tags.csv": (f"name,public_key,tags\n{CAR},{b64(spki())},not a tag\n".encode(), Problem.BAD_FIELD),
    "deep.json": (b"[" + b"[" * 100_000, Problem.UNREADABLE),
    "number.json": (b"[17]", Problem.UNREADABLE),
    "open.json": (b'[{"name": 1', Problem.UNREADABLE),
    "twice.json": (b'[{"name": "a", "name": "b"}]', Problem.UNREADABLE),
    "bytes.json": (b'[{"name": "\xff"}]', Problem.ENCODING),
    "infinite.json": (b'[{"name": Infinity}]', Problem.UNREADABLE),
    "typed.json": (f'[{{"name": 5, "public_key": "{b64(spki())}"}}]'.encode(), Problem.BAD_FIELD),
    "token.pub": (b"sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t\n", Problem.CANNOT_SIGN),
    "cut.pub": (ssh_line().encode()[:-20] + b"\n", Problem.UNREADABLE),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_says_why(tmp_path: Path, name: str) -> None:
    octets, problem = UNREADABLE[name]
    assert the_bad_row(read_octets(tmp_path, octets, name)).problem is problem


def test_a_request_must_be_signed_by_its_own_key(tmp_path: Path) -> None:
    der = bytearray(request())
    der[-1] ^= 1
    assert the_bad_row(read_octets(tmp_path, bytes(der), "x.csr")).problem in (
        Problem.BAD_SIGNATURE,
        Problem.UNREADABLE,
    )
    forged = request(1).replace(spki(1), spki(2))
    assert the_bad_row(read_octets(tmp_path, forged, "y.csr")).problem is Problem.BAD_SIGNATURE


def test_a_pkcs12_container_is_not_opened(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import NoEncryption

    octets = serialize_key_and_certificates(b"x", key(), None, None, NoEncryption())
    assert the_bad_row(read_octets(tmp_path, octets, "x.p12")).problem is Problem.UNREADABLE


def test_good_rows_go_through_beside_bad_ones(tmp_path: Path) -> None:
    lines = ["name;public_key;tags", f"a.b;{b64(spki(1))};red,blue", "c.d;zz;", "", f"e.f;{spki(2).hex(':')};"]
    first, second, third = read_octets(tmp_path, "\r\n".join(lines).encode(), "list.csv")
    assert isinstance(first, Candidate)
    assert (first.shown.name, first.tags) == ("a.b", {"red", "blue"})
    assert isinstance(second, BadRow)
    assert second.where.endswith("list.csv:3")
    assert isinstance(third, Candidate)
    assert third.where.endswith("list.csv:5")


def test_a_cell_may_hold_a_pem_block(tmp_path: Path) -> None:
    table = f'name,certificate\n{CAR},"{pem("CERTIFICATE", certificate()).decode()}"\nx.y,"{public_pem(2).decode()}"\n'
    first, second = read_octets(tmp_path, table.encode(), "list.csv")
    assert isinstance(first, Candidate)
    assert first.certificate == certificate()
    assert isinstance(second, BadRow)
    assert int(second.where.rpartition(":")[2]) == table.split("\n").index('x.y,"-----BEGIN PUBLIC KEY-----') + 1


def test_a_line_that_is_too_long_is_one_bad_row(tmp_path: Path) -> None:
    rules = ReadingRules(row_octets=1024)
    table = f"name,public_key\n{'x' * 5000},y\na.b,{b64(spki())}\n".encode()
    bad, good = read_octets(tmp_path, table, "list.csv", rules)
    assert isinstance(bad, BadRow)
    assert bad.problem is Problem.TOO_LARGE
    assert isinstance(good, Candidate)
    assert good.where.endswith(":3")
    lines = b'{"x": "' + b"y" * 5000 + b'"}\n' + f'{{"name": "a.b", "public_key": "{b64(spki())}"}}\n'.encode()
    bad, good = read_octets(tmp_path, lines, "list.jsonl", rules)
    assert isinstance(bad, BadRow)
    assert isinstance(good, Candidate)
    document = b'[{"x": "' + b"y" * 5000 + b'"}]'
    assert the_bad_row(read_octets(tmp_path, document, "list.json", rules)).problem is Problem.TOO_LARGE
    block = b"-----BEGIN CERTIFICATE-----\n" + b"AAAA\n" * 1000 + b"-----END CERTIFICATE-----\n"
    assert the_bad_row(read_octets(tmp_path, block, "x.pem", rules)).problem is Problem.UNREADABLE
    assert (
        the_bad_row(read_octets(tmp_path, b"\x30\x82\x20\x00" + bytes(9000), "x.der", rules)).problem
        is Problem.TOO_LARGE
    )


def test_columns_that_are_called_otherwise_are_told(tmp_path: Path) -> None:
    table = f"Gerät,Schlüssel\ncar54,{b64(spki())}\n".encode()
    assert the_bad_row(read_octets(tmp_path, table, "l.csv")).problem is Problem.NO_KEY
    rules = ReadingRules(columns={"serial": "Gerät", "public_key": "Schlüssel"})
    assert the_candidate(read_octets(tmp_path, table, "l.csv", rules)).shown.serial == "car54"
    absent = ReadingRules(columns={"serial": "Seriennummer"})
    assert the_bad_row(read_octets(tmp_path, table, "l.csv", absent)).problem is Problem.UNKNOWN_FORMAT


def test_columns_that_makers_use_are_understood(tmp_path: Path) -> None:
    table = f"Serial Number\tEK-Certificate\tTPMT_PUBLIC\nSN1\t{b64(certificate())}\t{tpm_public().hex()}\n".encode()
    found = the_candidate(read_octets(tmp_path, table, "tpm.tsv"))
    assert (found.shown.serial, found.certificate) == ("SN1", certificate())


def test_openssh_options_are_not_keys(tmp_path: Path) -> None:
    decoy = f'command="echo {ssh_line(1)} \\"quoted\\"",from="10.0.0.0/8"'
    text = f"# comment\n\n{decoy} {ssh_line(2)} car2 and more\n{ssh_line(3)}\n"
    first, second = read_octets(tmp_path, text.encode(), "authorized_keys")
    assert isinstance(first, Candidate)
    assert isinstance(second, Candidate)
    assert (first.spki, first.shown.comment, first.where.rpartition(":")[2]) == (spki(2), "car2 and more", "3")
    assert (second.spki, second.shown.comment) == (spki(3), None)


def test_an_ed25519_key_of_openssh(tmp_path: Path) -> None:
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    line = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    found = the_candidate(read_octets(tmp_path, line, "id.pub"))
    assert found.spki == public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_a_compressed_point_of_openssh_is_no_key_here(tmp_path: Path) -> None:
    point = key().public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    parts = (b"ecdsa-sha2-nistp256", b"nistp256", point)
    body = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    line = f"ecdsa-sha2-nistp256 {b64(body)} car1\n".encode()
    assert the_bad_row(read_octets(tmp_path, line, "id.pub")).problem is Problem.UNREADABLE


def test_an_array_is_read_element_by_element(tmp_path: Path) -> None:
    elements = ",\n".join(f'{{"serial": {number}, "public_key": "{b64(spki())}"}}' for number in range(3000))
    found = read_octets(tmp_path, f"[\n{elements}\n]".encode(), "l.json")
    assert [row.where.rpartition(":")[2] for row in found] == [str(number + 2) for number in range(3000)]
    assert all(isinstance(row, Candidate) for row in found)


def test_after_a_broken_element_nothing_is_believed(tmp_path: Path) -> None:
    good = f'{{"serial": 1, "public_key": "{b64(spki())}"}}'
    first, second = read_octets(tmp_path, f"[{good}, {{]}}, {good}]".encode(), "l.json")
    assert isinstance(first, Candidate)
    assert isinstance(second, BadRow)
    for tail in ("", ",]", "] x", "]]"):
        assert isinstance(read_octets(tmp_path, f"[{good}{tail}".encode(), "l.json")[-1], BadRow)


def test_a_broken_line_spoils_itself_alone(tmp_path: Path) -> None:
    good = f'{{"serial": 1, "public_key": "{b64(spki())}"}}'
    found = read_octets(tmp_path, f"{good}\n{{broken\n{good}\n".encode(), "l.jsonl")
    assert [isinstance(row, Candidate) for row in found] == [True, False, True]


def test_directories_are_read_in_order_and_not_left(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "b").mkdir(parents=True)
    (top / "b" / "1.pem").write_bytes(public_pem(1))
    (top / "a.pem").write_bytes(public_pem(2))
    (top / ".hidden.pem").write_bytes(public_pem(3))
    (tmp_path / "outside.pem").write_bytes(public_pem(4))
    (top / "out").symlink_to(tmp_path / "outside.pem")
    (top / "in").symlink_to(top / "a.pem")
    (top / "loop").symlink_to(top / "loop")
    (top / "up").symlink_to(tmp_path)
    os.mkfifo(top / "pipe")
    found = {Path(row.where.partition(".pem:")[0]).name: row for row in read(top)}
    assert [row.where for row in read(top) if isinstance(row, Candidate)] == [f"{top}/a.pem:1", f"{top}/b/1.pem:1"]
    assert isinstance(found["in"], PassedOver)
    for name in ("out", "loop", "up", "pipe"):
        row = found[name]
        assert isinstance(row, BadRow)
        assert row.problem is Problem.NOT_A_FILE
    assert ".hidden" not in found


def test_directories_below_each_other_have_an_end(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 20)
    deep.mkdir(parents=True)
    assert the_bad_row(read(tmp_path)).problem is Problem.TOO_LARGE


@pytest.mark.skipif(os.geteuid() == 0, reason="everything may be read by root")
def test_a_file_that_may_not_be_read_is_one_bad_row(tmp_path: Path) -> None:
    (tmp_path / "secret.pem").touch(mode=0)
    assert the_bad_row(read(tmp_path)).problem is Problem.UNREADABLE


def test_a_place_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "nowhere")


def test_how_much_there_is_to_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(10))
    assert octets_in([str(tmp_path / "a"), str(tmp_path / "a")]) == 20
    assert octets_in([str(tmp_path)]) is None
    assert octets_in(["-"]) is None

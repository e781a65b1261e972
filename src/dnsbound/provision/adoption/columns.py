"""From the cells of a table's row, or the members of a JSON object, to a candidate.

    name         whole name, or one label of it          serial       serial number of the device
    public_key   PEM, base64 or hexadecimal DER          certificate  the same; also the certificate of a TPM's key
    tpm_public   TPMT_PUBLIC or TPM2B_PUBLIC             ttl, owner, tags

Of the three that hold a key there may be several, which must then be the same key. Makers call the columns by many
names; those of `_ALSO_CALLED` are understood, others are told (`ReadingRules.columns`). Further columns are ignored.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from dnsbound.errors import Misuse
from dnsbound.limits import RECORD_TTL
from dnsbound.provision.adoption.candidate import Candidate, Problem, RowFault
from dnsbound.provision.adoption.key_material import Material, material_of_octets, material_of_text, octets_of_text
from dnsbound.provision.adoption.tpm_public_area import looks_like_one
from dnsbound.provision.errors import PrivateKeyRefused
from dnsbound.provision.public_key import admit_text
from dnsbound.provision.registration import admit_tags

KEY_COLUMNS: Final = ("public_key", "certificate", "tpm_public")
COLUMNS: Final = ("name", "serial", *KEY_COLUMNS, "owner", "tags", "ttl")

_ALSO_CALLED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "dns_name": "name",
        "hostname": "name",
        "fqdn": "name",
        "sn": "serial",
        "serial_number": "serial",
        "serialnumber": "serial",
        "device_id": "serial",
        "deviceid": "serial",
        "unique_id": "serial",
        "uniqueid": "serial",
        "pubkey": "public_key",
        "publickey": "public_key",
        "spki": "public_key",
        "cert": "certificate",
        "x509": "certificate",
        "device_certificate": "certificate",
        "ek_certificate": "certificate",
        "ek_cert": "certificate",
        "tpmt_public": "tpm_public",
        "tpm2b_public": "tpm_public",
        "public_area": "tpm_public",
        "tag": "tags",
    }
)
_SECRET: Final = ("private_key", "privatekey", "private", "secret_key", "d")


def columns_of(header: Iterable[str], chosen: Mapping[str, str]) -> dict[str, str]:
    """From the name of each column as it stands to what it holds; of columns that are ignored nothing is said.

    chosen: `ReadingRules.columns`. RowFault when two columns hold the same, a chosen one is absent, or none has a key.
    """
    written = list(header)
    missing = [column for column in chosen.values() if column not in written]
    if missing:
        raise RowFault(Problem.UNKNOWN_FORMAT, f"there is no column {missing[0]!r}")
    meaning = {column: wanted for wanted, column in chosen.items()}
    for column in written:
        plain = column.strip().lower().replace("-", "_").replace(" ", "_")
        wanted = plain if plain in COLUMNS else _ALSO_CALLED.get(plain)
        if wanted is not None and wanted not in chosen and column not in meaning:
            meaning[column] = wanted
    held = [meaning[column] for column in written if column in meaning]
    if len(set(held)) != len(held):
        twice = next(wanted for wanted in held if held.count(wanted) > 1)
        raise RowFault(Problem.UNKNOWN_FORMAT, f"two columns hold the {twice}: say which (--column {twice}=...)")
    if not set(held) & set(KEY_COLUMNS):
        raise RowFault(Problem.NO_KEY, f"no column holds a key: {', '.join(KEY_COLUMNS)} (--column maps others)")
    return meaning


def candidate_of_fields(fields: Mapping[str, object], where: str) -> Candidate:
    """fields: by what they hold (`COLUMNS`); texts, or numbers and lists where JSON has them. RowFault."""
    material = _material(fields)
    if material.is_authority:
        raise RowFault(Problem.AUTHORITY, "the certificate of an authority, which is no client")
    shown = replace(material.shown, name=_text(fields, "name"), serial=_text(fields, "serial") or material.shown.serial)
    return Candidate(
        where=where,
        spki=material.spki,
        certificate=material.certificate,
        shown=shown,
        owner=_owner(fields),
        tags=_tags(fields),
        ttl=_ttl(fields),
    )


def refuse_secrets(names: Iterable[str], fields: Mapping[str, object]) -> None:
    """RowFault when a member says by its name that it is a private key, and holds something."""
    for name in names:
        if name.strip().lower().replace("-", "_") in _SECRET and fields.get(name):
            raise RowFault(Problem.PRIVATE_KEY, f"the row has a {name!r}; only public keys are adopted")


def _material(fields: Mapping[str, object]) -> Material:
    found = [_read(kind, text) for kind in KEY_COLUMNS if (text := _text(fields, kind))]
    if not found:
        raise RowFault(Problem.NO_KEY, "the row has no key")
    if len({material.spki for material in found}) > 1:
        raise RowFault(Problem.NO_KEY, "the row has two keys, and they differ")
    return next((material for material in found if material.certificate is not None), found[0])


def _read(kind: str, text: str) -> Material:
    if kind == "tpm_public":
        octets = octets_of_text(text)
        if not looks_like_one(octets):
            raise RowFault(Problem.UNREADABLE, "the public area of a TPM's key does not parse")
        return material_of_octets(octets)
    material = material_of_text(text)
    if kind == "certificate" and material.certificate is None:
        raise RowFault(Problem.UNREADABLE, "the certificate is none")
    return material


def _text(fields: Mapping[str, object], column: str) -> str | None:
    value = fields.get(column)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and column == "serial":
        value = str(value)
    if not isinstance(value, str):
        raise RowFault(Problem.BAD_FIELD, f"the {column} is not text")
    return value.strip() or None


def _owner(fields: Mapping[str, object]) -> str | None:
    owner = _text(fields, "owner")
    try:
        return owner and admit_text(owner, "owner")
    except PrivateKeyRefused as error:
        raise RowFault(Problem.PRIVATE_KEY, str(error)) from None
    except Misuse as error:
        raise RowFault(Problem.BAD_FIELD, str(error)) from None


def _tags(fields: Mapping[str, object]) -> frozenset[str]:
    value = fields.get("tags")
    if value is None:
        return frozenset()
    if isinstance(value, str):
        value = value.replace(",", ";").split(";")
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise RowFault(Problem.BAD_FIELD, "tags are texts")
    try:
        return admit_tags(stripped for tag in value if (stripped := tag.strip()))
    except PrivateKeyRefused as error:
        raise RowFault(Problem.PRIVATE_KEY, str(error)) from None
    except Misuse as error:
        raise RowFault(Problem.BAD_FIELD, str(error)) from None


def _ttl(fields: Mapping[str, object]) -> int | None:
    value = fields.get("ttl")
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value.strip()) <= 10:
        value = int(value.strip())
    if isinstance(value, bool) or not isinstance(value, int):
        raise RowFault(Problem.BAD_FIELD, "the TTL is no number of seconds")
    if not RECORD_TTL.minimum <= value <= RECORD_TTL.maximum:
        raise RowFault(Problem.BAD_FIELD, f"the TTL is not from {RECORD_TTL.minimum} to {RECORD_TTL.maximum} seconds")
    return value

"""From what a row shows to the client's name: whole names as they stand, and labels made from serial numbers.

The rules for a text that becomes one label, so that the same list always makes the same names:

1. letters become lower case; whatever is neither letter, digit nor hyphen becomes a hyphen, several together one;
2. hyphens at both ends go;
3. nothing is cut off: a text that leaves nothing, or more than 63 characters, names nobody.

Two serial numbers that make one label are two rows of one name, which the plan tells. With a secret, labels are keyed
hashes of the text instead (`dnsbound.provision.labels`). Sections: draft-ietf-dance-client-auth sections 2 and 2.2
(`_device`), RFC 1035 section 2.3.1.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from string import Formatter
from types import MappingProxyType
from typing import Final, Self

from dnsbound.errors import Malformed, Misuse
from dnsbound.names import MAX_LABEL_OCTETS, ClientName
from dnsbound.provision.adoption.candidate import Problem, RowFault, Shown
from dnsbound.provision.labels import label_of_serial
from dnsbound.provision.owner import OwnerName

_OTHER: Final = re.compile(r"[^a-z0-9]+")
_DEVICE: Final = "_device"


class NameSource(StrEnum):
    """What of a row the name is taken from, in the words of `--name-from`."""

    COLUMN = "column"
    SAN = "san"
    CN = "cn"
    SERIAL = "serial"
    COMMENT = "comment"
    FILENAME = "filename"


_UNASKED: Final = (NameSource.COLUMN, NameSource.SAN, NameSource.COMMENT, NameSource.SERIAL)
"""What is taken when nothing was said, the first that a row shows. A common name, or a file's name, is only taken when
it was said: it often stands there for something else."""

_FIELDS: Final[Mapping[str, NameSource | None]] = MappingProxyType(
    {source.value: source for source in NameSource} | {"name": NameSource.COLUMN, "label": None}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRules:
    """How clients are named. Made by `parse`."""

    below: OwnerName | None = None
    """Every name must lie below this one."""
    source: NameSource | None = None
    template: str | None = None
    """Such as `{serial}._device.cars.example`; None: `{label}._device.BELOW` for what is no whole name."""
    secret: bytes | None = None
    """Key of hashed labels."""

    @classmethod
    def parse(
        cls,
        *,
        below: str | None = None,
        source: str | None = None,
        template: str | None = None,
        secret: bytes | None = None,
    ) -> Self:
        """From the words of options; Misuse, Malformed."""
        if source is not None and source not in set(NameSource):
            raise Misuse(f"names are not taken from {source!r}, but from {', '.join(NameSource)}")
        if template is not None:
            _check_template(template)
        return cls(
            below=None if below is None else OwnerName.parse(below),
            source=None if source is None else NameSource(source),
            template=template,
            secret=secret,
        )

    def name_of(self, shown: Shown) -> ClientName:
        """The name of the client of a row. RowFault."""
        text = self._text(shown)
        if self.below is not None and not text.endswith(f".{self.below.text}"):
            raise RowFault(Problem.BAD_NAME, f"{text} is not below {self.below}")
        try:
            return ClientName.parse(text)
        except Malformed as error:
            raise RowFault(Problem.BAD_NAME, f"{text[:300]!r}: {error}") from None

    def _text(self, shown: Shown) -> str:
        if self.template is not None:
            fields = {field: self._label(shown, source) for field, source in _fields_of(self.template)}
            return self.template.format_map(fields).lower().removesuffix(".")
        source, text = self._chosen(shown)
        relative = text.lower().removesuffix(".")
        if source is not NameSource.SERIAL and "." in relative:
            return relative
        if self.below is None:
            raise RowFault(Problem.NO_NAME, f"{text[:80]!r} is no whole name, and nobody said below which one it lies")
        top = self.below.text
        label = self._made_label(text)
        return f"{label}.{top}" if _DEVICE in top.split(".") else f"{label}.{_DEVICE}.{top}"

    def _chosen(self, shown: Shown) -> tuple[NameSource, str]:
        for source in _UNASKED if self.source is None else (self.source,):
            text = self._shown(shown, source)
            if text is not None and not (self.source is None and source is NameSource.COMMENT and not _is_name(text)):
                return source, text
        wanted = "nothing" if self.source is None else f"no {self.source.value}"
        raise RowFault(Problem.NO_NAME, f"the row shows {wanted} that names the client (--name-from)")

    def _shown(self, shown: Shown, source: NameSource) -> str | None:
        if source is not NameSource.SAN:
            return _TEXTS[source](shown)
        fitting = {name.lower() for name in shown.san if _is_name(name)}
        if self.below is not None:
            fitting = {name for name in fitting if name.endswith(f".{self.below.text}")} or fitting
        if len(fitting) > 1:
            raise RowFault(Problem.NO_NAME, f"the certificate shows several names: {', '.join(sorted(fitting)[:3])}")
        return next(iter(fitting), None)

    def _label(self, shown: Shown, source: NameSource | None) -> str:
        text = self._chosen(shown)[1] if source is None else self._shown(shown, source)
        if text is None:
            raise RowFault(Problem.NO_NAME, f"the row shows no {source}")
        return self._made_label(text)

    def _made_label(self, text: str) -> str:
        try:
            return label_of(text) if self.secret is None else label_of_serial(text, self.secret)
        except Malformed as error:
            raise RowFault(Problem.BAD_NAME, str(error)) from None


def label_of(text: str) -> str:
    """The label that a text makes, by the rules above; Malformed when it makes none."""
    if not text.isascii():
        raise Malformed(f"{text[:80]!r} makes no label: it is not ASCII")
    label = _OTHER.sub("-", text.lower()).strip("-")
    if not label or len(label) > MAX_LABEL_OCTETS:
        raise Malformed(f"{text[:80]!r} makes a label of {len(label)} characters; from 1 to {MAX_LABEL_OCTETS} can be")
    return label


_TEXTS: Final[Mapping[NameSource, Callable[[Shown], str | None]]] = MappingProxyType(
    {
        NameSource.COLUMN: lambda shown: shown.name,
        NameSource.CN: lambda shown: shown.common_name,
        NameSource.SERIAL: lambda shown: shown.serial,
        NameSource.COMMENT: lambda shown: shown.comment,
        NameSource.FILENAME: lambda shown: shown.file_name,
    }
)


def _is_name(text: str) -> bool:
    try:
        ClientName.parse(text.removesuffix("."))
    except Malformed:
        return False
    return True


def _check_template(template: str) -> None:
    fields = _fields_of(template)
    if not fields:
        raise Misuse(f"the template {template!r} would give every client one name: it holds no {{serial}} or {{label}}")
    ClientName.parse(template.format_map(dict.fromkeys((field for field, _ in fields), "x")).removesuffix("."))


def _fields_of(template: str) -> list[tuple[str, NameSource | None]]:
    fields: list[tuple[str, NameSource | None]] = []
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise Misuse(f"the template {template!r} is none: {error}") from None
    for _, field, form, conversion in parts:
        if field is None:
            continue
        if field not in _FIELDS or form or conversion:
            raise Misuse(f"the template has {{{field}}}; it may have {', '.join(f'{{{name}}}' for name in _FIELDS)}")
        fields.append((field, _FIELDS[field]))
    return fields

"""Lines people type at a running lab: publish, revoke, break, heal, look at what was asked."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from dnsbound.errors import DnsboundError, Misuse

if TYPE_CHECKING:
    from pathlib import Path

    from dnsbound.testing import Device, World


class LabConsole:
    """Runs one line at a time against a World. directory: where credentials of new devices are written."""

    def __init__(self, world: "World", directory: "Path") -> None:
        self._world = world
        self._directory = directory
        self._devices: dict[str, Device] = {}

    def run(self, line: str) -> list[str]:
        """What to print for one line. Mistakes are told, never raised."""
        try:
            words = shlex.split(line)
            if not words:
                return []
            action = ACTIONS.get(words[0])
            if action is None:
                raise Misuse(f"{words[0]!r} is none of {', '.join(ACTIONS)}")
            if not action.least <= len(words) - 1 <= action.most:
                raise Misuse(f"usage: {action.usage}")
            return action.run(self, words[1:])
        except (DnsboundError, ValueError) as error:
            return [str(error)]

    def device(self, words: list[str]) -> list[str]:
        """Make a device, write its credential, and publish it."""
        from dnsbound.edge.credential_files import save_credential

        label, organisation = (*words, "cars.example")[:2]
        device = self._world.organisation(organisation).device(label, publish=False)
        path = self._directory / f"{label}.pem"
        save_credential(device.credential, path)
        device.publish()
        self._devices[device.name.text] = device
        return [f"{device.name} is published; its credential is {path}"]

    def publish(self, words: list[str]) -> list[str]:
        """Put a device's record back."""
        device = self._named(words[0])
        device.publish()
        return [f"{device.name} is published"]

    def revoke(self, words: list[str]) -> list[str]:
        """Remove a device's record."""
        device = self._named(words[0])
        was = device.revoke()
        return [f"{device.name} is revoked; caches forget within {device.ttl} s" if was else "there was no record"]

    def fault(self, words: list[str]) -> list[str]:
        """Break what is said of a name, or of a zone if the name is one."""
        from dnsbound.testing import Fault
        from dnsbound.testing.organisation import name_of

        kinds = ", ".join(fault.value for fault in Fault)
        if words[1] not in list(Fault):
            raise Misuse(f"{words[1]!r} is none of {kinds}")
        name = self._whole(words[0])
        is_zone = self._world.zones.find(name_of(name)) is not None
        self._world.fault(name, Fault(words[1]), seconds=2.0, whole_zone=is_zone)
        return [f"{name} is {words[1]} until `heal`"]

    def heal(self, words: list[str]) -> list[str]:
        """End faults."""
        self._world.heal(self._whole(words[0]) if words else None)
        return ["healed"]

    def queries(self, words: list[str]) -> list[str]:
        """The last queries that arrived."""
        queries = self._world.queries_for(self._whole(words[0])) if words else self._world.queries.snapshot()
        return [f"{query.name} {query.rdtype} at the {query.face} over {query.transport}" for query in queries[-20:]]

    def names(self, _words: list[str]) -> list[str]:
        """The devices and their records."""
        return [f"{device.name}  TLSA {device.record}" for device in self._devices.values()]

    def help(self, _words: list[str]) -> list[str]:
        """What can be typed."""
        return [action.usage for action in ACTIONS.values()]

    def _named(self, text: str) -> "Device":
        whole = self._whole(text)
        if whole not in self._devices:
            raise Misuse(f"there is no device {whole}")
        return self._devices[whole]

    def _whole(self, text: str) -> str:
        """`car54` is short for the device of that label, where there is one."""
        short = [name for name in self._devices if name.split(".", maxsplit=1)[0] == text]
        return short[0] if len(short) == 1 else text


@dataclass(frozen=True, slots=True)
class _Action:
    usage: str
    run: Callable[[LabConsole, list[str]], list[str]]
    least: int = 0
    most: int = 0


ACTIONS: Final[Mapping[str, _Action]] = MappingProxyType(
    {
        "help": _Action("help", LabConsole.help),
        "list": _Action("list", LabConsole.names),
        "device": _Action("device LABEL [ORGANISATION]", LabConsole.device, 1, 2),
        "revoke": _Action("revoke NAME", LabConsole.revoke, 1, 1),
        "publish": _Action("publish NAME", LabConsole.publish, 1, 1),
        "fault": _Action("fault NAME KIND   (bogus, expired, stripped, slow, dead, ...)", LabConsole.fault, 2, 2),
        "heal": _Action("heal [NAME]", LabConsole.heal, 0, 1),
        "queries": _Action("queries [NAME]", LabConsole.queries, 0, 1),
    }
)

"""Opening what commands work on: the inventory and the resolver, from options and configuration."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dnsbound.cli.configuration import Configuration, inventory_place
from dnsbound.errors import Malformed
from dnsbound.provision.errors import InventoryMissing

if TYPE_CHECKING:
    from dnsbound.dns.anchors import TrustAnchors
    from dnsbound.edge.resolver import Resolver
    from dnsbound.provision.inventory import Inventory
    from dnsbound.provision.publish.targets import Targets


@contextmanager
def opened_inventory(option: str | None, *, create: bool = False) -> Iterator["Inventory"]:
    """The inventory, closed afterwards. create: make it when there is none."""
    from dnsbound.provision.inventory import Inventory

    try:
        inventory = Inventory.open(inventory_place(option), create=create)
    except InventoryMissing as error:
        raise InventoryMissing(f"{error}; `dnsbound zone create`, `id new` or `id adopt` makes one") from None
    with inventory:
        yield inventory


def publish_targets(option: Path | None) -> "Targets":
    """Where zones are published: the `publish` tables of the file that was named, or of the configuration."""
    import tomllib

    from dnsbound.provision.publish.targets import parse_targets

    if option is None:
        return Configuration.load().publish or {}
    try:
        table = tomllib.loads(option.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"{option}: {error}") from None
    unknown = set(table) - {"publish"}
    if unknown:
        raise Malformed(f'{option}: unknown key {min(unknown)!r}; it holds [publish."ZONE"] tables alone')
    return parse_targets(table.get("publish", {}), option)


def trust_anchors(option: Path | None) -> "TrustAnchors":
    """The anchors of the file that was named, or of the configuration, or the root's."""
    from dnsbound.dns.anchors import TrustAnchors

    path = option or Configuration.load().anchors
    if path is None:
        return TrustAnchors.root()
    try:
        return TrustAnchors.from_text(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise Malformed(f"{path}: not a text of DS or DNSKEY records") from None
    except Malformed as error:
        raise Malformed(f"{path}: {error}") from None


def upstream_texts(option: list[str] | None) -> list[str]:
    """What was said about whom to ask; empty for the system's resolvers. An environment variable may hold several."""
    return [text for entry in option or Configuration.load().resolver for text in entry.replace(",", " ").split()]


@contextmanager
def opened_resolver(option: list[str] | None, anchors: Path | None) -> Iterator["Resolver"]:
    """A resolver that validates here, closed afterwards."""
    from dnsbound.edge.resolver import Resolver
    from dnsbound.edge.upstream import Upstream

    trusted = trust_anchors(anchors)
    texts = upstream_texts(option)
    if texts:
        made = Resolver([Upstream.parse(text) for text in texts], anchors=trusted)
    else:
        made = Resolver.from_system(anchors=trusted)
    with closing(made):
        yield made

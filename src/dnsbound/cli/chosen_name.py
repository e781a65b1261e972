"""The name of a new identity: as it is said, or made from an unguessable label, a serial number, a service."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from dnsbound.errors import Misuse
from dnsbound.names import ClientName

BelowOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--below", metavar="PARENT", help="With --unguessable and --label-of: _device.cars.example."),
]
UnguessableOption: TypeAlias = Annotated[
    bool, typer.Option("--unguessable", help="A label of 128 random bits below --below, in place of NAME.")
]
LabelOfOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--label-of", metavar="SERIAL", help="A label from a serial number and --secret, below --below."),
]
SecretOption: TypeAlias = Annotated[
    Path | None, typer.Option("--secret", help="File, mode 0600, of 16 random octets or more.", dir_okay=False)
]
ServiceOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--service", help="For one service alone: smtp-client makes _smtp-client.NAME. Use a key of its own."),
]


def chosen_name(
    name: str | None,
    *,
    below: str | None,
    unguessable: bool,
    label_of: str | None,
    secret: Path | None,
    service: str | None,
) -> ClientName:
    """Malformed, Misuse. Whether the name is free is seen when it is registered."""
    from dnsbound.provision.labels import label_of_serial, name_below, service_name, unguessable_label
    from dnsbound.provision.owner import OwnerName

    ways = sum((name is not None, unguessable, label_of is not None))
    if ways != 1:
        raise Misuse("say one of NAME, --unguessable and --label-of")
    if (below is not None) != (name is None) or (secret is not None) != (label_of is not None):
        raise Misuse("--unguessable and --label-of need --below, --label-of needs --secret; NAME takes neither")
    if name is not None:
        client = ClientName.parse(name.removesuffix("."))
    else:
        label = unguessable_label() if label_of is None else label_of_serial(label_of, _secret(secret))
        client = name_below(label, OwnerName.parse(below or ""))
    return client if service is None else service_name(service, client)


def _secret(path: Path | None) -> bytes:
    from dnsbound.edge.secret_files import read_secret_file

    assert path is not None  # `chosen_name` checked it
    return read_secret_file(path)

"""Entries for tests of the accounting database."""

from dnsbound.credential.presented import Presented
from dnsbound.iana import AcctStatusType
from dnsbound.names import ClientName
from dnsbound.provision.accounting.entries import Admitted, Reported
from dnsbound.verify.claim import Claim, NameSource, Proved

NOW = 1_800_000_000.0
NAME = "car54._device.cars.example"
NAS = "ap1.isp.example"


def claim(name=NAME):
    return Claim(
        name=ClientName.parse(name),
        name_source=NameSource.SAN,
        presented=Presented(chain=(b"leaf",)),
        possession=Proved("TLSv1.3"),
        door="public.isp.example",
    )


def admitted(access_class=b"one", *, name=NAME, at=NOW, **changed):
    values = {
        "worker": 0,
        "network": "visitors",
        "client": "office",
        "address": "192.0.2.7",
        "nas": NAS,
        "calling_station": "02-00-00-00-00-01",
        "identification": ((1, name.encode()), (31, b"02-00-00-00-00-01")),
        "holds_until": at + 60,
        "session_timeout": 3600.0,
        "expires_at": at + 4200,
    }
    return Admitted(access_class=access_class, name=name, claim=claim(name), admitted_at=at, **(values | changed))


def reported(status, *, at, session="s1", access_class=b"one", **changed):
    return Reported(
        status=AcctStatusType[status],
        client=changed.pop("client", "office"),
        nas=changed.pop("nas", NAS),
        session=session,
        at=at,
        access_class=access_class,
        **changed,
    )

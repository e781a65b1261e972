"""The faces that speak HTTP in the words of one server: RabbitMQ, EMQX, FreeRADIUS and OpenSSH."""

import asyncio
import hashlib
import json
from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from cryptography import x509

from dnsbound.credential.ssh_key import SshKey
from dnsbound.edge.ssh_accounts import AccountNames
from dnsbound.errors import LimitExceeded, Malformed, Reason
from dnsbound.names import ClientName
from dnsbound.testing import World
from dnsbound.testing.faults import Fault
from dnsbound.testing.organisation import Device
from dnsbound.verify.access import AccessList
from dnsbound.verify.decision import Verdict
from machines.authz_fronts import DOOR, NAME, Client, Service, front_text, pem, service

Scenario = Callable[[Service, Device], Awaitable[None]]
ACCESS = f"""
[door."{DOOR}"]
allow = [
    {{ names = ["{NAME}"], grants = {{ publish = ["devices/%u/#"], subscribe = ["fleet/+"] }} }},
    {{ names = ["{NAME}"], grants = {{ ssh_accounts = ["deploy"], ssh_options = ["restrict", 'command="true"'] }} }},
    {{ names = ["*._device.vans.example"], grants = {{ ssh_accounts = ["deploy"] }} }},
    {{ names = ["_22._tcp.host.cars.example"] }},
]
deny = ["car99._device.cars.example"]
"""


def run(tmp_path: Path, protocol: str, scenario: Scenario, more: str = 'claim_from = ["stated", "san"]') -> None:
    text = front_text(tmp_path, more=more).replace('protocol = "http"', f'protocol = "{protocol}"')

    async def main() -> None:
        with World() as world:
            device = world.organisation("cars.example").device("car54")
            async with service(world, tmp_path, text=text, access=ACCESS) as served:
                await scenario(served, device)

    asyncio.run(main())


def forget(served: Service, name: str = NAME) -> None:
    served.server.fronts["nginx"].door.authenticator.forget(ClientName.parse(name))


class TestRabbitMQ:
    GATE = 'verified_by = "gate"\npassword_file = "rabbit.password"'
    PASSWORD = "the gate's own"

    @pytest.fixture(autouse=True)
    def password(self, tmp_path: Path) -> None:
        (tmp_path / "rabbit.password").write_text(f"{self.PASSWORD}\n")
        (tmp_path / "rabbit.password").chmod(0o600)

    @pytest.mark.parametrize(
        ("path", "fields", "word"),
        [
            ("user", {}, "allow"),
            ("user", {"username": "car55._device.cars.example"}, "deny"),
            ("user", {"username": "car99._device.cars.example"}, "deny"),
            ("user", {"username": "guest"}, "deny"),
            ("user", {"password": "another"}, "deny"),
            ("user", {"password": ""}, "deny"),
            ("user", {"password": "the gate's own\n"}, "deny"),
            ("user", {"username": ""}, "deny"),
            ("vhost", {"vhost": "/", "ip": "127.0.0.1"}, "allow"),
            ("vhost", {"vhost": "other"}, "deny"),
            ("resource", {"vhost": "/", "resource": "exchange", "name": "amq.topic", "permission": "write"}, "allow"),
            (
                "resource",
                {"vhost": "/", "resource": "exchange", "name": "amq.topic", "permission": "configure"},
                "deny",
            ),
            ("resource", {"vhost": "/", "resource": "exchange", "name": "other", "permission": "write"}, "deny"),
            (
                "resource",
                {"vhost": "/", "resource": "queue", "name": f"mqtt-subscription-{NAME}/aqos1", "permission": "read"},
                "allow",
            ),
            (
                "resource",
                {"vhost": "/", "resource": "queue", "name": f"mqtt-subscription-{NAME}qos0", "permission": "read"},
                "allow",
            ),
            (
                "resource",
                {"vhost": "/", "resource": "queue", "name": f"mqtt-subscription-{NAME}qos0.x", "permission": "read"},
                "deny",
            ),
            ("resource", {"vhost": "/", "resource": "queue", "name": "all", "permission": "read"}, "deny"),
            ("topic", {"routing_key": f"devices.{NAME}.door", "permission": "write"}, "allow"),
            ("topic", {"routing_key": "devices.car55._device.cars.example.door", "permission": "write"}, "deny"),
            ("topic", {"routing_key": f"devices.{NAME}.door", "permission": "read"}, "deny"),
            ("topic", {"routing_key": "fleet.*", "permission": "read"}, "allow"),
            ("topic", {"routing_key": "fleet.#", "permission": "read"}, "deny"),
            ("topic", {"routing_key": "#", "permission": "read"}, "deny"),
            ("topic", {"routing_key": f"devices.{NAME}.door", "permission": "write", "name": "amq.direct"}, "deny"),
        ],
    )
    def test_vf_08_a_verified_name_is_permitted_what_its_grants_say(
        self, tmp_path: Path, path: str, fields: dict[str, str], word: str
    ) -> None:
        form = {"username": NAME, "password": self.PASSWORD, **fields}
        if path == "topic":
            form = {"vhost": "/", "resource": "topic", "name": "amq.topic", **form}

        async def scenario(served: Service, _device: Device) -> None:
            async with served.client() as client:
                posted = await client.ask(f"/rabbitmq/{path}", method="POST", body=urlencode(form).encode())
                asked = await client.ask(f"/rabbitmq/{path}?{urlencode(form)}")
            assert [(reply.status, reply.body.decode()) for reply in (posted, asked)] == [(200, word)] * 2

        run(tmp_path, "rabbitmq", scenario, self.GATE)

    @pytest.mark.parametrize(
        "body", [b"", b"username=%zz", b"username=a&username=b", b"%ff", b"a=b&" * 100, b"username=\0"]
    )
    def test_a_form_that_is_none_is_denied(self, tmp_path: Path, body: bytes) -> None:
        async def scenario(served: Service, _device: Device) -> None:
            async with served.client() as client:
                reply = await client.ask("/rabbitmq/user", method="POST", body=body)
                assert (reply.status, reply.body) == (200, b"deny")

        run(tmp_path, "rabbitmq", scenario, self.GATE)

    def test_vf_09_the_trust_store_is_listed_and_judged_anew(self, tmp_path: Path) -> None:
        store = tmp_path / "store"
        store.mkdir()

        async def scenario(served: Service, device: Device) -> None:
            leaf = device.credential.chain[0]
            form = urlencode({"username": NAME}).encode()
            async with served.client() as client:
                listed = json.loads((await client.ask("/rabbitmq/certificates")).body)["certificates"]
                assert len(listed) == 1, "nobody's, for an empty list would be none"
                assert (await client.ask("/rabbitmq/user", method="POST", body=form)).body == b"deny"
                (store / f"{NAME}.pem").write_bytes(pem(leaf))
                listed = json.loads((await client.ask("/rabbitmq/certificates")).body)["certificates"]
                digest = hashlib.sha256(leaf).hexdigest()
                assert {"id": digest, "path": f"/{digest}.pem"} in listed
                for entry in listed:
                    assert (await client.ask(f"/rabbitmq/certificates{entry['path']}")).body.count(b"BEGIN") == 1
                assert (await client.ask("/rabbitmq/certificates/../x.pem")).status == 404
                assert (await client.ask("/rabbitmq/user", method="POST", body=form)).body == b"allow"
                device.revoke()
                forget(served)
                assert (await client.ask("/rabbitmq/user", method="POST", body=form)).body == b"deny"
            assert served.decisions[-1].reason is Reason.NO_TLSA

        run(tmp_path, "rabbitmq", scenario, f'danger_trust_store = "{store}"')

    @pytest.mark.parametrize(
        "more",
        [
            "",
            'verified_by = "gate"',
            'verified_by = "gate"\npassword_file = "rabbit.password"\ndanger_trust_store = "x"',
        ],
    )
    def test_vf_10_somebody_must_have_verified_the_name(self, tmp_path: Path, more: str) -> None:
        async def scenario(_served: Service, _device: Device) -> None:
            raise AssertionError("it started")

        with pytest.raises(Malformed):
            run(tmp_path, "rabbitmq", scenario, more)


class TestEmqx:
    async def login(self, client: Client, **fields: object) -> dict[str, object]:
        reply = await client.ask("/emqx/login", method="POST", body=json.dumps(fields).encode())
        assert reply.status == 200, "EMQX takes any other for `ignore`"
        told = json.loads(reply.body)
        assert isinstance(told, dict)
        return told

    def test_vf_11_a_login_is_a_claim_like_any_other(self, tmp_path: Path) -> None:
        async def scenario(served: Service, device: Device) -> None:
            certificate = pem(device.credential.chain[0]).decode()
            other = pem(served.world.organisation("cars.example").device("car77").credential.chain[0]).decode()
            async with served.client() as client:
                told = await self.login(
                    client, username=NAME, clientid=NAME, peerhost="192.0.2.7", certificate=certificate
                )
                assert (told["result"], told["is_superuser"]) == ("allow", False)
                assert told["acl"] == [
                    {"permission": "allow", "action": "publish", "topic": f"devices/{NAME}/#"},
                    {"permission": "allow", "action": "subscribe", "topic": "fleet/+"},
                    {"permission": "deny", "action": "all", "topic": "#"},
                ]
                assert isinstance(told["expire_at"], int)
                for fields in (
                    {"username": NAME, "certificate": other},
                    {"username": "car77._device.cars.example", "certificate": certificate},
                    {"username": "", "certificate": certificate},
                    {"username": NAME},
                    {"username": NAME, "clientid": "c", "certificate": certificate},
                    {"username": NAME, "clientid": "car77._device.cars.example", "certificate": certificate},
                    {"username": NAME, "clientid": f"{NAME}/#", "certificate": certificate},
                    {"username": NAME, "clientid": NAME, "certificate": "undefined"},
                    {"username": 7},
                ):
                    assert await self.login(client, **fields) == {"result": "deny"}
                assert json.loads((await client.ask("/emqx/other", method="POST", body=b"{}")).body) == {
                    "result": "deny"
                }
            assert served.decisions[0].verdict is Verdict.ADMITTED
            assert served.decisions[0].possession == "asserted by nginx"

        run(tmp_path, "emqx", scenario)

    @pytest.mark.parametrize(
        ("topic", "action", "result"),
        [
            (f"devices/{NAME}/x", "publish", "allow"),
            (f"devices/{NAME}/x", "subscribe", "deny"),
            ("fleet/7", "subscribe", "allow"),
            ("fleet/#", "subscribe", "deny"),
            ("devices/+/x", "publish", "deny"),
            ("fleet/7", "other", "deny"),
        ],
    )
    def test_topics(self, tmp_path: Path, topic: str, action: str, result: str) -> None:
        async def scenario(served: Service, _device: Device) -> None:
            asked = {"username": NAME, "clientid": "c", "topic": topic, "action": action}
            async with served.client() as client:
                reply = await client.ask("/emqx/topic", method="POST", body=json.dumps(asked).encode())
            assert (reply.status, json.loads(reply.body)) == (200, {"result": result})

        run(tmp_path, "emqx", scenario)


class TestFreeRadius:
    def question(self, device: Device, **changes: str) -> bytes:
        serial = f"{x509.load_der_x509_certificate(device.credential.chain[0]).serial_number:040x}"
        told = {"User-Name": NAME, "TLS-Client-Cert-Subject-Alt-Name-Dns": NAME, "TLS-Client-Cert-Serial": serial}
        attributes = {name: {"type": "string", "value": [value]} for name, value in (told | changes).items()}
        return json.dumps(attributes).encode()

    def test_vf_12_the_certificate_that_was_trusted_is_judged_anew(self, tmp_path: Path) -> None:
        placed = tmp_path / "placed"
        placed.mkdir()

        async def scenario(served: Service, device: Device) -> None:
            async with served.client() as client:

                async def status(**changes: str) -> int:
                    body = self.question(device, **changes)
                    return (await client.ask("/freeradius/post-auth", method="POST", body=body)).status

                assert await status() == 403
                (placed / f"{NAME}.pem").write_bytes(pem(device.credential.chain[0]))
                assert await status() == 200
                assert await status(**{"TLS-Client-Cert-Serial": "00"}) == 403
                assert await status(**{"User-Name": "car77._device.cars.example"}) == 403
                served.world.fault(NAME, Fault.SERVFAIL)
                forget(served)
                assert await status() == 403
                served.world.heal()
                device.revoke()
                forget(served)
                assert await status() == 403
                assert (await client.ask("/freeradius", method="POST", body=b"{}")).status == 403
            reasons = [decision.reason for decision in served.decisions]
            assert reasons[0] is Reason.NO_CREDENTIAL
            assert reasons[-3:] == [Reason.DNS_FAILED, Reason.NO_TLSA, Reason.NO_CREDENTIAL]

        run(tmp_path, "freeradius", scenario, f'certificates = "{placed}"')


class TestSsh:
    def query(self, key: SshKey, account: str = "deploy") -> str:
        told = {"account": account, "type": key.kind, "key": b64encode(key.blob).decode()}
        return "&".join(f"{name}={quote(value, safe='')}" for name, value in told.items())

    def test_vf_13_a_granted_account_opens_to_the_key_of_the_name(self, tmp_path: Path) -> None:
        async def scenario(served: Service, device: Device) -> None:
            key = SshKey.from_spki(device.credential.spki)
            other = SshKey.from_spki(served.world.organisation("cars.example").device("car77").credential.spki)
            async with served.client() as client:
                reply = await client.ask(f"/ssh/authorized-keys?{self.query(key)}")
                assert (reply.status, reply.body.decode()) == (
                    200,
                    f'restrict,command="true" {key.to_text()} {NAME}\n',
                )
                for query in (self.query(other), self.query(key, "root"), self.query(key, "a b"), "", "type=x"):
                    reply = await client.ask(f"/ssh/authorized-keys?{query}")
                    assert (reply.status, reply.body) == (200, b"")
                device.revoke()
                forget(served)
                assert (await client.ask(f"/ssh/authorized-keys?{self.query(key)}")).body == b""
            assert served.decisions[0].verdict is Verdict.ADMITTED
            assert served.decisions[2].reason is Reason.NOT_PERMITTED
            # Names of patterns cause no lookup: who they are is not known.
            assert {query.name for query in served.world.queries if query.rdtype == "TLSA"} <= {NAME}

        run(tmp_path, "ssh", scenario)

    def test_vf_14_undecided_is_no_line_and_says_so(self, tmp_path: Path) -> None:
        async def scenario(served: Service, device: Device) -> None:
            served.world.fault(NAME, Fault.SERVFAIL)
            async with served.client() as client:
                reply = await client.ask(f"/ssh/authorized-keys?{self.query(SshKey.from_spki(device.credential.spki))}")
            assert (reply.status, reply.body) == (503, b"")

        run(tmp_path, "ssh", scenario)

    def test_an_account_that_is_called_by_the_name(self, tmp_path: Path) -> None:
        async def scenario(served: Service, device: Device) -> None:
            key = SshKey.from_spki(device.credential.spki)
            async with served.client() as client:
                reply = await client.ask(f"/ssh/authorized-keys?{self.query(key, NAME)}")
                assert reply.body.decode().endswith(f"{key.to_text()} {NAME}\n")

        run(tmp_path, "ssh", scenario)

    def test_vf_15_the_key_of_a_host(self, tmp_path: Path) -> None:
        async def scenario(served: Service, device: Device) -> None:
            cars = served.world.organisation("cars.example")
            key = SshKey.from_spki(device.credential.spki)
            cars.publish("_22._tcp.host", device.record)
            told = {"host": "host.cars.example", "type": key.kind, "key": b64encode(key.blob).decode()}
            async with served.client() as client:

                async def answer(**changes: str) -> str:
                    reply = await client.ask(f"/ssh/known-hosts?{urlencode(told | changes)}")
                    return reply.body.decode()

                assert await answer(why="HOSTNAME") == f"host.cars.example {key.to_text()}\n"
                assert await answer(why="ORDER", type="NONE", key="NONE") == ""
                assert await answer(host="other.cars.example") == ""
                assert await answer(host="[host.cars.example]:2222") == ""
                assert await answer(host="192.0.2.7") == ""

        run(tmp_path, "ssh", scenario)


class TestAccounts:
    def test_an_account_of_too_many_names_is_nobodys(self) -> None:
        names = [f"car{number}._device.cars.example" for number in range(65)]
        access = AccessList.allowing(DOOR, names, grants={"ssh_accounts": ["deploy"]})
        with pytest.raises(LimitExceeded):
            AccountNames().names("deploy", access, DOOR)
        fewer = AccessList.allowing(DOOR, names[:64], grants={"ssh_accounts": ["deploy"]})
        accounts = AccountNames()
        assert len(accounts.names("deploy", fewer, DOOR)) == 64
        assert accounts.names("root", fewer, DOOR) == []

    def test_a_changed_list_is_read_again(self) -> None:
        accounts = AccountNames()
        before = AccessList.allowing(DOOR, [NAME], grants={"ssh_accounts": ["deploy"]})
        assert [name.canonical for name in accounts.names("deploy", before, DOOR)] == [NAME]
        after = AccessList.allowing(DOOR, [NAME], grants={"ssh_accounts": ["other"]})
        assert accounts.names("deploy", after, DOOR) == []

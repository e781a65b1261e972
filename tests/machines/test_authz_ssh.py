"""The faces for OpenSSH beyond single keys: floods of keys, certificates by a CA in the DNS, and SSHFP records."""

import asyncio
import time
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from hashlib import sha1
from pathlib import Path
from urllib.parse import parse_qs, quote, urlencode

from dnsbound.credential.credential import Credential
from dnsbound.credential.ssh_certificate import make
from dnsbound.credential.ssh_key import SshKey
from dnsbound.edge.authz_routes import HttpRequest, HttpResponse
from dnsbound.edge.authz_ssh import AuthorizedKeysRoute
from dnsbound.errors import Reason
from dnsbound.names import ClientName
from dnsbound.records.sshfp import SSHFP
from dnsbound.testing import World
from dnsbound.testing.faults import Fault
from dnsbound.testing.organisation import Device
from dnsbound.verify.decision import Verdict
from dnsbound.verify.token_buckets import TokenBuckets
from machines.authz_fronts import DOOR, NAME, Client, Service, front_text, service

DEPLOYS = f"""
[door."{DOOR}"]
allow = [
    {{ names = ["{NAME}"], grants = {{ ssh_accounts = ["deploy"] }} }},
    {{ names = ["*._device.vans.example"], grants = {{ ssh_accounts = ["deploy"] }} }},
]
"""


def run(tmp_path: Path, access: str, scenario: Callable[[Service], Awaitable[None]]) -> None:
    text = front_text(tmp_path, more='claim_from = ["stated"]').replace('protocol = "http"', 'protocol = "ssh"')

    async def main() -> None:
        with World() as world:
            cars = world.organisation("cars.example")
            cars.device("car54")
            async with service(world, tmp_path, text=text, access=access) as served:
                await scenario(served)

    asyncio.run(main())


def with_client(scenario: Callable[[Service, Client], Awaitable[None]]) -> Callable[[Service], Awaitable[None]]:
    async def with_one(served: Service) -> None:
        async with served.client() as client:
            await scenario(served, client)

    return with_one


class TestSshFloods:
    """sshd asks about every key that anybody offers."""

    def query(self, account: str = "deploy") -> str:
        key = SshKey.from_spki(Credential.generate(NAME, now=0.0).spki)
        return urlencode({"account": account, "type": key.kind, "key": b64encode(key.blob).decode()})

    def test_sh_12_unknown_keys_cost_the_lookups_of_the_names_that_are_granted(self, tmp_path: Path) -> None:
        async def scenario(served: Service) -> None:
            async with served.client() as client:
                for _ in range(50):
                    reply = await client.ask(f"/ssh/authorized-keys?{self.query()}")
                    assert (reply.status, reply.body) == (200, b"")
                before = len(served.world.queries)
                for _ in range(50):
                    await client.ask(f"/ssh/authorized-keys?{self.query('root')}")
                assert len(served.world.queries) == before
            asked = [query.name for query in served.world.queries if query.rdtype == "TLSA"]
            assert asked == [NAME]

        run(tmp_path, DEPLOYS, scenario)

    def test_sh_12_a_silent_dns_is_asked_so_often_for_one_account_and_no_more(self, tmp_path: Path) -> None:
        async def scenario(served: Service) -> None:
            route = AuthorizedKeysRoute()
            route._lookups = TokenBuckets(3, 16)  # type: ignore[misc]
            door = served.server.fronts["nginx"].door
            served.world.fault(NAME, Fault.SERVFAIL)
            for _ in range(8):
                request = HttpRequest(method="GET", path=route.path, query=self.query())
                answer = route.answer(request, door)
                reply = answer if isinstance(answer, HttpResponse) else await answer
                assert (reply.status, reply.body) == (503, b"")
            reasons = [decision.reason for decision in served.decisions]
            # At least five: a slow machine may earn a question or two meanwhile, at three in a minute.
            assert reasons[:3] == [Reason.DNS_FAILED] * 3
            assert reasons.count(Reason.LOOKUP_BUDGET) >= 4

        run(tmp_path, DEPLOYS, scenario)


USERS = ("alice._user.cars.example", "bob._user.cars.example", "eve._user.cars.example")
AUTHORITY = "ssh-ca._service.cars.example"
CERTIFICATES = f"""
[door."{DOOR}"]
allow = [
    {{ names = ["*._user.cars.example"], grants = {{ ssh_accounts = ["deploy"], ssh_options = ["restrict"] }} }},
    {{ names = ["{USERS[0]}"], grants = {{ ssh_options = ["no-pty"] }} }},
    {{ names = ["{AUTHORITY}"], grants = {{ ssh_authority = ["{USERS[0]}", "b*b", "{USERS[1]}"] }} }},
]
"""


class TestSshCertificates:
    def authority(self, served: Service) -> Device:
        return served.world.organisation("cars.example").identity("ssh-ca._service")

    def query(self, authority: Device, *principals: str, account: str = "deploy", seconds: float = 3600) -> str:
        user = SshKey.from_spki(Credential.generate(NAME, now=0.0).spki)
        now = time.time()
        signer = authority.credential.signer
        line = make(user, signer, principals=principals, valid_after=now, valid_before=now + seconds)
        kind, text = line.split(" ")
        return urlencode({"account": account, "type": kind, "key": text})

    def test_sh_15_a_ca_is_believed_for_the_names_it_may_sign_for(self, tmp_path: Path) -> None:
        async def scenario(served: Service) -> None:
            authority = self.authority(served)
            key = SshKey.from_spki(authority.credential.spki).to_text()
            async with served.client() as client:

                async def answer(query: str) -> str:
                    reply = await client.ask(f"/ssh/authorized-keys?{query}")
                    assert reply.status == 200
                    return reply.body.decode()

                line = f'cert-authority,principals="{USERS[0]}",no-pty {key} {USERS[0]}\n'
                assert await answer(self.query(authority, USERS[0])) == line
                assert await answer(self.query(authority, "somebody", USERS[2], USERS[0])) == line
                assert await answer(self.query(authority, USERS[0], account=USERS[0])) == line
                authority.revoke()
                served.server.fronts["nginx"].door.authenticator.forget(ClientName.parse(AUTHORITY))
                assert await answer(self.query(authority, USERS[0])) == ""

        run(tmp_path, CERTIFICATES.replace('"b*b", ', ""), scenario)

    def test_sh_16_others_are_not_and_cost_no_lookup(self, tmp_path: Path) -> None:
        async def scenario(served: Service) -> None:
            authority = self.authority(served)
            stranger = served.world.organisation("cars.example").identity("mallory._user")
            good = self.query(authority, USERS[0])
            broken = parse_qs(good)["key"][0]
            octets = bytearray(b64decode(broken))
            octets[-3] ^= 1
            async with served.client() as client:
                for query in (
                    self.query(authority, USERS[2]),
                    self.query(authority, "deploy"),
                    self.query(authority, USERS[0].upper()),
                    self.query(authority, USERS[0], account="root"),
                    self.query(authority, USERS[0], seconds=86_401),
                    good.replace(quote(broken, safe=""), quote(b64encode(octets).decode(), safe="")),
                ):
                    reply = await client.ask(f"/ssh/authorized-keys?{query}")
                    assert (reply.status, reply.body) == (200, b"")
                assert [query for query in served.world.queries if query.rdtype == "TLSA"] == []
                reply = await client.ask(f"/ssh/authorized-keys?{self.query(stranger, USERS[0])}")
                assert reply.body == b""
            assert served.decisions[-1].reason is Reason.TLSA_MISMATCH
            assert served.decisions[-1].name == AUTHORITY

        run(tmp_path, CERTIFICATES.replace('"b*b", ', ""), scenario)

    def test_sh_16_a_grant_that_is_wrong_grants_nothing(self, tmp_path: Path) -> None:
        async def scenario(served: Service) -> None:
            authority = self.authority(served)
            async with served.client() as client:
                reply = await client.ask(f"/ssh/authorized-keys?{self.query(authority, USERS[0])}")
            assert reply.body == b""

        run(tmp_path, CERTIFICATES, scenario)


class TestHostFingerprints:
    HOST = "host.cars.example"

    ACCESS = f'[door."{DOOR}"]\nallow = ["**.cars.example", "_2222._tcp.{HOST}"]\n'
    KEY = SshKey.from_spki(Credential.generate(NAME, now=0.0).spki)

    async def answer(self, client: Client, key: SshKey, host: str = HOST) -> tuple[int, str]:
        told = {"host": host, "type": key.kind, "key": b64encode(key.blob).decode(), "why": "HOSTNAME"}
        reply = await client.ask(f"/ssh/known-hosts?{urlencode(told)}")
        return reply.status, reply.body.decode()

    def publish(self, served: Service, label: str, *records: SSHFP) -> None:
        texts = [f"SSHFP {record.to_text()}" for record in records]
        served.world.organisation("cars.example").publish(label, *texts)

    def test_sh_13_a_secure_record_of_the_name_counts(self, tmp_path: Path) -> None:
        async def scenario(served: Service, client: Client) -> None:
            key = self.KEY
            self.publish(served, "host", SSHFP(4, 2, bytes(32)), SSHFP.of(key.kind, key.blob))
            assert await self.answer(client, key) == (200, f"{self.HOST} {key.to_text()}\n")
            assert await self.answer(client, key, f"[{self.HOST}]:2222") == (
                200,
                f"[{self.HOST}]:2222 {key.to_text()}\n",
            )
            other = SshKey.from_spki(Credential.generate(NAME, now=0.0).spki)
            assert await self.answer(client, other) == (200, "")
            verdicts = [(decision.verdict, decision.reason) for decision in served.decisions]
            assert verdicts[0] == (Verdict.ADMITTED, None)
            assert served.decisions[0].record.startswith("SSHFP 3 2 ")
            assert verdicts[-1] == (Verdict.REFUSED, Reason.TLSA_MISMATCH)

        run(tmp_path, self.ACCESS, with_client(scenario))

    def test_sh_13_nothing_else_counts(self, tmp_path: Path) -> None:
        async def scenario(served: Service, client: Client) -> None:
            key = self.KEY
            right = SSHFP.of(key.kind, key.blob)
            self.publish(served, "one", SSHFP(right.algorithm, 1, sha1(key.blob).digest()))
            self.publish(served, "*.wild", right)
            self.publish(served, "silent", right)
            served.world.fault("silent.cars.example", Fault.SERVFAIL)
            for host, status, reason in (
                ("one.cars.example", 200, Reason.TLSA_UNUSABLE),
                ("a.wild.cars.example", 200, Reason.WILDCARD_KEY),
                ("nobody.cars.example", 200, Reason.NO_TLSA),
                ("silent.cars.example", 503, Reason.DNS_FAILED),
                ("host.elsewhere.example", 200, Reason.NOT_PERMITTED),
            ):
                assert await self.answer(client, key, host) == (status, ""), host
                assert served.decisions[-1].reason is reason, host

        run(tmp_path, self.ACCESS, with_client(scenario))

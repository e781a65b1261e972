"""A new device gets its name: a one-time token, a key that never leaves the device, and a record in the DNS."""

import time
import tomllib

import stage
import uvicorn

import dnsbound
from dnsbound.adapters.est import EnrolmentApplication
from dnsbound.adapters.est_door import EnrolmentAuthenticator
from dnsbound.adapters.est_publication import ServersOfZones
from dnsbound.adapters.est_service import EnrolmentService
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.credential.keys import KeyAlgorithm, generate_private_key
from dnsbound.credential.signer import LocalSigner
from dnsbound.edge.enrolment_client import AskAgain, EnrolmentServer, Given, Operation
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.publish.targets import Targets, parse_targets

NAME = dnsbound.ClientName.parse("car77._device.cars.example")


def targets(at: stage.Stage) -> Targets:
    text = f'["cars.example"]\nto = "rfc2136"\nkey_file = "cars.key"\nserver = "{at.world.authority_address}"\n'
    return parse_targets(tomllib.loads(text + f'servers = ["{at.world.authority_address}"]\n'), at.files)


def server(at: stage.Stage, inventory: Inventory) -> uvicorn.Config:
    resolver, zones = at.world.resolver(), targets(at)
    door = EnrolmentAuthenticator(inventory, resolver)
    service = EnrolmentService(
        inventory,
        issuer=CertificateAuthority.create("enrolment", now=time.time()),
        elsewhere=[zone.zone for zone in zones.values()],
        clock=time.time,
    )
    application = EnrolmentApplication(
        service, authenticator=door, publication=ServersOfZones(inventory, zones, resolver)
    )
    context = dnsbound.Context.server(
        dnsbound.load_credential(at.files / "server.pem"),
        authenticator=door,
        policy="optional",  # a new device has no name yet
        ask="always",  # but may have a key it was made with
        claim_from=["extension"],
    )
    return uvicorn.Config(
        application.asgi(), loop="dnsbound:loop_factory", ssl_context_factory=lambda *_: context, log_level="error"
    )


def publish(at: stage.Stage, inventory: Inventory) -> None:
    """What `dnsbound run` does: the DNS shows what the inventory holds."""
    for record in inventory.identities.named(NAME).records:
        at.world.organisation("cars.example").publish(NAME.text, f"TLSA {record.rdata}", ttl=record.ttl)


def enrol(at: stage.Stage, inventory: Inventory, port: int, token: str) -> dnsbound.Credential:
    context = dnsbound.Context.client()
    context.load_verify_locations(at.files / "web-root.pem")
    key = generate_private_key(KeyAlgorithm.P256)  # on the device, where it stays
    asked = EnrolmentServer.parse(f"https://localhost:{port}", context)
    answer: Given | AskAgain = AskAgain(seconds=0, words="")
    while isinstance(answer, AskAgain):
        answer = asked.ask(Operation.ENROL, LocalSigner(key), NAME, token=token)
        if isinstance(answer, AskAgain):
            print("not yet:", answer.words)
            publish(at, inventory)
    assert answer.certificate is not None
    return dnsbound.Credential(NAME, key, (answer.certificate,))


def main(at: stage.Stage) -> None:
    with Inventory.open(at.files / "inventory.db", create=True) as inventory, stage.listening() as (listener, port):
        permission, token = inventory.permissions.issue_token(NAME, now=time.time(), actor="operations")
        running = uvicorn.Server(server(at, inventory))
        with stage.on_a_thread(lambda: running.run(sockets=[listener]), lambda: setattr(running, "should_exit", True)):
            credential = enrol(at, inventory, port, token)
            print(credential.name, "is enrolled by permission", permission.number)
        record = inventory.identities.named(NAME).records[0].rdata
        print("its record is", "its own" if record == credential.tlsa().to_text() else "another's")


if __name__ == "__main__":
    with stage.stage() as at:
        main(at)

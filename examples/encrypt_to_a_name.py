"""Encrypting to a name, signed first: whoever knows the name can write to it, and it knows who wrote.

The receiver's key is looked up in the DNS, and so is the sender's; neither ever met the other.
"""

import asyncio

import stage

import dnsbound
from dnsbound.credential.encryption_keys import DecryptionKey
from dnsbound.edge.recipient_keys import RecipientKeys
from dnsbound.objects import cose
from dnsbound.objects.jose import sealed

RECEIVER = "report.gov.example"


async def main() -> None:
    with stage.stage() as at:
        gov = at.world.organisation("gov.example")
        key = DecryptionKey.generate(gov.identity("report").name)
        gov.publish("report", key.record)
        resolver = at.world.resolver()

        # The car, which knows the receiver's name.
        credential = dnsbound.load_credential(at.files / "car54.pem")
        recipient = await RecipientKeys(resolver).of(RECEIVER)
        token = sealed.seal(b"position 48.137 11.575", credential, [recipient])

        # The receiver, which knows whom to expect.
        verifier = dnsbound.ObjectVerifier.expecting(["*._device.cars.example"], resolver)
        verified = await verifier.verify(sealed.open_sealed(token, key))
        print(f"{verified.name} says {verified.payload.decode()}")

        # The same for a device that counts octets.
        octets = cose.seal(b"48.137 11.575", credential.as_raw_key(), [recipient])
        verified = await verifier.verify(cose.open_sealed(octets, key))
        print(f"{len(octets)} octets from {verified.name}")
        await resolver.aclose()


asyncio.run(main())

"""A car signs a report by its DNS name; somebody who never met it verifies the report by looking the name up."""

import time

import dnsbound
from dnsbound.objects import jose
from dnsbound.testing import World

AUDIENCE = "gov.example"


def main() -> None:
    with World() as world:
        cars = world.organisation("cars.example")
        car = cars.device("car54").credential
        mallory = cars.device("mallory").credential

        # The car: its own key, its own name. What it signs can go any way: mail, MQTT, a memory card.
        token = jose.sign_jwt({"aud": AUDIENCE, "km": 12}, car, now=time.time(), lifetime=86_400, typ="route+jwt")

        # The receiver: who may sign, and whose records are asked. No certificate, no key, no account of the car's.
        verifier = dnsbound.ObjectVerifier.expecting(["*._device.cars.example"], world.resolver())
        signed = jose.parse_jwt(token, now=time.time(), audience=AUDIENCE, typ="route+jwt")
        verified = verifier.verify_blocking(signed)
        print(f"{verified.name} drove {verified.content.members['km']} km")

        # Mallory has a name and a key too. What counts is who signed, not what the report says.
        forged = jose.sign(b'{"from":"car54._device.cars.example"}', mallory)
        only_car54 = dnsbound.ObjectVerifier.expecting(["car54._device.cars.example"], world.resolver())
        try:
            only_car54.verify_blocking(jose.parse(forged, typ=None))
        except dnsbound.Refused as refusal:
            print(f"mallory: {refusal.reason}")


if __name__ == "__main__":
    main()

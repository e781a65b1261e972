"""A car signs a mail message with its DNS name; the receiver looks the name up. For people it is the mailbox."""

import time

import dnsbound
from dnsbound.objects.cms import smime
from dnsbound.testing import World

MESSAGE = b"""From: Car 54 <alarm@car54._device.cars.example>
To: gov@gov.example
Subject: report

Twelve kilometres.
"""


def main() -> None:
    with World() as world:
        car = world.organisation("cars.example").device("car54").credential
        mail = smime.sign(MESSAGE, car, now=time.time())

        # A mailbox of a person is expected in the same way: "hugh@cars.example". Its records are SMIMEA.
        verifier = dnsbound.ObjectVerifier.expecting(["car54._device.cars.example"], world.resolver())
        verified = verifier.verify_blocking(smime.parse(mail).signed)
        print(f"{verified.name} wrote: {verified.payload.decode().strip()}")

        try:
            verifier.verify_blocking(smime.parse(mail.replace(b"Twelve", b"Eleven")).signed)
        except dnsbound.Refused as refusal:
            print(f"on the way somebody changed it: {refusal.reason}")


if __name__ == "__main__":
    main()

"""What to do about each reason: the sentence an operator gets beside the word."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dnsbound.errors import Reason

REMEDY: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.NO_CREDENTIAL: "let the client present a certificate or a raw public key",
        Reason.NO_NAME: "let the client send dane_clientid, or let the door accept the certificate's SAN",
        Reason.EMPTY_NAME: "the client sent dane_clientid without a name: configure its name",
        Reason.AMBIGUOUS_NAME: "let the certificate show exactly one dNSName, or let the client send dane_clientid",
        Reason.BAD_NAME: "use letters, digits, hyphen and underscore, at least two labels, no final dot",
        Reason.NO_POSSESSION: "let the front that terminates TLS vouch for the client's key",
        Reason.NOT_PERMITTED: "put the name on the access list of the door, or say it by `--from`, if it belongs there",
        Reason.NOT_LINKED: "grant the address to the name in the access list: the grant `jid`",
        Reason.KEY_REUSED: "the client needs a key of its own for that use: one that is not the one in its record",
        Reason.NO_TLSA: "publish the record (`dnsbound record`), or leave it: the identity may have been revoked",
        Reason.TLSA_UNUSABLE: "publish a record that verifiers can use, such as `3 1 1`",
        Reason.TLSA_MISMATCH: "publish the record of the key in use (`dnsbound record`), or look who uses another key",
        Reason.NAME_NOT_IN_CERTIFICATE: "issue the certificate with the name as dNSName, or publish `3 1 1`",
        Reason.CHAIN_INVALID: "renew the certificate, or let the client send its whole chain",
        Reason.WILDCARD_KEY: "publish one record for each name instead of a wildcard",
        Reason.INSECURE: "sign the zone and give its DS to the parent (`dnsbound zone ds`)",
        Reason.BAD_CHAIN: "export the chain again (`dnsbound chain export`); these octets are no chain",
        Reason.BAD_SIGNATURE: "get the object again from its signer: this is not what the key signed",
        Reason.NO_KEY: "let the signer put its key into the object (`jwk`, `x5c`), or publish `3 1 0`",
        Reason.STALE: "check both clocks; let the signer sign anew, for a time that holds",
        Reason.WRONG_AUDIENCE: "let the signer name this receiver; an object for another is not taken",
        Reason.WRONG_RECIPIENT: "use the key of the name that the message is for, or let it be encrypted to this one",
        Reason.NOT_OPENED: "let the sender encrypt to the key that is published now, and look whether this is its file",
        Reason.NO_ENCRYPTION_KEY: "let the name's owner publish a key to encrypt to (`dnsbound key encryption`)",
        Reason.CONTENT_MISMATCH: "get the content again from its signer: this is not what was signed",
        Reason.STREAM_BROKEN: "get the stream again from its signer; if it came live, somebody is on the way",
        Reason.INCOMPLETE: "get the rest of the content, then verify again",
        Reason.REPLAYED: "nothing, if it came twice; otherwise look who else has the key, or who lost count",
        Reason.OUT_OF_SEQUENCE: "let the signer go on from the number that was taken last (`--from-sequence`)",
        Reason.FORKED: "look for a second device with this key, or one that was set back to an older state",
        Reason.BOGUS: "check the zone's signatures and DS (`dnsbound explain`), the clock, and the resolver",
        Reason.INDETERMINATE: "check the trust anchors and what the resolver answers (`dnsbound doctor`)",
        Reason.DNS_FAILED: "check that the resolver can be reached (`dnsbound doctor`), then try again",
        Reason.LOOKUP_BUDGET: "try again later; if it persists, look for a client that guesses names",
        Reason.WORK_BUDGET: "look at the zone: validating it costs more than is spent on one answer",
        Reason.EVIDENCE_TOO_OLD: "let the client carry a younger chain (`dnsbound chain export`), or raise max_age",
        Reason.CLOCK: "set the clock; if the remembered time is wrong, remove its file",
    }
)

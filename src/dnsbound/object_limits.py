"""Limits of signed and encrypted objects: what is read of them, how long they count; reports, receipts, archives.

They are kept apart from `dnsbound.limits` for length alone; the rules are the same.
"""

from typing import Final

from dnsbound.budget import Limit

ATTESTED_KEYS: Final = Limit("attested-keys", 64, 1, 1024, "keys of a kind in one statement about an XMPP address")
ATTESTATION_SECONDS: Final = Limit(
    "attestation-seconds", 2_592_000, 60, 2_592_000, "how long a statement about keys of an XMPP address may hold"
)
ATTESTATIONS: Final = Limit(
    "attestations", 10_000, 1, 1_000_000, "statements about XMPP addresses kept at once, or waiting for the DNS"
)
PUBLISHED_KEYS: Final = Limit(
    "published-keys", 8, 1, 64, "keys published in full that are tried on a signature which brings none along"
)
OBJECT_OCTETS: Final = Limit(
    "object-octets", 1_048_576, 1024, 1_073_741_824, "octets of a signed or encrypted object that is read in one piece"
)
OBJECT_HEADER_OCTETS: Final = Limit(
    "object-header-octets", 32_768, 1024, 1_048_576, "octets of its header; an ML-DSA-87 certificate takes 14,000"
)
OBJECT_SIGNATURES: Final = Limit("object-signatures", 8, 1, 64, "signatures of one object in general JSON form")
OBJECT_SKEW_SECONDS: Final = Limit(
    "object-skew-seconds",
    120,
    0,
    3600,
    "RFC 7519 section 4.1.4: how far apart a signer's and a verifier's clock may be",
)
REPORT_OCTETS: Final = Limit("report-octets", 262_144, 1024, 16_777_216, "octets of one signed report as it is sent")
REPORT_AUDIENCES: Final = Limit("report-audiences", 16, 1, 256, "RFC 7519 section 4.1.3: receivers one report names")
REPORT_SECONDS: Final = Limit("report-seconds", 86_400, 60, 31_622_400, "from the making of a report to its end (exp)")
REPORT_SECONDS_TAKEN: Final = Limit(
    "report-seconds-taken",
    604_800,
    60,
    31_622_400,
    "longest life of a report a receiver takes; replays are kept so long",
)
REPORT_GAP: Final = Limit(
    "report-gap", 1_000_000, 1, 1_000_000_000, "sequence numbers one report may leave out; above it nothing follows it"
)
REPORTS_AT_ONCE: Final = Limit("reports-at-once", 256, 1, 100_000, "reports of one receiver that are being judged")
REPORT_BATCH: Final = Limit("report-batch", 256, 1, 10_000, "reports that one transaction of a receiver writes")
REPORT_CHAINS: Final = Limit("report-chains", 10_000, 1, 1_000_000, "names whose DNSSEC chains a receiver has at hand")
OUTBOX_REPORTS: Final = Limit(
    "outbox-reports", 100_000, 1, 10_000_000, "reports a sender keeps that have no receipt yet"
)
QUARANTINE_PER_SIGNER: Final = Limit(
    "quarantine-per-signer",
    256,
    1,
    1_000_000,
    "reports in quarantine that name one signer and come with one kind of key",
)
QUARANTINE_REPORTS: Final = Limit("quarantine-reports", 100_000, 1, 100_000_000, "reports in quarantine together")
QUARANTINE_OCTETS: Final = Limit(
    "quarantine-octets", 1_073_741_824, 1_048_576, 1_099_511_627_776, "octets of the reports in quarantine together"
)
RECEIPT_OCTETS: Final = Limit("receipt-octets", 65_536, 1024, 1_048_576, "octets of one signed receipt")
ARCHIVE_OCTETS: Final = Limit(
    "archive-octets", 25_165_824, 65_536, 67_108_864, "octets of an archived report with its receipt and chains"
)
CBOR_DEPTH: Final = Limit("cbor-depth", 16, 4, 64, "maps, arrays and tags in each other in one CBOR item")
CBOR_ITEMS: Final = Limit("cbor-items", 4096, 64, 1_000_000, "parts of one CBOR item")
ENCRYPTED_RECIPIENTS: Final = Limit(
    "encrypted-recipients", 64, 1, 4096, "recipients of one encrypted message; each may cost a key agreement"
)
ATTACHED_OCTETS: Final = Limit(
    "attached-octets",
    1_048_576,
    1024,
    16_777_216,
    "octets that travel inside their signature; more stay outside",
)
SIGNATURE_FILE_OCTETS: Final = Limit(
    "signature-file-octets", 8_388_608, 65_536, 67_108_864, "octets of one file with a signature; not of what it covers"
)
MANIFEST_OCTETS: Final = Limit("manifest-octets", 4_194_304, 4096, 33_554_432, "octets of one manifest of digests")
MANIFEST_FILES: Final = Limit("manifest-files", 20_000, 1, 200_000, "files of one manifest")
MANIFEST_PATH_OCTETS: Final = Limit("manifest-path-octets", 1024, 255, 4096, "octets of one path in a manifest")
CHUNK_OCTETS: Final = Limit(
    "chunk-octets", 1_048_576, 65_536, 1_073_741_824, "octets of one chunk; larger files get larger ones"
)
CHUNKS: Final = Limit("chunks", 32_768, 1, 262_144, "chunks of one file: above it they double in size")
SEGMENT_OCTETS: Final = Limit("segment-octets", 4_194_304, 1024, 16_777_216, "octets of one segment of a live stream")
SEGMENT_SECONDS: Final = Limit("segment-seconds", 2, 1, 3600, "how long a segment waits for more before it is signed")
SEGMENT_RECORD_OCTETS: Final = Limit(
    "segment-record-octets", 65_536, 4096, 262_144, "octets of the signed record of one segment"
)
CHECKPOINT_OCTETS: Final = Limit(
    "checkpoint-octets", 33_554_432, 65_536, 268_435_456, "octets of what an interrupted signing left that are read"
)
ENCRYPTED_FILE_OCTETS: Final = Limit(
    "encrypted-file-octets",
    67_108_864,
    1024,
    1_073_741_824,
    "octets of a file that is encrypted: neither JWE nor COSE can be read in parts, so memory holds it several times",
)
GIT_OBJECT_OCTETS: Final = Limit("git-object-octets", 1 << 20, 4096, 1 << 26, "of a commit or tag; files are not in it")
GIT_SIGNERS: Final = Limit("git-signers", 64, 1, 4096, "names of a door that are looked up to find whose a key is")
GIT_PUSHED: Final = Limit("git-pushed", 10_000, 1, 1_000_000, "commits and tags of one push that are judged")
CMS_OCTETS: Final = Limit(
    "cms-octets",
    67_108_864,
    65_536,
    1_073_741_824,
    "octets of one CMS or S/MIME message, which is held in memory whole",
)
CMS_ELEMENTS: Final = Limit(
    "cms-elements", 65_536, 1024, 16_777_216, "elements of a CMS message in BER, pieces of its content among them"
)
CMS_CERTIFICATES: Final = Limit("cms-certificates", 32, 1, 1024, "certificates that a CMS message brings along")
CMS_ATTRIBUTES: Final = Limit("cms-attributes", 32, 4, 1024, "signed attributes of one CMS signature")
PKIX_CD_LEVELS: Final = Limit("pkix-cd-levels", 5, 1, 16, "authorities that are fetched for one certificate of PKIX-CD")
PKIX_CD_OCTETS: Final = Limit("pkix-cd-octets", 65_536, 4096, 1_048_576, "of one file with an authority")

"""Every limit of the package by name. What a limit is, and the Budget spent from one, is `dnsbound.budget`."""

from typing import Final

from dnsbound.budget import Budget, Limit

__all__ = ["Budget", "Limit"]

SIGNATURE_CHECKS: Final = Limit(
    "signature-checks", 128, 8, 4096, "CVE-2023-50387 (KeyTrap): bounded verifications for one answer"
)
DNS_QUERIES: Final = Limit("dns-queries", 64, 8, 1024, "queries one lookup may cause, alias targets included")
ALIASES: Final = Limit("aliases", 8, 1, 16, "CNAME and DNAME links followed in one answer; Unbound follows 11")
KEYS_PER_TAG: Final = Limit(
    "keys-per-tag", 4, 1, 16, "CVE-2023-50387: DNSKEYs of one tag and algorithm tried per RRSIG"
)
SIGNATURES_PER_RRSET: Final = Limit("signatures-per-rrset", 8, 1, 64, "CVE-2023-50387: RRSIGs tried per RRset")
NSEC3_ITERATIONS: Final = Limit(
    "nsec3-iterations", 100, 0, 150, "RFC 9276 section 3.2; above it the zone is treated as insecure"
)
NSEC3_HASHES: Final = Limit(
    "nsec3-hashes", 1024, 64, 65536, "CVE-2023-50868: hash computations for one answer, iterations counted"
)
CHAIN_OCTETS: Final = Limit(
    "chain-octets", 32_768, 1024, 65_533, "octets of a DNSSEC chain that is built; RFC 9102 section 2.3 allows 65,533"
)
CARRIED_OCTETS: Final = Limit("carried-octets", 16_384, 512, 65_533, "octets of a chain a peer carries that are read")
CARRIED_RECORDS: Final = Limit("carried-records", 128, 8, 1024, "records of a chain a peer carries that are read")
CARRIED_SIGNATURES: Final = Limit(
    "carried-signatures",
    48,
    8,
    1024,
    "signature checks for a chain a peer carries; each zone of an honest one costs two",
)
CARRIED_SECONDS: Final = Limit(
    "carried-seconds",
    604_800,
    60,
    31_622_400,
    "age up to which carried evidence is believed, whatever its signatures say",
)
PIN_SECONDS: Final = Limit(
    "pin-seconds", 2_592_000, 0, 235_926_000, "RFC 9102 section 7: how long a server is held to its promise of a chain"
)
SERVER_PINS: Final = Limit("server-pins", 10_000, 1, 1_000_000, "servers that one store of pins remembers")
TLSA_RECORDS: Final = Limit("tlsa-records", 64, 1, 1024, "records of one RRset that are looked at")
PEER_CERTIFICATES: Final = Limit("peer-certificates", 10, 1, 32, "certificates of one presented chain")
EVIDENCE_CACHE: Final = Limit("evidence-cache", 100_000, 16, 10_000_000, "entries of the cache of DNS evidence")
POSITIVE_TTL: Final = Limit("positive-ttl", 3600, 0, 86_400, "seconds; cap on how long a secure answer is reused")
NEGATIVE_TTL: Final = Limit("negative-ttl", 60, 0, 3600, "seconds; cap on how long a proven denial is reused")
HANDSHAKE_SECONDS: Final = Limit("handshake-seconds", 15, 1, 300, "from the connection to the verdict")
HANDSHAKES_AT_ONCE: Final = Limit("handshakes-at-once", 1024, 1, 1_000_000, "unfinished handshakes of one listener")
HANDSHAKES_PER_SOURCE: Final = Limit(
    "handshakes-per-source", 256, 1, 1_000_000, "unfinished handshakes of one /24 or /56 at once"
)
LOOKUPS_PER_SOURCE: Final = Limit(
    "lookups-per-source", 60, 1, 1_000_000, "per minute: lookups by pattern or alias one address may cause"
)
LOOKUPS_PER_ZONE: Final = Limit(
    "lookups-per-zone", 600, 1, 10_000_000, "per minute: lookups by pattern or alias below one zone"
)
SIGNATURE_SECONDS: Final = Limit(
    "signature-seconds", 3600, 60, 86_400, "validity of an online signature; bounds the replay of a removed record"
)
SIGNATURE_CACHE: Final = Limit("signature-cache", 20_000, 16, 10_000_000, "RRSIG sets kept, denials and answers apart")
SIGNATURES_PER_PREFIX: Final = Limit(
    "signatures-per-prefix", 100, 1, 1_000_000, "per second: fresh signatures one /24 or /56 may cause over UDP"
)
SIGNATURES_OVER_UDP: Final = Limit(
    "signatures-over-udp", 2000, 1, 10_000_000, "per second: fresh signatures all UDP sources may cause together"
)
SIGNING_PREFIXES: Final = Limit("signing-prefixes", 10_000, 1, 10_000_000, "source prefixes remembered at once")
DNS_CONNECTIONS: Final = Limit("dns-connections", 256, 1, 100_000, "stream connections of one DNS server at once")
DNS_CONNECTIONS_PER_SOURCE: Final = Limit(
    "dns-connections-per-source", 64, 1, 100_000, "RFC 7766 section 6.2.2: stream connections of one /24 or /56 at once"
)
DNS_IDLE_SECONDS: Final = Limit("dns-idle-seconds", 10, 1, 600, "RFC 7766 section 6.2.3: idle stream connections")
DNS_ANSWERS_AT_ONCE: Final = Limit("dns-answers-at-once", 1024, 1, 100_000, "answers of one DNS server in the making")
DNS_UDP_PAYLOAD: Final = Limit("dns-udp-payload", 1232, 512, 4096, "RFC 9715: octets of a UDP message unfragmented")
INVENTORY_BUSY_SECONDS: Final = Limit(
    "inventory-busy-seconds", 30, 1, 600, "how long a writer waits for the inventory's write lock"
)
INVENTORY_TEXT: Final = Limit("inventory-text", 1024, 0, 1024, "characters of a reason, an owner or an actor")
TAG_LENGTH: Final = Limit("tag-length", 64, 1, 64, "characters of a tag of an identity")
TAGS_PER_IDENTITY: Final = Limit("tags-per-identity", 64, 0, 64, "tags of one identity")
RECORD_TTL: Final = Limit(
    "record-ttl", 300, 0, 604_800, "seconds; how long a removed identity may live on in caches (ARCH Availability)"
)
LEASE_SECONDS: Final = Limit(
    "lease-seconds", 2_592_000, 60, 315_576_000, "from the start of a lease to its end: a minute to ten years"
)
RECORDS_PER_NAME: Final = Limit("records-per-name", 64, 1, 1024, "records of one type at one name in the inventory")
PUBLISH_BATCH: Final = Limit(
    "publish-batch", 500, 1, 2000, "names of one update; the message has 65,535 octets at most"
)
PUBLISH_IN_FLIGHT: Final = Limit("publish-in-flight", 4, 1, 64, "updates sent before the first of them is answered")
PUBLISH_SECONDS: Final = Limit("publish-seconds", 10, 1, 600, "how long a primary may take for one update or answer")
PUBLISH_ANSWER_OCTETS: Final = Limit(
    "publish-answer-octets", 1_048_576, 1024, 1_073_741_824, "octets of one answer of an HTTP API that are read"
)
PUBLISH_ATTEMPTS: Final = Limit("publish-attempts", 4, 1, 100, "how often an update is sent before it stays undecided")
PUBLISH_REMOVALS: Final = Limit(
    "publish-removals", 100, 0, 10_000_000, "names that may lose all records in one run; or a tenth of those published"
)
PUBLISH_CLAIM_SECONDS: Final = Limit(
    "publish-claim-seconds", 90, 1, 3600, "how long names belong to one publisher; then another takes them over"
)
PUBLISH_AFTER_SECONDS: Final = Limit("publish-after-seconds", 60, 1, 3600, "for the command behind a new zone file")
QUERIES_IN_FLIGHT: Final = Limit("queries-in-flight", 256, 1, 10_000, "questions a primary is asked before it answers")
ADOPTED_ROW_OCTETS: Final = Limit(
    "adopted-row-octets", 262_144, 1024, 16_777_216, "octets of one row of what is adopted: a line, block or element"
)
ADOPTED_FILES: Final = Limit("adopted-files", 5_000_000, 1, 100_000_000, "files of the directories of one adoption")
ADOPTED_DEPTH: Final = Limit("adopted-depth", 16, 1, 128, "directories below each other that an adoption goes down")
ADOPTED_ROWS: Final = Limit("adopted-rows", 100_000_000, 1, 1_000_000_000, "rows of one adoption")
ADOPTED_COLUMNS: Final = Limit("adopted-columns", 256, 1, 16_384, "columns of a table that is adopted")
ADOPTION_BATCH: Final = Limit(
    "adoption-batch", 1000, 1, 10_000, "identities of one transaction: others who write wait so long"
)
ADOPTION_LISTED: Final = Limit("adoption-listed", 20, 0, 1_000_000, "rows of each kind that a plan shows to people")
BACKUP_OCTETS: Final = Limit(
    "backup-octets", 17_179_869_184, 65_536, 17_592_186_044_416, "of a backup that is restored, once it is unpacked"
)
TRANSFER_SECONDS: Final = Limit(
    "transfer-seconds", 2_592_000, 60, 315_576_000, "how long both names of a transfer are valid: a minute to ten years"
)
EARLY_OCTETS: Final = Limit(
    "early-octets", 65_536, 16_384, 1_048_576, "ciphertext kept of a client whose verdict is still awaited"
)
LINGER_SECONDS: Final = Limit(
    "linger-seconds", 5, 1, 60, "how long a closed connection waits for its peer to go, so that no reset loses our end"
)
LINGER_OCTETS: Final = Limit("linger-octets", 16_777_216, 0, 1_073_741_824, "octets thrown away while lingering")
WARNING_SECONDS: Final = Limit(
    "warning-seconds", 600, 1, 86_400, "between two warnings of the same kind about the same peer"
)
WARNED_SUBJECTS: Final = Limit("warned-subjects", 64, 1, 100_000, "peers that are warned of by name at once")
SWEEP_SECONDS: Final = Limit("sweep-seconds", 5, 1, 3600, "longest time between two looks at the live sessions")
TICKET_KEY_SECONDS: Final = Limit(
    "ticket-key-seconds", 3600, 1, 604_800, "RFC 9325 section 3.4: how long one key seals session tickets"
)
RECHECKS_AT_ONCE: Final = Limit("rechecks-at-once", 64, 1, 10_000, "live sessions asked about at the same time")
PATH_STEPS: Final = Limit(
    "path-steps", 64, 8, 4096, "steps and signature checks while certification paths are searched for one client"
)
LOOKUP_SOURCES: Final = Limit(
    "lookup-sources", 65_536, 16, 10_000_000, "sources and zones whose lookups are counted at the same time"
)
LIVE_SESSIONS: Final = Limit("live-sessions", 1_000_000, 1, 100_000_000, "sessions one door keeps account of")
BOARD_SEEN: Final = Limit(
    "board-seen", 100_000, 1, 10_000_000, "clients of doors without connections that a board remembers"
)
BOARD_ROWS: Final = Limit("board-rows", 1000, 1, 100_000, "clients that one answer of a board names")
BOARD_QUESTIONS: Final = Limit("board-questions", 8, 1, 256, "questions that a board answers at the same time")
ACCESS_EDIT_OCTETS: Final = Limit(
    "access-edit-octets", 4_194_304, 1024, 67_108_864, "octets of an access list that is edited in place"
)
BOARD_LINE_OCTETS: Final = Limit("board-line-octets", 65_536, 1024, 1_048_576, "one line of what boards say and hear")
PATTERN_LITERAL_LABELS: Final = Limit(
    "pattern-literal-labels", 2, 1, 127, "literal labels an access pattern ends in at least"
)
ZONE_CACHE: Final = Limit("zone-cache", 65_536, 16, 10_000_000, "names whose records the authority remembers")
DNS_QUERY_OCTETS: Final = Limit("dns-query-octets", 4096, 512, 65_535, "octets of a query an authority reads")
AUTHENTICATOR_OCTETS: Final = Limit(
    "authenticator-octets", 65_536, 4096, 1_048_576, "octets of one exported authenticator or request (RFC 9261)"
)
AUTHENTICATOR_CONTEXTS: Final = Limit(
    "authenticator-contexts", 256, 1, 65_536, "RFC 9261 section 7.4: contexts one connection remembers, used ones too"
)
AUTHENTICATOR_SECONDS: Final = Limit(
    "authenticator-seconds", 60, 1, 3600, "how long a request for an exported authenticator waits for its answer"
)
MESSAGE_EXTENSIONS: Final = Limit(
    "message-extensions", 64, 8, 1024, "extensions of one handshake message that is parsed here"
)
LATE_IDENTITIES: Final = Limit(
    "late-identities", 16, 1, 1024, "names verified by exported authenticators on one connection at a time"
)
DATAGRAM_OCTETS: Final = Limit(
    "datagram-octets", 1200, 256, 4096, "UDP payload that crosses every path unfragmented, as QUIC assumes (RFC 9000)"
)
DATAGRAM_QUEUE: Final = Limit("datagram-queue", 64, 1, 65_536, "messages of one association kept until they are read")
DATAGRAM_ASSOCIATIONS: Final = Limit(
    "datagram-associations", 100_000, 1, 10_000_000, "associations of one datagram server at once"
)
DATAGRAM_ASSOCIATIONS_PER_SOURCE: Final = Limit(
    "datagram-associations-per-source", 1024, 1, 10_000_000, "associations of one /24 or /56 at once"
)
DATAGRAM_IDLE_SECONDS: Final = Limit(
    "datagram-idle-seconds", 600, 1, 604_800, "an association nobody was heard on for so long is closed"
)
COOKIE_SECONDS: Final = Limit("cookie-seconds", 60, 5, 3600, "how long a key makes cookies; it verifies as long again")
RETRANSMIT_FIRST: Final = Limit(
    "retransmit-first", 1000, 20, 60_000, "milliseconds, RFC 6347 section 4.2.4.1; RFC 7925 section 11 asks for 9000"
)
RETRANSMIT_LONGEST: Final = Limit("retransmit-longest", 60_000, 20, 60_000, "milliseconds, RFC 6347 section 4.2.4.1")
ENROLMENT_REQUEST_OCTETS: Final = Limit(
    "enrolment-request-octets", 32_768, 4096, 1_048_576, "octets of a request for enrolment; ML-DSA-87 needs 12,000"
)
ENROLMENT_BODY_SECONDS: Final = Limit("enrolment-body-seconds", 10, 1, 300, "how long a request's body may take")
ENROLMENT_SECONDS: Final = Limit(
    "enrolment-seconds", 3600, 60, 315_360_000, "how long a token, or a key that is expected, may be used"
)
ENROLMENT_FAILURES: Final = Limit(
    "enrolment-failures", 10, 1, 1_000_000, "per minute: tokens and keys that nobody expects, from one source"
)
ENROLMENT_REQUESTS: Final = Limit(
    "enrolment-requests", 600, 1, 1_000_000, "per minute: requests for enrolment from one source; a factory is one"
)
ENROLMENTS_AT_ONCE: Final = Limit("enrolments-at-once", 64, 1, 10_000, "requests for enrolment in the making")
ENROLMENT_RETRY_SECONDS: Final = Limit(
    "enrolment-retry-seconds", 5, 1, 86_400, "RFC 7030 section 4.2.3: Retry-After while a record is not served yet"
)
RENEWAL_RETRY_SECONDS: Final = Limit(
    "renewal-retry-seconds", 60, 1, 86_400, "Retry-After while a device is to use its former key; a roll takes two TTLs"
)
ENROLMENT_ANSWER_OCTETS: Final = Limit(
    "enrolment-answer-octets", 262_144, 4096, 1_048_576, "octets of an enrolment server's answer that are read"
)
NAMESERVER_ADDRESSES: Final = Limit(
    "nameserver-addresses", 64, 1, 1024, "addresses of one zone's authoritative servers that are asked"
)
OBSERVED_AT_ONCE: Final = Limit(
    "observed-at-once",
    2048,
    1,
    65_536,
    "questions to authoritative servers under way; never over an eighth of RLIMIT_NOFILE",
)
OBSERVED_PER_SECOND: Final = Limit(
    "observed-per-second", 2000, 1, 1_000_000, "questions one authoritative server is asked per second"
)
RUNNER_SECONDS: Final = Limit(
    "runner-seconds", 15, 1, 3600, "longest time between two looks of a runner at what other processes added"
)
RUNNER_ROWS: Final = Limit("runner-rows", 2000, 1, 100_000, "rows one mover works on before it is another's turn")
WORKERS: Final = Limit(
    "workers", 0, 0, 256, "processes of one service, 0 for one per processor; one octet names a conversation's worker"
)
WORKER_DEATHS: Final = Limit(
    "worker-deaths", 8, 0, 1000, "deaths of one worker within a minute before the whole service gives up"
)
WORKER_SILENCE_SECONDS: Final = Limit(
    "worker-silence-seconds", 30, 2, 3600, "a worker whose event loop does not turn for so long is killed"
)
WORKER_START_SECONDS: Final = Limit(
    "worker-start-seconds", 60, 1, 3600, "how long a new worker may take until it serves"
)
WORKER_DRAIN_SECONDS: Final = Limit(
    "worker-drain-seconds", 10, 0, 3600, "how long a worker that was asked to end may take"
)
EXCHANGE_WAITING: Final = Limit(
    "exchange-waiting",
    512,
    16,
    1_000_000,
    "requests that one worker may have with another at once",
)
EXCHANGE_SECONDS: Final = Limit(
    "exchange-seconds", 15, 1, 300, "how long a worker waits for another's answer; a DNS lookup may be behind it"
)
EXCHANGE_OCTETS: Final = Limit(
    "exchange-octets", 16_384, 4096, 65_535, "octets of a request, or of an answer, between workers"
)
SNAPSHOT_OCTETS: Final = Limit(
    "snapshot-octets", 262_144, 1024, 16_777_216, "octets that a worker process says of itself at a time, for metrics"
)
QUIC_CONNECTIONS: Final = Limit("quic-connections", 10_000, 1, 10_000_000, "connections of one QUIC server at once")
QUIC_CONNECTIONS_PER_SOURCE: Final = Limit(
    "quic-connections-per-source", 1024, 1, 10_000_000, "QUIC connections of one /24 or /56 at once"
)
QUIC_IDLE_SECONDS: Final = Limit(
    "quic-idle-seconds", 60, 1, 3600, "RFC 9000 section 10.1: a connection nobody was heard on for so long is over"
)
QUIC_STREAMS: Final = Limit("quic-streams", 16, 1, 1024, "streams a peer may have open at once, after the verdict")
QUIC_STREAM_OCTETS: Final = Limit(
    "quic-stream-octets", 65_536, 1024, 16_777_216, "octets of a stream a peer may send ahead of the reader"
)
QUIC_CONNECTION_OCTETS: Final = Limit(
    "quic-connection-octets", 262_144, 1024, 67_108_864, "the same for all streams of a connection together"
)
QUIC_CRYPTO_OCTETS: Final = Limit(
    "quic-crypto-octets", 65_536, 4096, 131_072, "handshake octets of one level; RFC 9000 section 7.5 asks for 4096"
)
QUIC_CRYPTO_HOLES: Final = Limit(
    "quic-crypto-holes",
    64,
    16,
    1024,
    "pieces of one level's handshake kept behind a hole: each costs work for each frame",
)
QUIC_STREAM_HOLES: Final = Limit(
    "quic-stream-holes", 256, 64, 4096, "the same of one stream; RFC 9000 section 21.7: fragments are an attack"
)
QUIC_EARLY_OCTETS: Final = Limit(
    "quic-early-octets", 262_144, 65_536, 16_777_216, "octets of datagrams a QUIC client may send before its verdict"
)
STRANGER_HASHES: Final = Limit(
    "stranger-hashes",
    1_000_000,
    1000,
    1_000_000_000,
    "NSEC3 hashes computed, iterations counted, to ask only for names not denied yet; the last of n takes about n * n",
)
RADIUS_SECRET_OCTETS: Final = Limit(
    "radius-secret-octets", 16, 1, 1024, "RFC 2865 section 3: a shared secret's shortest length that resists guessing"
)
RADIUS_SESSION_SECONDS: Final = Limit(
    "radius-session-seconds", 3600, 60, 2_592_000, "Session-Timeout of a network that says none, and its floor"
)
RADIUS_TUNNEL_TAG: Final = Limit(
    "radius-tunnel-tag", 0, 0, 31, "RFC 2868 section 3.1: groups the attributes of a VLAN; 0 is none"
)
RADIUS_IN_FLIGHT: Final = Limit(
    "radius-in-flight", 2048, 1, 1_000_000, "requests of one worker that wait for the DNS or for a signature"
)
RADIUS_RECEIVE_OCTETS: Final = Limit(
    "radius-receive-octets", 4_194_304, 65_536, 268_435_456, "SO_RCVBUF: a second of requests waits, when they burst"
)
EAP_CONVERSATIONS: Final = Limit(
    "eap-conversations", 4096, 1, 1_000_000, "EAP conversations of one worker at once; each may hold 75 KiB of TLS"
)
EAP_CONVERSATIONS_PER_STATION: Final = Limit(
    "eap-conversations-per-station", 4, 1, 1_000_000, "of one Calling-Station-Id at one NAS; a supplicant has one"
)
EAP_CONVERSATION_SECONDS: Final = Limit(
    "eap-conversation-seconds", 60, 5, 600, "from identity to verdict; hostapd gives up after 30, FreeRADIUS after 60"
)
EAP_FRAGMENT_OCTETS: Final = Limit(
    "eap-fragment-octets", 1024, 100, 3500, "RFC 3579 section 2.4: an EAP packet fits Framed-MTU, and RADIUS 4096"
)
TICKET_SECONDS: Final = Limit(
    "ticket-seconds", 0, 0, 604_800, "RFC 9846 section 4.7.1: a ticket lives seven days at most; 0 sends none"
)
RADIUS_OCTETS: Final = Limit("radius-octets", 4096, 4096, 4096, "RFC 2865 section 3: octets of a RADIUS packet")
RADIUS_ATTRIBUTES: Final = Limit(
    "radius-attributes", 255, 64, 2038, "attributes of one RADIUS packet; FreeRADIUS reads 200, and none in use has 100"
)
RADIUS_DUPLICATES: Final = Limit(
    "radius-duplicates", 32_768, 256, 1_000_000, "requests of one process remembered, with their answers"
)
RADIUS_DUPLICATE_SECONDS: Final = Limit(
    "radius-duplicate-seconds", 30, 5, 60, "RFC 5080 section 2.2.2: an answer is kept 5 to 30 seconds for repetitions"
)
EAP_TLS_MESSAGE_OCTETS: Final = Limit(
    "eap-tls-message-octets",
    32_768,
    4096,
    65_536,
    "RFC 5216 section 2.1.5 allows 64 KiB; four ML-DSA-65 certificates and their signatures fit half of it",
)
EAP_ROUND_TRIPS: Final = Limit(
    "eap-round-trips",
    400,
    20,
    2000,
    "requests of one conversation; RFC 9191 section 1: most access points end it after 40 to 50",
)
EAP_IDENTITY_OCTETS: Final = Limit(
    "eap-identity-octets", 253, 72, 1015, "RFC 7542 section 2.3: what fits the User-Name of RADIUS"
)
RADIUS_WATCHDOG_SECONDS: Final = Limit(
    "radius-watchdog-seconds", 30, 6, 3600, "RFC 3539 section 3.4.1: silence after which a RADIUS peer is asked"
)
RADIUS_CONNECTIONS: Final = Limit("radius-connections", 1024, 1, 100_000, "RADIUS/TLS connections of one server")
RADIUS_CONNECTIONS_PER_CLIENT: Final = Limit(
    "radius-connections-per-client", 64, 1, 100_000, "RADIUS/TLS connections or associations of one name at once"
)
RADIUS_REQUESTS_PER_CONNECTION: Final = Limit(
    "radius-requests-per-connection", 256, 1, 256, "requests answered at once of one connection: its identifiers"
)
RADIUS_CONNECTION_IDLE_SECONDS: Final = Limit(
    "radius-connection-idle-seconds", 600, 1, 604_800, "a RADIUS/TLS connection nobody was heard on so long is closed"
)
RADIUS_SOURCE_PORTS: Final = Limit(
    "radius-source-ports", 16, 1, 1024, "UDP ports a client asks one server from: each has 256 identifiers"
)
ACCOUNTING_QUEUE: Final = Limit(
    "accounting-queue",
    10_000,
    16,
    1_000_000,
    "reports of one worker that wait to be written; more are not acknowledged",
)
ACCOUNTING_BATCH: Final = Limit("accounting-batch", 500, 1, 10_000, "entries of one transaction of accounting")
ACCOUNTING_KEPT: Final = Limit(
    "accounting-kept", 200_000, 16, 10_000_000, "admissions and their ends that wait for a database that is down"
)
ACCOUNTING_RETRY_SECONDS: Final = Limit(
    "accounting-retry-seconds", 2, 1, 300, "between two tries at an accounting database that is down"
)
SESSION_SLACK_SECONDS: Final = Limit(
    "session-slack-seconds", 600, 0, 86_400, "how long after its Session-Timeout a network session is still counted"
)
DISCONNECTS_AT_ONCE: Final = Limit("disconnects-at-once", 64, 1, 10_000, "network sessions ended at the same time")
DISCONNECT_ATTEMPTS: Final = Limit(
    "disconnect-attempts", 8, 1, 1000, "how often an access server is asked to end one session; four minutes in all"
)
SDP_OCTETS: Final = Limit("sdp-octets", 65_536, 1024, 1_048_576, "one session description of a WebRTC peer")

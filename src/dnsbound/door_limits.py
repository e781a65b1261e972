"""Limits of the doors beside other people's servers: the verify service, the gate, and what they speak.

They are kept apart from `dnsbound.limits` for length alone; the rules are the same.
"""

from typing import Final

from dnsbound.budget import Limit

SMTP_COMMAND_OCTETS: Final = Limit(
    "smtp-command-octets", 2048, 512, 12_288, "RFC 5321 section 4.5.3.1.4: 512 with CRLF; parameters of extensions add"
)
SMTP_REPLY_OCTETS: Final = Limit("smtp-reply-octets", 16_384, 512, 65_536, "octets of one reply of a mail server")
SMTP_HELD_OCTETS: Final = Limit(
    "smtp-held-octets", 65_536, 4096, 1_048_576, "octets of a client that wait for a reply of the mail server"
)
SMTP_PIPELINED: Final = Limit(
    "smtp-pipelined", 256, 1, 10_000, "RFC 2920: commands of a client that no reply has come for yet"
)
SMTP_CLEAR_COMMANDS: Final = Limit("smtp-clear-commands", 16, 4, 256, "commands of a client before STARTTLS")
SASL_ATTEMPTS: Final = Limit("sasl-attempts", 3, 1, 16, "RFC 6120 section 6.4.5: how often a client may try to log in")
SIP_HEADER_OCTETS: Final = Limit("sip-header-octets", 16_384, 1024, 65_536, "octets of one SIP message before its body")
SIP_HEADERS: Final = Limit("sip-headers", 128, 16, 1024, "header fields of one SIP message")
SIP_BODY_OCTETS: Final = Limit(
    "sip-body-octets", 1_048_576, 0, 67_108_864, "octets of the body of one SIP message; they are not kept"
)
XMPP_NEGOTIATION_OCTETS: Final = Limit(
    "xmpp-negotiation-octets",
    16_384,
    4096,
    262_144,
    "octets of one side until SASL is done; RFC 6120 section 13.12 wants 10,000 for a stanza",
)
XMPP_NEGOTIATION_DEPTH: Final = Limit("xmpp-negotiation-depth", 8, 4, 64, "elements in each other before SASL is done")
FRONT_JSON_OCTETS: Final = Limit("front-json-octets", 131_072, 1024, 1_048_576, "of one JSON question of a front")
FRONT_WORD_CHARACTERS: Final = Limit("front-word-characters", 256, 64, 4096, "of a word for the log in a question")
FRONT_FORM_FIELDS: Final = Limit("front-form-fields", 64, 8, 1024, "fields of a form or a query of a front")
POLICY_REQUEST_OCTETS: Final = Limit("policy-request-octets", 65_536, 4096, 1_048_576, "of one request of Postfix")
POLICY_ATTRIBUTES: Final = Limit("policy-attributes", 128, 32, 1024, "Postfix 3.7 sends 29 attributes in a request")
POLICY_IDLE_SECONDS: Final = Limit(
    "policy-idle-seconds",
    1200,
    1,
    86_400,
    "Postfix itself ends a connection after smtpd_policy_service_max_ttl, 1000 s",
)
GRPC_IDLE_SECONDS: Final = Limit(
    "grpc-idle-seconds", 3600, 1, 604_800, "of a front's HTTP/2 connection; Envoy keeps one for each of its threads"
)
GRPC_STREAMS: Final = Limit("grpc-streams", 1024, 1, 100_000, "questions of one gRPC connection at the same time")
SSH_KEY_OCTETS: Final = Limit("ssh-key-octets", 4096, 512, 16_384, "RSA of 16384 bits is 2071 octets (RFC 4253 6.6)")
SSHSIG_OCTETS: Final = Limit("sshsig-octets", 16_384, 1024, 65_536, "PROTOCOL.sshsig: twice RSA of 16384 bits")
SSH_CERTIFICATE_OCTETS: Final = Limit("ssh-certificate-octets", 8192, 1024, 65_536, "PROTOCOL.certkeys: of one")
SSH_PRINCIPALS: Final = Limit("ssh-principals", 64, 1, 256, "of one certificate; OpenSSH writes 256 at most")
SSH_CERTIFICATE_SECONDS: Final = Limit(
    "ssh-certificate-seconds", 86_400, 60, 31_622_400, "that a certificate lasts: nobody can take one back"
)
SSH_LOOKUPS_PER_ACCOUNT: Final = Limit(
    "ssh-lookups-per-account", 256, 16, 100_000, "per minute: lookups that attempts to log in to one account may cause"
)
SSH_AGENT_OCTETS: Final = Limit("ssh-agent-octets", 262_144, 4096, 1 << 20, "draft-ietf-sshm-ssh-agent 3: OpenSSH's")
SSH_AGENT_CONNECTIONS: Final = Limit("ssh-agent-connections", 64, 1, 4096, "to one SSH agent at the same time")
SSH_ACCOUNTS: Final = Limit("ssh-accounts", 4096, 16, 1_000_000, "accounts whose lookups are counted")
SSH_ACCOUNT_NAMES: Final = Limit(
    "ssh-account-names", 64, 1, 4096, "names whose grants name one account: each may be looked up at a login"
)
MATERIAL_NAMES: Final = Limit("material-names", 10_000, 1, 1_000_000, "names that one materialiser looks up")
MATERIAL_AT_ONCE: Final = Limit("material-at-once", 16, 1, 1024, "lookups of one materialiser at the same time")
MATERIAL_SECONDS: Final = Limit(
    "material-seconds", 300, 1, 86_400, "after which a materialiser asks about each name again at the latest"
)
MATERIAL_RETRY_SECONDS: Final = Limit(
    "material-retry-seconds", 10, 1, 3600, "after which a materialiser asks again what nobody could answer"
)
MATERIAL_GRACE_SECONDS: Final = Limit(
    "material-grace-seconds", 0, 0, 604_800, "how long a file outlives its evidence while the DNS cannot be asked"
)
MATERIAL_HOOK_SECONDS: Final = Limit(
    "material-hook-seconds", 30, 1, 600, "after which the command that follows a change is ended"
)
FRONT_CONNECTIONS: Final = Limit(
    "front-connections", 1024, 1, 1_000_000, "connections of one front at once; nginx keeps one for each it needs"
)
FRONT_HEADER_OCTETS: Final = Limit(
    "front-header-octets",
    65_536,
    8192,
    1_048_576,
    "octets of a request's head: a chain of ML-DSA certificates in URL-escaped PEM, and the client's own fields",
)
FRONT_BODY_OCTETS: Final = Limit(
    "front-body-octets", 131_072, 1024, 1_048_576, "octets of a request's body: ten certificates in PEM"
)
FRONT_REQUEST_SECONDS: Final = Limit(
    "front-request-seconds", 10, 1, 300, "from a request's first octet to its last: fronts are near, and quick"
)
FRONT_IDLE_SECONDS: Final = Limit(
    "front-idle-seconds", 120, 1, 86_400, "of a kept connection between two requests; nginx closes after 60 by itself"
)
FRONT_SECRET_CHARACTERS: Final = Limit(
    "front-secret-characters",
    22,
    22,
    512,
    "of a front's secret: 22 of base64 hold 128 bits, and so do 32 of hexadecimal",
)
FRONT_DRAIN_SECONDS: Final = Limit(
    "front-drain-seconds", 5, 0, 300, "how long questions that were asked may take when the service ends"
)
PROXY_HEADER_OCTETS: Final = Limit(
    "proxy-header-octets", 8192, 536, 65_551, "a PROXY header; one that hands a certificate on has some kilobytes"
)
GATE_CONNECTIONS: Final = Limit("gate-connections", 20_000, 1, 10_000_000, "connections of one gate and worker at once")
GATE_CONNECTIONS_PER_NAME: Final = Limit(
    "gate-connections-per-name", 256, 1, 10_000_000, "connections of one client name at one gate and worker"
)
GATE_RATE_PER_NAME: Final = Limit(
    "gate-rate-per-name", 600, 1, 10_000_000, "new connections of one client name a minute, at one gate and worker"
)
GATE_NAMES_RATED: Final = Limit("gate-names-rated", 100_000, 16, 10_000_000, "names whose rate a gate remembers")
GATE_BUFFER_OCTETS: Final = Limit(
    "gate-buffer-octets", 65_536, 4096, 16_777_216, "octets that wait for a slow reader before its sender has to wait"
)
GATE_CONNECT_SECONDS: Final = Limit("gate-connect-seconds", 10, 1, 300, "how long a back end may take to accept")
GATE_IDLE_SECONDS: Final = Limit(
    "gate-idle-seconds", 0, 0, 2_592_000, "silence in both directions that ends a gated connection; 0 is no end"
)
GATE_CLOSE_SECONDS: Final = Limit(
    "gate-close-seconds", 60, 0, 86_400, "silence that ends a gated connection one side of which has ended"
)
GATE_LIFETIME_SECONDS: Final = Limit(
    "gate-lifetime-seconds", 0, 0, 31_536_000, "how long a gated connection may last; 0 is no end"
)
GATE_SHUTDOWN_SECONDS: Final = Limit(
    "gate-shutdown-seconds", 300, 0, 3_500, "how long a gate that ends waits for its connections"
)
GATE_CLEAR_OCTETS: Final = Limit(
    "gate-clear-octets", 65_536, 512, 1_048_576, "octets a client may say in clear before TLS begins"
)
GATE_RELOAD_SECONDS: Final = Limit(
    "gate-reload-seconds", 300, 1, 604_800, "between two readings of a gate's files without being asked"
)
IDENTITY_GRANTS_OCTETS: Final = Limit(
    "identity-grants-octets",
    4096,
    4096,
    4096,
    "octets of Dnsbound-Grants; nginx and Node take 8 to 16 KiB of fields in all",
)
MQTT_PACKET_OCTETS: Final = Limit(
    "mqtt-packet-octets",
    131_072,
    4096,
    1_048_576,
    "octets of an MQTT packet that is held whole; a will and a password have 65,535 each",
)
MQTT_MESSAGE_OCTETS: Final = Limit(
    "mqtt-message-octets", 16_777_216, 1024, 268_435_455, "MQTT 5.0 section 1.5.5: octets of a PUBLISH passed through"
)
MQTT_CLIENT_ID_OCTETS: Final = Limit(
    "mqtt-client-id-octets", 512, 64, 4096, "MQTT 5.0 section 3.1.3.1: servers take 23 octets at least"
)
MQTT_TOPIC_ALIASES: Final = Limit(
    "mqtt-topic-aliases", 32, 0, 1024, "MQTT 5.0 section 3.3.2.3.4: topics of up to 64 KiB kept for a connection"
)
MQTT_UNANSWERED: Final = Limit(
    "mqtt-unanswered", 1024, 16, 65_535, "refused parts of SUBSCRIBE and PUBLISH exchanges kept for a connection"
)
MQTT_TOPIC_WORK: Final = Limit(
    "mqtt-topic-work", 65_536, 1024, 1_048_576, "levels compared for one topic against all granted filters"
)
HTTP_HEAD_OCTETS: Final = Limit(
    "http-head-octets", 32_768, 4096, 262_144, "octets of an HTTP message before its content; nginx takes 32 KiB"
)
HTTP_FIELDS: Final = Limit("http-fields", 128, 32, 1024, "header fields of one HTTP request; Apache httpd takes 100")
HTTP_PIPELINED: Final = Limit(
    "http-pipelined", 16, 1, 1024, "RFC 9112 section 9.3.2: requests of a connection that no answer has come to yet"
)
LORAWAN_MESSAGE_OCTETS: Final = Limit(
    "lorawan-message-octets", 65_536, 4096, 131_072, "one message between servers of LoRaWAN; a frame has 255 octets"
)
LORAWAN_PENDING: Final = Limit(
    "lorawan-pending", 10_000, 1, 1_000_000, "requests of one server that wait for an answer"
)

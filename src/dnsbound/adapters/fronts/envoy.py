"""Envoy before HTTP (`envoy`) and before any TCP service (`envoy-tcp`): `ext_authz` asks the verify service.

Seen with 1.40.0: every certificate comes in that the DNS vouches for, with the chain that the client sent
(x-forwarded-client-cert). The configuration is YAML; values in it are JSON strings, which YAML reads.
"""

import re
from typing import Final

from dnsbound.adapters.fronts import asking, quoting
from dnsbound.adapters.fronts.snippet import Address, ConfigFile, Facts, OverUnix, Settings, Snippet, Version, heading

XFCC: Final = "x-forwarded-client-cert"

HTTP_FACTS: Final = Facts(
    server="envoy",
    title="Envoy",
    program="envoy",
    version_arguments=("--version",),
    version_pattern=re.compile(r"/(\d+\.\d+\.\d+)/"),
    least=Version((1, 30, 0)),
    tried=Version((1, 40, 0)),
    front_options=(f'certificate_field = "{XFCC}"',),
    users=("envoy",),
    works=("every certificate, expired ones too", "chains, usage 2", "HTTP/1.1, HTTP/2", "TLS 1.2, TLS 1.3"),
    limits=("raw public keys",),
)

TCP_FACTS: Final = Facts(
    server="envoy-tcp",
    title="Envoy before a TCP service",
    program="envoy",
    version_arguments=("--version",),
    version_pattern=HTTP_FACTS.version_pattern,
    least=Version((1, 40, 0)),
    tried=HTTP_FACTS.tried,
    protocol="envoy-grpc",
    users=("envoy",),
    listen=":8883",
    backend="127.0.0.1:1883",
    works=("every certificate, expired ones too", "TLS 1.2, TLS 1.3"),
    limits=(
        "services that speak first: the question is asked when the client has spoken",
        "telling the back end who the client is",
        "records of usage 2, since Envoy tells the leaf certificate alone in this protocol",
        "raw public keys",
        "cutting a live connection when a record goes; the gate does that",
    ),
)

_LISTENER: Final = """\

static_resources:
  listeners:
  - name: dnsbound_{word}
    address: {{socket_address: {{address: {host}, port_value: {port}}}}}
    filter_chains:
    - transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          # An empty validation_context asks for no certificate at all, and ACCEPT_UNTRUSTED without trusted_ca lets
          # clients without one in, both in silence and whatever the next line says. Any certificate will do for
          # trusted_ca; clients are told its name, and those that look for a certificate of that maker find none.
          require_client_certificate: true
          # A session that is not resumed cannot outlive a record.
          disable_stateless_session_resumption: true
          disable_stateful_session_resumption: true
          common_tls_context:
            alpn_protocols: {alpn}
            tls_params:
              tls_minimum_protocol_version: TLSv1_2
              tls_maximum_protocol_version: TLSv1_3
              # Without ed25519 in this list, clients with such keys send no certificate, in silence.
              signature_algorithms:
              - ecdsa_secp256r1_sha256
              - ecdsa_secp384r1_sha384
              - rsa_pss_rsae_sha256
              - rsa_pss_rsae_sha384
              - ed25519
              - rsa_pkcs1_sha256
            tls_certificates:
            - certificate_chain: {{filename: {certificate}}}
              private_key: {{filename: {key}}}
            validation_context:
              trust_chain_verification: ACCEPT_UNTRUSTED
              trusted_ca: {{filename: {certificate}}}
"""

_HTTP: Final = """\
      filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: dnsbound_{word}
          use_remote_address: true
          # The client's copy goes; this connection's takes its place.
          forward_client_cert_details: SANITIZE_SET
          set_current_client_cert_details: {{cert: true, chain: true}}
          common_http_protocol_options: {{headers_with_underscores_action: DROP_HEADER}}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              # Where the back end is no proxy of yours, it need not see certificates.
              request_headers_to_remove: [{xfcc}]
              routes:
              - match: {{prefix: "/"}}
                route: {{cluster: dnsbound_{word}_back}}
          http_filters:
          # Removes every field that tells who a client is, in any spelling, before the next filter sets those fields.
          - name: dnsbound_fields
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
              default_source_code:
                inline_string: |
                  local function identifies(name)
                    local spelling = name:lower():gsub("[^a-z0-9]", "-"):gsub("^-+", ""):gsub("-+$", "")
                    return spelling:find("^dnsbound") ~= nil or spelling == "client-cert"
                      or spelling == "client-cert-chain" or spelling == "x-client-cert"
                      or spelling == "x-client-verify" or spelling:find("^x%-ssl%-") ~= nil
                      or spelling:find("^ssl%-") ~= nil
                      or (spelling == "{xfcc}" and name ~= "{xfcc}")
                  end
                  function envoy_on_request(handle)
                    local found = {{}}
                    for name, _ in pairs(handle:headers()) do
                      if identifies(name) then
                        found[#found + 1] = name
                      end
                    end
                    for _, name in ipairs(found) do
                      handle:headers():remove(name)
                    end
                    -- Whom the service counts this client's lookups for.
                    local address = handle:streamInfo():downstreamDirectRemoteAddress()
                    handle:headers():replace("{source}", address:match("^%[?([^%]]*)%]?:%d+$") or "")
                  end
          - name: dnsbound
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
              transport_api_version: V3
              # Without an answer nobody comes in.
              failure_mode_allow: false
              http_service:
                server_uri: {{uri: "http://dnsbound", cluster: dnsbound_{word}_verify, timeout: 10s}}
                path_prefix: {path}
{secret}\
                authorization_response:
                  allowed_upstream_headers:
                    patterns:
{told}\
                  # Not why: without this list a client would be told all of the service's answer.
                  allowed_client_headers: {{patterns: [{{exact: www-authenticate}}]}}
              allowed_headers: {{patterns: [{{exact: {xfcc}}}, {{exact: {source}}}]}}
          - name: router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
"""

_TCP: Final = """\
      filters:
      - name: dnsbound
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.ext_authz.v3.ExtAuthz
          stat_prefix: dnsbound_{word}
          transport_api_version: V3
          # Without an answer nobody comes in.
          failure_mode_allow: false
          include_peer_certificate: true
          grpc_service:
            envoy_grpc: {{cluster_name: dnsbound_{word}_verify}}
            timeout: 10s
{secret}\
      - name: tcp
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: dnsbound_{word}
          cluster: dnsbound_{word}_back
          # The question is asked when the client's first octets are there. Without these lines Envoy would reach the
          # back end before, and hand a greeting of it to clients that are then denied.
          upstream_connect_mode: ON_DOWNSTREAM_DATA
          max_early_data_bytes: 65536
"""

_CLUSTERS: Final = """\
  clusters:
  - name: dnsbound_{word}_verify
    connect_timeout: 2s
    type: STATIC
{http2}\
    load_assignment:
      cluster_name: dnsbound_{word}_verify
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {verifier}}}}}]}}]
  - name: dnsbound_{word}_back
    connect_timeout: 5s
    type: {back_type}
    load_assignment:
      cluster_name: dnsbound_{word}_back
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {backend}}}}}]}}]
"""

_HTTP2: Final = """\
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
"""

_AUTHORIZATION: Final = """\
                authorization_request:
                  headers_to_add: [{{key: authorization, value: {value}}}]
"""

_METADATA: Final = """\
            initial_metadata: [{{key: authorization, value: {value}}}]
"""


def http_files(settings: Settings) -> tuple[ConfigFile, ...]:
    """One file, which holds the secret where there is one: Envoy's configuration includes no others."""
    value = asking.bearer(settings)
    filters = _HTTP.format(
        word=_word(settings),
        xfcc=XFCC,
        source=asking.SOURCE.lower(),
        path=asking.PATH,
        secret="" if value is None else _AUTHORIZATION.format(value=quoting.json_text(value, "the secret")),
        told="".join(f"                    - exact: {field.lower()}\n" for field in asking.IDENTITY),
    )
    return _files(settings, HTTP_FACTS, alpn="[h2, http/1.1]", filters=filters, http2="")


def tcp_files(settings: Settings) -> tuple[ConfigFile, ...]:
    """The same for connections of any protocol."""
    value = asking.bearer(settings)
    secret = "" if value is None else _METADATA.format(value=quoting.json_text(value, "the secret"))
    filters = _TCP.format(word=_word(settings), secret=secret)
    return _files(settings, TCP_FACTS, alpn="[]", filters=filters, http2=_HTTP2)


def _files(settings: Settings, facts: Facts, *, alpn: str, filters: str, http2: str) -> tuple[ConfigFile, ...]:
    name = f"dnsbound-{settings.label}.yaml"
    listener = _LISTENER.format(
        word=_word(settings),
        host=quoting.json_text(settings.listen.host or "::", "the address"),
        port=settings.listen.port,
        alpn=alpn,
        certificate=quoting.json_text(str(settings.certificate), "the certificate"),
        key=quoting.json_text(str(settings.key), "the key"),
    )
    clusters = _CLUSTERS.format(
        word=_word(settings),
        http2=http2,
        verifier=_verifier(settings),
        back_type="STATIC" if settings.backend.is_ip else "STRICT_DNS",
        backend=_address(settings.backend),
    )
    whole = heading(facts, settings) + listener + filters + clusters
    secret = asking.bearer(settings) is not None
    return (ConfigFile(name=name, text=whole, place=f"/etc/envoy/{name}", secret=secret),)


def _word(settings: Settings) -> str:
    return settings.label.replace("-", "_")


def _verifier(settings: Settings) -> str:
    if isinstance(settings.verifier, OverUnix):
        return f"{{pipe: {{path: {quoting.json_text(str(settings.verifier.path), 'the socket')}}}}}"
    return _address(settings.verifier.address)


def _address(address: Address) -> str:
    host = quoting.json_text(address.host or "127.0.0.1", "the address")
    return f"{{socket_address: {{address: {host}, port_value: {address.port}}}}}"


SNIPPET: Final = Snippet(facts=HTTP_FACTS, files=http_files)
TCP_SNIPPET: Final = Snippet(facts=TCP_FACTS, files=tcp_files)

"""HAProxy, before HTTP (`haproxy`) and before any TCP service (`haproxy-tcp`): Lua asks the verify service.

Seen with 2.6.12: every certificate comes in that the DNS vouches for, whatever its dates and purposes, and with the
chain that the client sent, so that records of usage 2 match too. A TCP back end learns the name from the unique id (TLV
0x05) of the PROXY protocol's second version.
"""

import re
from pathlib import PurePosixPath
from typing import Final

from dnsbound.adapters.fronts import quoting
from dnsbound.adapters.fronts.asking import bearer
from dnsbound.adapters.fronts.snippet import ConfigFile, Facts, OverUnix, Settings, Snippet, Version, heading

_VERSION: Final = re.compile(r"HAProxy version (\d+\.\d+\.\d+)")
_LEAST: Final = Version((2, 6, 0))
_TRIED: Final = Version((2, 6, 12))
_WORKS: Final = ("every certificate, expired ones too", "chains, usage 2", "TLS 1.2, TLS 1.3")

HTTP_FACTS: Final = Facts(
    server="haproxy",
    title="HAProxy",
    program="haproxy",
    version_pattern=_VERSION,
    least=_LEAST,
    tried=_TRIED,
    users=("haproxy",),
    works=(*_WORKS, "HTTP/1.1, HTTP/2"),
    limits=("raw public keys",),
)
TCP_FACTS: Final = Facts(
    server="haproxy-tcp",
    title="HAProxy before a TCP service",
    program="haproxy",
    version_pattern=_VERSION,
    least=_LEAST,
    tried=_TRIED,
    users=("haproxy",),
    listen=":8883",
    backend="127.0.0.1:1883",
    works=(*_WORKS, "PROXY protocol 2 with the name", "servers that speak first"),
    limits=("raw public keys", "cutting a live connection when a record goes; the gate does that"),
)

_BIND: Final = """\
    # Any certificate is taken: the verify service says whose it is. HAProxy wants an authority to compare with; any
    # will do, and clients are not told of this one, so that they look for no certificate of its own. {required}
    # A session that is not resumed cannot outlive a record.
    bind {listen} ssl crt {certificate} {alpn}ssl-min-ver TLSv1.2 no-tls-tickets verify {verify} ca-verify-file \
{certificate} ca-ignore-err all crt-ignore-err all
"""

_HTTP: Final = """\

global
    lua-load-per-thread {lua}

frontend dnsbound_{word}
    mode http
    # The file holds the key too, or there is a file of its name and .key beside it.
{bind}\
    # Removes every field that tells who a client is, in any spelling, then asks, then sets those fields. Before it no
    # other rule may let a request through.
    http-request lua.dnsbound_{word}_http
    http-request deny deny_status 403 unless {{ var(txn.dnsbound_allowed) -m bool }}
    # For a log-format of yours: %[var(txn.dnsbound_name)], and in %[var(txn.dnsbound_reason)] why not.
    default_backend dnsbound_{word}

backend dnsbound_{word}
    mode http
    server back {backend}
"""

_TCP: Final = """\

global
    lua-load-per-thread {lua}

frontend dnsbound_{word}
    mode tcp
    # The file holds the key too, or there is a file of its name and .key beside it.
{bind}\
    tcp-request inspect-delay 10s
    tcp-request content lua.dnsbound_{word}_tcp
    tcp-request content reject unless {{ var(txn.dnsbound_allowed) -m bool }}
    # What the back end is told: the unique id (TLV 0x05) is the verified name. The verify result within the TLV of TLS
    # is an error of X.509 and means nothing here.
    unique-id-format %[var(txn.dnsbound_name)]
    default_backend dnsbound_{word}

backend dnsbound_{word}
    mode tcp
    # Only for a service that expects the PROXY protocol, and that nobody else reaches. Without send-proxy-v2 it is told
    # nothing.
    server back {backend} send-proxy-v2 proxy-v2-options ssl,unique-id,authority
"""

_LUA: Final = """\
-- Asks the verify service of dnsbound about a client's certificate. Loaded by {config}.

local AT = {at}
local SECRET_FILE = {secret_file}
local SECONDS = 10

local TOLD = {{ "dnsbound-name", "dnsbound-door", "dnsbound-grants", "dnsbound-valid-until" }}

-- Read when HAProxy starts, before it gives up its rights.
local authorization
if SECRET_FILE then
    local file = assert(io.open(SECRET_FILE, "r"))
    authorization = "Bearer " .. assert(file:read("l"))
    file:close()
end

-- Whether a back end could take a field for one that says who the client is: to many, any mark is a hyphen.
local function identifies(name)
    local spelling = name:lower():gsub("[^a-z0-9]", "-"):gsub("^-+", ""):gsub("-+$", "")
    return spelling:find("^dnsbound") ~= nil or spelling == "client-cert" or spelling == "client-cert-chain"
        or spelling == "x-forwarded-client-cert" or spelling == "x-client-cert" or spelling == "x-client-verify"
        or spelling:find("^x%-ssl%-") ~= nil or spelling:find("^ssl%-") ~= nil
end

-- The fields of the answer when the client may come in; nothing in every other case.
local function ask(txn)
    txn:set_var("txn.dnsbound_allowed", false)
    -- Of this connection, also when its session was resumed.
    local leaf = txn.f:ssl_c_der()
    if not leaf or #leaf == 0 then
        txn:set_var("txn.dnsbound_reason", "no-credential")
        return nil
    end
    local headers = {{ ["content-type"] = {{ "application/octet-stream" }}, ["host"] = {{ "dnsbound" }} }}
    if authorization then
        headers["authorization"] = {{ authorization }}
    end
    local answered, answer = pcall(function()
        return core.httpclient():post{{
            url = "http://dnsbound/verify?client=" .. (txn.f:src() or ""), dst = AT, headers = headers,
            body = leaf .. (txn.f:ssl_c_chain_der() or ""), timeout = SECONDS * 1000
        }}
    end)
    local told = answered and answer and answer.headers or {{}}
    if not answered or not answer or answer.status ~= 200 or not told["dnsbound-name"] then
        local reason = told["dnsbound-reason"]
        txn:set_var("txn.dnsbound_reason", reason and reason[0] or "no-answer")
        return nil
    end
    txn:set_var("txn.dnsbound_allowed", true)
    txn:set_var("txn.dnsbound_name", told["dnsbound-name"][0])
    return told
end

core.register_action("dnsbound_{word}_http", {{ "http-req" }}, function(txn)
    for name, _ in pairs(txn.http:req_get_headers()) do
        if identifies(name) then
            txn.http:req_del_header(name)
        end
    end
    local told = ask(txn)
    for _, name in ipairs(told and TOLD or {{}}) do
        if told[name] then
            txn.http:req_set_header(name, told[name][0])
        end
    end
end)

core.register_action("dnsbound_{word}_tcp", {{ "tcp-req" }}, ask)
"""


def _files(settings: Settings, facts: Facts, template: str, bind: str) -> tuple[ConfigFile, ...]:
    word = settings.label.replace("-", "_")
    name = f"dnsbound-{settings.label}.cfg"
    lua = settings.directory / f"dnsbound-{settings.label}.lua"
    secret = settings.directory / f"dnsbound-{settings.label}.secret"
    text = template.format(
        word=word,
        bind=bind,
        lua=quoting.haproxy(str(lua), "the directory"),
        backend=quoting.word(settings.backend.to_text(), "the back end"),
    )
    script = _LUA.format(config=name, word=word, at=_at(settings), secret_file=_secret_file(settings, secret))
    made = [
        ConfigFile(name=name, text=heading(facts, settings) + text, place=f"/etc/haproxy/{name}"),
        ConfigFile(name=lua.name, text=script, place=str(lua)),
    ]
    if bearer(settings) is not None:
        value = f"{bearer(settings)}".removeprefix("Bearer ")
        made.append(ConfigFile(name=secret.name, text=f"{value}\n", place=str(secret), secret=True))
    return tuple(made)


def _at(settings: Settings) -> str:
    verifier = settings.verifier
    if isinstance(verifier, OverUnix):
        return quoting.lua(f"unix@{quoting.word(str(verifier.path), 'the socket')}", "the socket")
    return quoting.lua(f"ipv4@{verifier.address.to_text()}", "the address")


def _secret_file(settings: Settings, path: PurePosixPath) -> str:
    return "nil" if bearer(settings) is None else quoting.lua(str(path), "the directory")


def _bind(settings: Settings, *, verify: str, alpn: str, required: str) -> str:
    listen = settings.listen.to_text() if settings.listen.host else f":{settings.listen.port}"
    certificate = quoting.haproxy(str(settings.certificate), "the certificate")
    return _BIND.format(listen=listen, certificate=certificate, verify=verify, alpn=alpn, required=required)


def http_files(settings: Settings) -> tuple[ConfigFile, ...]:
    """The configuration of the front end, the script, and the secret, where there is one."""
    required = "A\n    # client without a certificate is told 403; it is nobody."
    bind = _bind(settings, verify="optional", alpn="alpn h2,http/1.1 ", required=required)
    return _files(settings, HTTP_FACTS, _HTTP, bind)


def tcp_files(settings: Settings) -> tuple[ConfigFile, ...]:
    """The same for connections of any protocol."""
    bind = _bind(settings, verify="required", alpn="", required="A\n    # client without a certificate ends here.")
    return _files(settings, TCP_FACTS, _TCP, bind)


SNIPPET: Final = Snippet(facts=HTTP_FACTS, files=http_files)
TCP_SNIPPET: Final = Snippet(facts=TCP_FACTS, files=tcp_files)

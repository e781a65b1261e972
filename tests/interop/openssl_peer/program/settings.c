/* Arguments to SSL_CTX. Every option takes one value, so that a test writes pairs. */
#include "peer.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

struct settings settings = {.host = "127.0.0.1", .seconds = 15};

static const char *key_file, *chain_file;
static bool check_peer;
static int verify_mode = SSL_VERIFY_PEER;

static int accept_anything(int good, X509_STORE_CTX *store)
{
    (void)good, (void)store;
    return 1;
}

static int version(const char *text)
{
    static const struct {
        const char *name;
        int stream, datagram;
    } known[] = {{"1.0", TLS1_VERSION, DTLS1_VERSION},
                 {"1.2", TLS1_2_VERSION, DTLS1_2_VERSION},
                 {"1.3", TLS1_3_VERSION, 0}};
    for (size_t at = 0; at < sizeof known / sizeof known[0]; at++)
        if (strcmp(known[at].name, text) == 0)
            return settings.datagram ? known[at].datagram : known[at].stream;
    give_up("no version: %s", text);
}

static void must(long done, const char *name, const char *value)
{
    if (done != 1)
        give_up("--%s %s is refused", name, value);
}

static void ask(const char *value)
{
    if (strcmp(value, "no") == 0)
        verify_mode = SSL_VERIFY_NONE;
    else if (strcmp(value, "must") == 0)
        verify_mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    else if (strcmp(value, "later") == 0)
        verify_mode = SSL_VERIFY_PEER | SSL_VERIFY_POST_HANDSHAKE;
    else if (strcmp(value, "yes") != 0)
        give_up("--ask no|yes|must|later: %s", value);
}

static void certificate_types(bool own, const char *value)
{
    size_t length = 0;
    unsigned char *types = from_hex(value, &length);
    /* Own is what this side shows: the client's types for a client, the server's for a server. */
    bool clients = own != settings.server;
    must(clients ? SSL_CTX_set1_client_cert_type(settings.ctx, types, length)
                 : SSL_CTX_set1_server_cert_type(settings.ctx, types, length),
         own ? "own" : "peer", value);
    free(types);
}

static void offer_protocol(const char *value)
{
    unsigned char wire[256];
    size_t length = strlen(value);
    if (length > 255)
        give_up("--alpn is too long");
    wire[0] = (unsigned char)length;
    memcpy(wire + 1, value, length);
    if (SSL_CTX_set_alpn_protos(settings.ctx, wire, (unsigned)length + 1) != 0)
        give_up("--alpn %s is refused", value);
}

static bool take_connection_option(const char *name, const char *value)
{
    if (strcmp(name, "port") == 0)
        settings.port = (int)number(value);
    else if (strcmp(name, "host") == 0)
        settings.host = value;
    else if (strcmp(name, "sni") == 0)
        settings.sni = value;
    else if (strcmp(name, "seconds") == 0)
        settings.seconds = (int)number(value);
    else if (strcmp(name, "mtu") == 0)
        settings.mtu = number(value);
    else if (strcmp(name, "key") == 0)
        key_file = value;
    else if (strcmp(name, "chain") == 0)
        chain_file = value;
    else if (strcmp(name, "expect-key") == 0)
        settings.expect_key = value, check_peer = true;
    else if (strcmp(name, "extension") == 0)
        declare_extension(value);
    else if (strcmp(name, "send") == 0)
        send_extension(value);
    else if (strcmp(name, "ask") == 0)
        ask(value);
    else
        return false;
    return true;
}

static bool take_context_option(const char *name, const char *value)
{
    SSL_CTX *ctx = settings.ctx;
    if (strcmp(name, "min") == 0)
        must(SSL_CTX_set_min_proto_version(ctx, version(value)), name, value);
    else if (strcmp(name, "max") == 0)
        must(SSL_CTX_set_max_proto_version(ctx, version(value)), name, value);
    else if (strcmp(name, "ciphers") == 0)
        must(SSL_CTX_set_cipher_list(ctx, value), name, value);
    else if (strcmp(name, "suites") == 0)
        must(SSL_CTX_set_ciphersuites(ctx, value), name, value);
    else if (strcmp(name, "groups") == 0)
        must(SSL_CTX_set1_groups_list(ctx, value), name, value);
    else if (strcmp(name, "sigalgs") == 0)
        must(SSL_CTX_set1_sigalgs_list(ctx, value), name, value);
    else if (strcmp(name, "level") == 0)
        SSL_CTX_set_security_level(ctx, (int)number(value));
    else if (strcmp(name, "own") == 0)
        certificate_types(true, value);
    else if (strcmp(name, "peer") == 0)
        certificate_types(false, value);
    else if (strcmp(name, "trust") == 0)
        must(SSL_CTX_load_verify_file(ctx, value), name, value), check_peer = true;
    else if (strcmp(name, "tickets") == 0)
        SSL_CTX_set_num_tickets(ctx, (size_t)number(value));
    else if (strcmp(name, "alpn") == 0)
        offer_protocol(value);
    else if (strcmp(name, "ems") == 0)
        strcmp(value, "no") == 0 ? SSL_CTX_set_options(ctx, SSL_OP_NO_EXTENDED_MASTER_SECRET)
                                 : SSL_CTX_clear_options(ctx, SSL_OP_NO_EXTENDED_MASTER_SECRET);
    else if (strcmp(name, "post-handshake") == 0)
        SSL_CTX_set_post_handshake_auth(ctx, strcmp(value, "yes") == 0);
    else
        return false;
    return true;
}

/* A raw key needs no certificate: without --chain the key stands alone. */
static void load_credential(SSL_CTX *ctx)
{
    if (key_file == NULL)
        return;
    if (chain_file != NULL)
        must(SSL_CTX_use_certificate_chain_file(ctx, chain_file), "chain", chain_file);
    must(SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM), "key", key_file);
}

void read_arguments(int count, char **arguments)
{
    if (count < 3 || count % 2 == 0)
        give_up("openssl_peer client|server stream|datagram [--NAME VALUE]...");
    settings.server = strcmp(arguments[1], "server") == 0;
    settings.datagram = strcmp(arguments[2], "datagram") == 0;
    if ((!settings.server && strcmp(arguments[1], "client") != 0)
        || (!settings.datagram && strcmp(arguments[2], "stream") != 0))
        give_up("not a role: %s %s", arguments[1], arguments[2]);
    const SSL_METHOD *method = settings.datagram ? DTLS_method() : TLS_method();
    settings.ctx = checked(SSL_CTX_new(method));
    for (int at = 3; at < count; at += 2) {
        const char *name = arguments[at];
        if (strncmp(name, "--", 2) != 0
            || (!take_connection_option(name + 2, arguments[at + 1])
                && !take_context_option(name + 2, arguments[at + 1])))
            give_up("no such option: %s", name);
    }
    load_credential(settings.ctx);
    register_extensions(settings.ctx);
    watch(settings.ctx);
    if (settings.server) {
        SSL_CTX_set_session_id_context(settings.ctx, (const unsigned char *)"peer", 4);
        use_cookies(settings.ctx);
    }
    if (settings.datagram)
        SSL_CTX_set_options(settings.ctx, SSL_OP_COOKIE_EXCHANGE);
    SSL_CTX_set_verify(settings.ctx, verify_mode, check_peer ? NULL : accept_anything);
}

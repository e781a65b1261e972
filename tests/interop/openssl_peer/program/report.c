/* What happened, as one JSON object a line. All octets are hexadecimal, so nothing ever needs escaping but error texts. */
#include "peer.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

static bool first;

void forget_observed(void)
{
    for (size_t at = 0; at < observed.arrivals; at++)
        free(observed.arrived[at].octets);
    SSL_SESSION_free(observed.session);
    memset(&observed, 0, sizeof observed);
}

static void on_info(const SSL *ssl, int where, int value)
{
    (void)ssl;
    if ((where & SSL_CB_ALERT) == 0 || observed.alert_count == MAX_ALERTS)
        return;
    struct alert *one = &observed.alerts[observed.alert_count++];
    one->received = (where & SSL_CB_READ) != 0;
    one->level = value >> 8;
    one->description = value & 0xff;
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(observed.session);
    observed.session = session;
    return 1;
}

static int on_asked(SSL *ssl, void *arg)
{
    (void)ssl, (void)arg;
    observed.asked = true;
    return 1;
}

static void on_message(int writing, int version, int kind, const void *octets, size_t length, SSL *ssl, void *arg)
{
    (void)version, (void)ssl, (void)arg;
    if (!writing && kind == SSL3_RT_HANDSHAKE && length > 0 && *(const unsigned char *)octets == SSL3_MT_FINISHED)
        observed.finished_heard++;
}

void watch(SSL_CTX *ctx)
{
    SSL_CTX_set_info_callback(ctx, on_info);
    SSL_CTX_set_msg_callback(ctx, on_message);
    if (!settings.server) {
        SSL_CTX_set_cert_cb(ctx, on_asked, NULL);
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(ctx, on_session);
    }
}

static void name_of(const char *name)
{
    printf("%s\"%s\":", first ? "" : ",", name);
    first = false;
}

static void hex(const unsigned char *octets, size_t length)
{
    putchar('"');
    for (size_t at = 0; at < length; at++)
        printf("%02x", octets[at]);
    putchar('"');
}

void event_begin(const char *name)
{
    first = true;
    putchar('{');
    event_text("event", name);
}

void event_end(void)
{
    puts("}");
    fflush(stdout);
}

void event_number(const char *name, long value)
{
    name_of(name);
    printf("%ld", value);
}

void event_text(const char *name, const char *value)
{
    name_of(name);
    putchar('"');
    for (; *value; value++) {
        if (*value == '"' || *value == '\\')
            putchar('\\');
        putchar(*value < ' ' ? ' ' : *value);
    }
    putchar('"');
}

void event_octets(const char *name, const unsigned char *octets, size_t length)
{
    name_of(name);
    hex(octets, length);
}

static void event_alerts(void)
{
    for (int received = 0; received < 2; received++) {
        bool begun = false;
        name_of(received ? "alerts_received" : "alerts_sent");
        putchar('[');
        for (size_t at = 0; at < observed.alert_count; at++) {
            if (observed.alerts[at].received != (received == 1))
                continue;
            printf("%s[%d,%d]", begun ? "," : "", observed.alerts[at].level, observed.alerts[at].description);
            begun = true;
        }
        putchar(']');
    }
}

static void event_extensions(void)
{
    name_of("extensions");
    putchar('[');
    for (size_t at = 0; at < observed.arrivals; at++) {
        const struct arrived *one = &observed.arrived[at];
        printf("%s[%u,\"%s\",%zu,", at ? "," : "", one->type, place_name(one->context), one->entry);
        hex(one->octets, one->length);
        putchar(']');
    }
    putchar(']');
}

static void der(X509 *certificate)
{
    unsigned char *octets = NULL;
    int length = i2d_X509(certificate, &octets);
    hex(octets, length > 0 ? (size_t)length : 0);
    OPENSSL_free(octets);
}

/* Leaf first, for both roles: OpenSSL gives a server the chain without its leaf. */
static void event_chain(SSL *ssl)
{
    STACK_OF(X509) *rest = SSL_get_peer_cert_chain(ssl);
    X509 *leaf = SSL_get0_peer_certificate(ssl);
    bool begun = false;
    name_of("chain");
    putchar('[');
    if (leaf != NULL && SSL_is_server(ssl)) {
        der(leaf);
        begun = true;
    }
    for (int at = 0; at < sk_X509_num(rest); at++) {
        if (begun)
            putchar(',');
        der(sk_X509_value(rest, at));
        begun = true;
    }
    putchar(']');
}

static void event_raw_key(SSL *ssl)
{
    EVP_PKEY *key = SSL_get0_peer_rpk(ssl);
    unsigned char *octets = NULL;
    int length = key == NULL ? 0 : i2d_PUBKEY(key, &octets);
    event_octets("raw_key", octets, length > 0 ? (size_t)length : 0);
    OPENSSL_free(octets);
}

void report_handshake(SSL *ssl)
{
    event_begin("handshake");
    event_number("version", SSL_version(ssl));
    event_text("cipher", SSL_get_cipher_name(ssl));
    const char *group = SSL_get0_group_name(ssl);
    event_text("group", group ? group : "");
    const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    event_text("sni", sni ? sni : "");
    event_number("client_type", SSL_get_negotiated_client_cert_type(ssl));
    event_number("server_type", SSL_get_negotiated_server_cert_type(ssl));
    event_number("verify_result", SSL_get_verify_result(ssl));
    event_number("resumed", SSL_session_reused(ssl));
    event_number("extended_master_secret", SSL_get_extms_support(ssl));
    event_number("asked_for_certificate", observed.asked);
    event_chain(ssl);
    event_raw_key(ssl);
    event_extensions();
    event_alerts();
    event_end();
}

void report_failure(SSL *ssl, int result)
{
    int kind = SSL_get_error(ssl, result);
    unsigned long code = ERR_peek_error();
    char text[256] = "";
    if (code)
        ERR_error_string_n(code, text, sizeof text);
    event_begin("failed");
    event_text("kind", kind == SSL_ERROR_ZERO_RETURN  ? "closed"
                       : kind == SSL_ERROR_WANT_READ  ? "timeout"
                       : kind == SSL_ERROR_WANT_WRITE ? "timeout"
                       : kind == SSL_ERROR_SYSCALL    ? "transport"
                                                      : "error");
    event_number("reason", ERR_GET_REASON(code));
    event_text("text", text);
    event_number("verify_result", SSL_get_verify_result(ssl));
    event_extensions();
    event_alerts();
    event_end();
    ERR_clear_error();
}

void report_data(const unsigned char *octets, size_t length)
{
    event_begin("data");
    event_octets("octets", octets, length);
    event_extensions();
    event_alerts();
    event_end();
}

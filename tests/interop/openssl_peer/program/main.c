/*
 * Commands, each answered by exactly one event:
 *   accept | connect [SESSION]       a new connection and its handshake: "handshake" or "failed"
 *   read                             "data", or "failed" (closed, timeout, transport, error)
 *   write HEX                        "written"
 *   ask                              server, TLS 1.3: post-handshake CertificateRequest, until answered: "handshake"
 *   renegotiate                      TLS 1.2: "renegotiated" or "failed"
 *   update                           TLS 1.3 KeyUpdate, answer requested: "written"
 *   session                          client: the newest session, "session"
 *   export LABEL CONTEXT LENGTH      RFC 5705; LABEL and CONTEXT in hexadecimal, CONTEXT - is an empty one: "exported"
 *   close                            close_notify and the end of the socket: "closed"
 * End of input ends the program.
 */
#include "peer.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct observed observed;

static SSL *ssl;
static int listener = -1, connection = -1;

static void put_away(void)
{
    SSL_free(ssl);
    ssl = NULL;
    if (connection >= 0)
        detach(connection);
    connection = -1;
    forget_observed();
    ERR_clear_error();
}

static int driven(int (*step)(SSL *))
{
    int result;
    do
        result = step(ssl);
    while (result <= 0 && wait_until_ready(ssl, result));
    return result;
}

static void simple_event(const char *name)
{
    event_begin(name);
    event_end();
}

static void expect_key(void)
{
    if (settings.expect_key == NULL)
        return;
    BIO *file = checked(BIO_new_file(settings.expect_key, "r"));
    EVP_PKEY *key = checked(PEM_read_bio_PUBKEY(file, NULL, NULL, NULL));
    if (SSL_add_expected_rpk(ssl, key) != 1)
        give_up("--expect-key is refused");
    EVP_PKEY_free(key);
    BIO_free(file);
}

static void new_ssl(void)
{
    put_away();
    ssl = checked(SSL_new(settings.ctx));
    if (settings.mtu) {
        SSL_set_options(ssl, SSL_OP_NO_QUERY_MTU);
        SSL_set_mtu(ssl, settings.mtu);
    }
    expect_key();
}

static void on_socket(int fd)
{
    connection = fd;
    if (fd < 0)
        give_up("nobody came");
    attach(ssl, fd);
}

static void handshake(void)
{
    int result = driven(SSL_do_handshake);
    if (result == 1)
        report_handshake(ssl);
    else
        report_failure(ssl, result);
}

static void accept_one(void)
{
    new_ssl();
    if (settings.datagram) {
        connection = listener;
        if (listen_datagram(listener, ssl) == NULL)
            give_up("nobody came");
    } else {
        on_socket(accept_stream(listener));
        SSL_set_accept_state(ssl);
    }
    handshake();
}

static void resume(const char *session)
{
    size_t length = 0;
    unsigned char *octets = from_hex(session, &length);
    const unsigned char *at = octets;
    SSL_SESSION *made = checked(d2i_SSL_SESSION(NULL, &at, (long)length));
    if (SSL_set_session(ssl, made) != 1)
        give_up("the session is refused");
    SSL_SESSION_free(made);
    free(octets);
}

static void connect_one(const char *session)
{
    new_ssl();
    on_socket(connect_socket());
    SSL_set_connect_state(ssl);
    if (settings.sni && SSL_set_tlsext_host_name(ssl, settings.sni) != 1)
        give_up("--sni is refused");
    if (session != NULL)
        resume(session);
    handshake();
}

static unsigned char heard[1 << 16];

static int one_read(SSL *on)
{
    return SSL_read(on, heard, sizeof heard);
}

static void read_some(void)
{
    int result = driven(one_read);
    if (result > 0)
        report_data(heard, (size_t)result);
    else
        report_failure(ssl, result);
}

static void write_all(const char *text)
{
    size_t length = 0;
    unsigned char *octets = from_hex(text, &length);
    int result = SSL_write(ssl, octets, (int)length);
    free(octets);
    if (result == (int)length)
        simple_event("written");
    else
        report_failure(ssl, result);
}

static void ask_later(void)
{
    int before = observed.finished_heard, result = -1;
    if (SSL_verify_client_post_handshake(ssl) != 1 || SSL_do_handshake(ssl) != 1) {
        report_failure(ssl, -1);
        return;
    }
    do {
        result = SSL_read(ssl, heard, sizeof heard);
        if (result > 0)
            give_up("data came before the answer");
    } while (observed.finished_heard == before && wait_until_ready(ssl, result));
    if (observed.finished_heard > before)
        report_handshake(ssl);
    else
        report_failure(ssl, result);
}

static void renegotiate(void)
{
    int result = SSL_renegotiate(ssl);
    if (result == 1)
        result = driven(SSL_do_handshake);
    /* A server that says nothing is not a new handshake: only a finished one is. */
    if (result == 1 && !SSL_renegotiate_pending(ssl))
        simple_event("renegotiated");
    else
        report_failure(ssl, result);
}

static void update_keys(void)
{
    if (SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) == 1 && SSL_do_handshake(ssl) == 1)
        simple_event("written");
    else
        report_failure(ssl, -1);
}

static void tell_session(void)
{
    unsigned char *octets = NULL;
    int length = observed.session == NULL ? 0 : i2d_SSL_SESSION(observed.session, &octets);
    event_begin("session");
    event_octets("session", octets, length > 0 ? (size_t)length : 0);
    event_end();
    OPENSSL_free(octets);
}

static void export(const char *label, const char *context, const char *length)
{
    size_t label_length = 0, context_length = 0, wanted = (size_t)number(length);
    unsigned char *label_octets = from_hex(label, &label_length);
    unsigned char *context_octets = from_hex(context, &context_length);
    unsigned char *out = checked(malloc(wanted + 1));
    if (SSL_export_keying_material(ssl, out, wanted, (const char *)label_octets, label_length, context_octets,
                                   context_length, 1)
        != 1)
        give_up("no keying material");
    event_begin("exported");
    event_octets("octets", out, wanted);
    event_end();
    free(label_octets), free(context_octets), free(out);
}

static void close_politely(void)
{
    SSL_shutdown(ssl);
    put_away();
    simple_event("closed");
}

static bool obeyed_on_connection(const char *word, const char *one, const char *two, const char *three)
{
    if (strcmp(word, "read") == 0)
        read_some();
    else if (strcmp(word, "write") == 0 && one)
        write_all(one);
    else if (strcmp(word, "ask") == 0)
        ask_later();
    else if (strcmp(word, "renegotiate") == 0)
        renegotiate();
    else if (strcmp(word, "update") == 0)
        update_keys();
    else if (strcmp(word, "session") == 0)
        tell_session();
    else if (strcmp(word, "export") == 0 && three)
        export(one, two, three);
    else if (strcmp(word, "close") == 0)
        close_politely();
    else
        return false;
    return true;
}

static void obey(char *line)
{
    char *word = strtok(line, " \n"), *one = strtok(NULL, " \n"), *two = strtok(NULL, " \n"),
         *three = strtok(NULL, " \n");
    if (word == NULL)
        return;
    if (strcmp(word, "accept") == 0 && settings.server)
        accept_one();
    else if (strcmp(word, "connect") == 0 && !settings.server)
        connect_one(one);
    else if (ssl == NULL || !obeyed_on_connection(word, one, two, three))
        give_up("no such command here: %s", word);
}

int main(int count, char **arguments)
{
    static char line[MAX_LINE];
    read_arguments(count, arguments);
    event_begin("ready");
    event_text("openssl", OpenSSL_version(OPENSSL_VERSION_STRING));
    if (settings.server) {
        listener = open_listener();
        event_number("port", bound_port(listener));
    }
    event_end();
    while (fgets(line, sizeof line, stdin) != NULL)
        obey(line);
    put_away();
    SSL_CTX_free(settings.ctx);
    return 0;
}

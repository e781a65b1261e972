/*
 * openssl_peer: OpenSSL's own TLS and DTLS behind a command line, for tests. It shares no code with native/: what it does
 * is the plain public API of libssl. One process has one role and one SSL_CTX, made from its arguments; what happens
 * then is commanded line by line on standard input and told line by line, as JSON, on standard output.
 *
 * Not a tool: an argument or a command it does not know ends it with a message and status 2.
 */
#ifndef OPENSSL_PEER_H
#define OPENSSL_PEER_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { MAX_EXTENSIONS = 8, MAX_SENT = 32, MAX_ARRIVED = 64, MAX_ALERTS = 32, MAX_LINE = 1 << 18 };

/* Octets to send as an extension in one message; entry counts certificates, 0 elsewhere. */
struct sent {
    unsigned type;
    unsigned where;
    size_t entry;
    unsigned char *octets;
    size_t length;
};

struct arrived {
    unsigned type;
    unsigned context;
    size_t entry;
    unsigned char *octets;
    size_t length;
};

struct alert {
    bool received;
    int level;
    int description;
};

/* Everything the arguments said. */
struct settings {
    bool server;
    bool datagram;
    const char *host; /* address to listen on or to connect to */
    int port;
    const char *sni;
    long mtu;
    int seconds; /* how long any single wait may take */
    const char *expect_key;
    SSL_CTX *ctx;
};

/* What one connection saw; emptied when the next begins. */
struct observed {
    struct arrived arrived[MAX_ARRIVED];
    size_t arrivals;
    struct alert alerts[MAX_ALERTS];
    size_t alert_count;
    SSL_SESSION *session;
    bool asked;         /* client: for a certificate */
    int finished_heard; /* Finished messages of the other side */
};

extern struct settings settings;
extern struct observed observed;

/* settings.c */
void read_arguments(int count, char **arguments);

/* extensions.c */
void declare_extension(const char *text); /* TYPE=ch,sh,ee,cr,ct,nst,hrr */
void send_extension(const char *text);    /* TYPE:WHERE:ENTRY:HEX */
void register_extensions(SSL_CTX *ctx);
const char *place_name(unsigned context);

/* transport.c */
int open_listener(void);
int bound_port(int fd);
int accept_stream(int listener);
int connect_socket(void);
void attach(SSL *ssl, int fd);
void detach(int fd);
BIO *listen_datagram(int fd, SSL *ssl);
int wait_until_ready(SSL *ssl, int result); /* 1: try again; 0: it failed, or time is up */
void use_cookies(SSL_CTX *ctx);

/* report.c */
void forget_observed(void);
void watch(SSL_CTX *ctx);
void event_begin(const char *name);
void event_number(const char *name, long value);
void event_text(const char *name, const char *value);
void event_octets(const char *name, const unsigned char *octets, size_t length);
void event_end(void);
void report_handshake(SSL *ssl);
void report_failure(SSL *ssl, int result);
void report_data(const unsigned char *octets, size_t length);

/* words.c */
_Noreturn void give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));
unsigned char *from_hex(const char *text, size_t *length); /* "-" and "" are no octets */
long number(const char *text);
void *checked(void *pointer);

#endif

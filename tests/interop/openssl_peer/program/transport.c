/* Sockets, every wait bounded; DTLS retransmission and cookies. */
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static unsigned char cookie_secret[32];

static struct sockaddr_in address(int port)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    if (inet_pton(AF_INET, settings.host, &here.sin_addr) != 1)
        give_up("no IPv4 address: %s", settings.host);
    return here;
}

static int made_socket(void)
{
    int fd = socket(AF_INET, settings.datagram ? SOCK_DGRAM : SOCK_STREAM, 0);
    if (fd < 0)
        give_up("socket: %s", strerror(errno));
    return fd;
}

static void never_block(int fd)
{
    if (fd >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        give_up("fcntl: %s", strerror(errno));
}

static int bound_socket(int port)
{
    int fd = made_socket(), yes = 1;
    struct sockaddr_in here = address(port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&here, sizeof here) < 0 || (!settings.datagram && listen(fd, 16) < 0))
        give_up("bind: %s", strerror(errno));
    never_block(fd);
    return fd;
}

int bound_port(int fd)
{
    struct sockaddr_in here;
    socklen_t length = sizeof here;
    if (getsockname(fd, (struct sockaddr *)&here, &length) < 0)
        give_up("getsockname: %s", strerror(errno));
    return ntohs(here.sin_port);
}

int open_listener(void)
{
    int fd = bound_socket(settings.port);
    if (!settings.datagram)
        return fd;
    /* A port that the system chose is lost when the socket is given back by a client; one asked for by number stays. */
    int lasting = bound_socket(bound_port(fd));
    close(fd);
    return lasting;
}

static bool readable(int fd, int milliseconds)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    return poll(&one, 1, milliseconds) == 1;
}

int accept_stream(int listener)
{
    if (!readable(listener, settings.seconds * 1000))
        return -1;
    int fd = accept(listener, NULL, NULL);
    never_block(fd);
    return fd;
}

int connect_socket(void)
{
    int fd = made_socket();
    struct sockaddr_in there = address(settings.port);
    if (connect(fd, (struct sockaddr *)&there, sizeof there) < 0)
        give_up("connect: %s", strerror(errno));
    never_block(fd);
    return fd;
}

void attach(SSL *ssl, int fd)
{
    if (!settings.datagram) {
        if (SSL_set_fd(ssl, fd) != 1)
            give_up("no descriptor");
        return;
    }
    BIO_ADDR *server = checked(BIO_ADDR_new());
    struct sockaddr_in there = address(settings.port);
    BIO_ADDR_rawmake(server, AF_INET, &there.sin_addr, sizeof there.sin_addr, there.sin_port);
    BIO *bio = checked(BIO_new_dgram(fd, BIO_NOCLOSE));
    BIO_ctrl(bio, BIO_CTRL_DGRAM_SET_CONNECTED, 0, server);
    SSL_set_bio(ssl, bio, bio);
    BIO_ADDR_free(server);
}

/* A datagram listener belongs to one client until it is given back, without that client's last error. */
void detach(int fd)
{
    struct sockaddr_in nobody = {.sin_family = AF_UNSPEC};
    int error = 0;
    socklen_t length = sizeof error;
    if (!settings.server || !settings.datagram) {
        close(fd);
        return;
    }
    connect(fd, (struct sockaddr *)&nobody, sizeof nobody);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
}

/* Answers ClientHellos without state until one brings its cookie; then the socket belongs to that client. */
BIO *listen_datagram(int fd, SSL *ssl)
{
    BIO *bio = checked(BIO_new_dgram(fd, BIO_NOCLOSE));
    BIO_ADDR *client = checked(BIO_ADDR_new());
    SSL_set_bio(ssl, bio, bio);
    int heard = 0;
    while (heard <= 0) {
        if (!readable(fd, settings.seconds * 1000) || (heard = DTLSv1_listen(ssl, client)) < 0) {
            BIO_ADDR_free(client);
            return NULL;
        }
    }
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = BIO_ADDR_rawport(client)};
    size_t length = sizeof there.sin_addr;
    BIO_ADDR_rawaddress(client, &there.sin_addr, &length);
    if (connect(fd, (struct sockaddr *)&there, sizeof there) < 0)
        give_up("connect: %s", strerror(errno));
    BIO_ctrl(bio, BIO_CTRL_DGRAM_SET_CONNECTED, 0, client);
    BIO_ADDR_free(client);
    return bio;
}

int wait_until_ready(SSL *ssl, int result)
{
    static SSL *waiting;
    static time_t end;
    int kind = SSL_get_error(ssl, result), fd = SSL_get_fd(ssl);
    if (kind != SSL_ERROR_WANT_READ && kind != SSL_ERROR_WANT_WRITE) {
        waiting = NULL;
        return 0;
    }
    if (waiting != ssl) {
        waiting = ssl;
        end = time(NULL) + settings.seconds;
    }
    struct timeval left = {.tv_sec = 1};
    if (settings.datagram && !DTLSv1_get_timeout(ssl, &left))
        left.tv_sec = 1, left.tv_usec = 0;
    struct pollfd one = {.fd = fd, .events = kind == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT};
    int ready = poll(&one, 1, (int)(left.tv_sec * 1000 + left.tv_usec / 1000) + 1);
    if (ready == 1) {
        waiting = NULL;
        return 1;
    }
    if (settings.datagram)
        DTLSv1_handle_timeout(ssl);
    if (time(NULL) < end)
        return 1;
    waiting = NULL;
    return 0;
}

static void cookie(SSL *ssl, unsigned char *out, unsigned *length)
{
    BIO_ADDR *client = checked(BIO_ADDR_new());
    unsigned char seed[32] = {0};
    size_t size = sizeof seed - 2;
    (void)BIO_dgram_get_peer(SSL_get_rbio(ssl), client);
    unsigned short port = BIO_ADDR_rawport(client);
    memcpy(seed, &port, 2);
    BIO_ADDR_rawaddress(client, seed + 2, &size);
    HMAC(EVP_sha256(), cookie_secret, sizeof cookie_secret, seed, 2 + size, out, length);
    BIO_ADDR_free(client);
}

static int on_make_cookie(SSL *ssl, unsigned char *out, unsigned *length)
{
    cookie(ssl, out, length);
    return 1;
}

static int on_check_cookie(SSL *ssl, const unsigned char *got, unsigned length)
{
    unsigned char expected[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    cookie(ssl, expected, &size);
    return length == size && CRYPTO_memcmp(expected, got, size) == 0;
}

void use_cookies(SSL_CTX *ctx)
{
    if (RAND_bytes(cookie_secret, sizeof cookie_secret) != 1)
        give_up("no entropy");
    SSL_CTX_set_cookie_generate_cb(ctx, on_make_cookie);
    SSL_CTX_set_cookie_verify_cb(ctx, on_check_cookie);
}

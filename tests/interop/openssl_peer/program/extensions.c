/*
 * Any extension, any octets: --extension says where a type may stand, --send what is sent there; whatever arrives is
 * kept for the handshake's event. Nothing is judged here.
 */
#include "peer.h"

#include <stdlib.h>
#include <string.h>

/* Missing from some versions' headers under this name: with a raw key, a Certificate message has its own bit. */
#ifndef SSL_EXT_TLS1_3_RAW_PUBLIC_KEY
#define SSL_EXT_TLS1_3_RAW_PUBLIC_KEY 0x10000
#endif

static const struct place {
    const char *name;
    unsigned context;
} places[] = {
    {"ch", SSL_EXT_CLIENT_HELLO},
    {"sh", SSL_EXT_TLS1_2_SERVER_HELLO | SSL_EXT_TLS1_3_SERVER_HELLO},
    {"sh12", SSL_EXT_TLS1_2_SERVER_HELLO},
    {"ee", SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS},
    {"cr", SSL_EXT_TLS1_3_CERTIFICATE_REQUEST},
    {"ct", SSL_EXT_TLS1_3_CERTIFICATE | SSL_EXT_TLS1_3_RAW_PUBLIC_KEY},
    {"nst", SSL_EXT_TLS1_3_NEW_SESSION_TICKET},
    {"hrr", SSL_EXT_TLS1_3_HELLO_RETRY_REQUEST},
};

static struct {
    unsigned type;
    unsigned context;
} declared[MAX_EXTENSIONS];
static size_t declarations;
static struct sent sent[MAX_SENT];
static size_t sendings;

static unsigned place(const char *name, size_t length)
{
    for (size_t at = 0; at < sizeof places / sizeof places[0]; at++)
        if (strlen(places[at].name) == length && strncmp(places[at].name, name, length) == 0)
            return places[at].context;
    give_up("no place of an extension: %.*s", (int)length, name);
}

const char *place_name(unsigned context)
{
    for (size_t at = 0; at < sizeof places / sizeof places[0]; at++)
        if (places[at].context & context)
            return places[at].name;
    return "elsewhere";
}

void declare_extension(const char *text)
{
    char *rest = NULL;
    unsigned type = (unsigned)strtoul(text, &rest, 0), context = 0;
    if (declarations == MAX_EXTENSIONS || *rest != '=')
        give_up("--extension TYPE=PLACE,PLACE: %s", text);
    while (*rest != '\0') {
        const char *name = rest + 1;
        size_t length = strcspn(name, ",");
        context |= place(name, length);
        rest = (char *)name + length;
    }
    declared[declarations].type = type;
    declared[declarations++].context = context;
}

void send_extension(const char *text)
{
    char *rest = NULL;
    struct sent *one = &sent[sendings];
    if (sendings++ == MAX_SENT)
        give_up("too many --send");
    one->type = (unsigned)strtoul(text, &rest, 0);
    if (*rest != ':')
        give_up("--send TYPE:PLACE:ENTRY:HEX: %s", text);
    size_t length = strcspn(rest + 1, ":");
    one->where = place(rest + 1, length);
    rest += 1 + length;
    if (*rest != ':')
        give_up("--send TYPE:PLACE:ENTRY:HEX: %s", text);
    one->entry = strtoul(rest + 1, &rest, 10);
    if (*rest != ':')
        give_up("--send TYPE:PLACE:ENTRY:HEX: %s", text);
    one->octets = from_hex(rest + 1, &one->length);
}

static int on_add(SSL *ssl, unsigned type, unsigned context, const unsigned char **out, size_t *length, X509 *x,
                  size_t entry, int *alert, void *arg)
{
    (void)ssl, (void)x, (void)alert, (void)arg;
    for (size_t at = 0; at < sendings; at++) {
        if (sent[at].type == type && (sent[at].where & context) && sent[at].entry == entry) {
            *out = sent[at].octets;
            *length = sent[at].length;
            return 1;
        }
    }
    return 0;
}

static int on_parse(SSL *ssl, unsigned type, unsigned context, const unsigned char *octets, size_t length, X509 *x,
                    size_t entry, int *alert, void *arg)
{
    (void)ssl, (void)x, (void)alert, (void)arg;
    if (observed.arrivals == MAX_ARRIVED)
        return 1;
    struct arrived *one = &observed.arrived[observed.arrivals++];
    one->type = type;
    one->context = context;
    one->entry = entry;
    one->octets = checked(malloc(length + 1));
    one->length = length;
    if (length)
        memcpy(one->octets, octets, length);
    return 1;
}

void register_extensions(SSL_CTX *ctx)
{
    for (size_t at = 0; at < declarations; at++)
        if (!SSL_CTX_add_custom_ext(ctx, declared[at].type, declared[at].context, on_add, NULL, NULL, on_parse, NULL))
            give_up("extension %u is not ours to send", declared[at].type);
}

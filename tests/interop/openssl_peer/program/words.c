/* Words of arguments and commands. */
#include "peer.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void give_up(const char *format, ...)
{
    va_list more;
    va_start(more, format);
    fputs("openssl_peer: ", stderr);
    vfprintf(stderr, format, more);
    fputc('\n', stderr);
    va_end(more);
    ERR_print_errors_fp(stderr);
    exit(2);
}

void *checked(void *pointer)
{
    if (pointer == NULL)
        give_up("no memory, or OpenSSL said no");
    return pointer;
}

unsigned char *from_hex(const char *text, size_t *length)
{
    *length = strlen(text) / 2;
    if (text[0] == '\0' || strcmp(text, "-") == 0) {
        *length = 0;
        return checked(malloc(1));
    }
    unsigned char *octets = checked(malloc(*length + 1));
    size_t written = 0;
    if (!OPENSSL_hexstr2buf_ex(octets, *length, &written, text, '\0') || written != *length)
        give_up("not hexadecimal: %s", text);
    return octets;
}

long number(const char *text)
{
    char *end = NULL;
    long value = strtol(text, &end, 0);
    if (end == text || *end != '\0')
        give_up("not a number: %s", text);
    return value;
}

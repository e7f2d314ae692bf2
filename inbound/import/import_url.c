/* import_url.c - a SOURCE taken apart. */
#include "inbound/import/import_url.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { PORT_IMAP = 143, PORT_IMAPS = 993 };

static bool refuse(char why[static IMPORT_WHY_MAX], const char *text)
{
    snprintf(why, IMPORT_WHY_MAX, "%s", text);
    return false;
}

/* "anna%40b.example" */
static bool unescape(struct bytes text, char *out, size_t size)
{
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        if (c == '%') {
            int high = i + 2 < text.len ? byte_hex_value(text.ptr[i + 1]) : -1;
            int low = i + 2 < text.len ? byte_hex_value(text.ptr[i + 2]) : -1;

            if (high < 0 || low < 0)
                return false;
            c = (uint8_t)(high << 4 | low);
            i += 2;
        }
        if (c < 0x20 || c == 0x7f || len + 1 >= size)
            return false;
        out[len++] = (char)c;
    }
    out[len] = '\0';
    return len > 0;
}

/* "host", "host:143", "[::1]:143". */
static bool read_host(struct bytes text, struct import_url *out)
{
    struct bytes host = text, port = BYTES_NONE;
    uint64_t number;

    if (text.len > 0 && text.ptr[0] == '[') {
        size_t end = bytes_find(text, ']', 0);

        host = bytes_slice(text, 1, end - 1);
        port = bytes_slice(text, end + 1, text.len);
        if (end == text.len || (port.len > 0 && port.ptr[0] != ':'))
            return false;
        port = bytes_slice(port, 1, port.len);
    } else if (bytes_find(text, ':', 0) < text.len) {
        bool has_port = bytes_take_until(&text, ':', &host);

        check(has_port);
        port = text;
        if (port.len == 0)
            return false;
    }
    if (port.len > 0) {
        if (!bytes_to_u64(port, &number) || number == 0 || number > UINT16_MAX)
            return false;
        out->port = (uint16_t)number;
    }
    if (host.len == 0 || host.len >= sizeof(out->host) || bytes_has_8bit(host))
        return false;
    for (size_t i = 0; i < host.len; i++)
        if (!byte_is_alnum(host.ptr[i]) && strchr(".-:_", host.ptr[i]) == NULL)
            return false;
    memcpy(out->host, host.ptr, host.len);
    out->host[host.len] = '\0';
    return true;
}

static bool read_imap(struct bytes rest, struct import_url *out, char why[static IMPORT_WHY_MAX])
{
    size_t slash = bytes_find(rest, '/', 0);
    size_t at = slash;

    out->kind = IMPORT_IMAP;
    out->port = out->is_implicit_tls ? PORT_IMAPS : PORT_IMAP;
    if (bytes_slice(rest, slash, rest.len).len > 1)
        return refuse(why, "behind the host stands nothing but /; --folder chooses folders");
    while (at > 0 && rest.ptr[at - 1] != '@')
        at--;
    if (at < 2)
        return refuse(why, "a server is written imaps://user@host[:port]/");
    struct bytes user = bytes_slice(rest, 0, at - 1);

    if (bytes_find(user, ':', 0) < user.len)
        return refuse(why, "a password on the command line can be read by all; use "
                           "--password-file, or type it");
    if (!unescape(user, out->user, sizeof(out->user)))
        return refuse(why, "the user's name cannot be read; bytes may be written %40");
    if (!read_host(bytes_slice(rest, at, slash - at), out))
        return refuse(why, "the host or the port cannot be read");
    return true;
}

static bool is_directory(const char *path, const char *part)
{
    char whole[4096];
    struct stat status;
    int len = snprintf(whole, sizeof(whole), "%s/%s", path, part);

    return len > 0 && (size_t)len < sizeof(whole) && stat(whole, &status) == 0 &&
           S_ISDIR(status.st_mode);
}

bool import_url_read(const char *text, struct import_url *out, char why[static IMPORT_WHY_MAX])
{
    struct bytes rest = bytes_of(text);
    struct stat status;

    *out = (struct import_url){.path = text};
    out->is_implicit_tls = bytes_starts_nocase(rest, BYTES("imaps://"));
    if (bytes_take_nocase(&rest, BYTES("imaps://")) || bytes_take_nocase(&rest, BYTES("imap://")))
        return read_imap(rest, out, why);
    out->kind = IMPORT_MBOX;
    if (strncmp(text, "maildir:", 8) == 0) {
        out->kind = IMPORT_MAILDIR;
        out->path = text + 8;
    } else if (strncmp(text, "mbox:", 5) == 0) {
        out->path = text + 5;
    } else if (strstr(text, "://") != NULL) {
        return refuse(why, "mail is imported from imap:// and imaps://, a Maildir or an mbox");
    } else if (is_directory(text, "cur")) {
        out->kind = IMPORT_MAILDIR;
    }
    if (stat(out->path, &status) == 0)
        return true;
    snprintf(why, IMPORT_WHY_MAX, "%.200s: %s", out->path, strerrordesc_np(errno));
    return false;
}

/*
 * event_text.h - the text fields of an event: their numbers in the binary form and their maxima.
 *
 * Private to relay/event. A number is never used again for something else.
 */
#pragma once

#include "event/event.h"

/* X(name, number, len_max). The maxima and all numbers together stay below EVENT_ENCODED_MAX. */
#define EVENT_TEXTS(X) \
    X(recipient, 32, 1024) \
    X(sender, 33, 1024) \
    X(message_header_id, 34, 998) \
    X(tenant, 35, 255) \
    X(campaign, 36, 255) \
    X(tags, 37, 2048) \
    X(client_ip, 38, 64) \
    X(client_ehlo, 39, 512) \
    X(service, 40, 64) \
    X(envid, 41, 512) \
    X(orcpt, 42, 1024) \
    X(pool, 43, 255) \
    X(source, 44, 255) \
    X(source_ip, 45, 64) \
    X(site, 46, 512) \
    X(mx_host, 47, 255) \
    X(mx_ip, 48, 64) \
    X(tls_version, 49, 64) \
    X(tls_cipher, 50, 128) \
    X(tls_policy, 51, 128) \
    X(tls_result, 52, 255) \
    X(reply_text, 53, 4096) \
    X(class, 54, 128) \
    X(rule, 55, 255) \
    X(session, 56, 32) \
    X(metadata, 57, 1024) \
    X(checks, 58, 3072) \
    X(dkim_result, 59, 16) \
    X(dkim_domain, 60, 253) \
    X(dkim_selectors, 61, 255) \
    X(tls_source, 62, 32) \
    X(tls_reason, 63, 255)

enum {
#define EVENT_TEXT_MAX_(name, number, len_max) EVENT_TEXT_MAX_##name = (len_max),
    EVENT_TEXTS(EVENT_TEXT_MAX_)
#undef EVENT_TEXT_MAX_
#define EVENT_TEXT_ADD(name, number, len_max) (len_max) +
        EVENT_TEXTS_LEN_MAX = EVENT_TEXTS(EVENT_TEXT_ADD) 0, /* of all together */
#undef EVENT_TEXT_ADD
};

/* `text`, at most len_max bytes of it, not ending inside a UTF-8 character. */
static inline struct bytes event_text_cut(struct bytes text, size_t len_max)
{
    if (text.len <= len_max)
        return text;
    check(text.ptr != NULL);
    size_t len = len_max;
    while (len > len_max - 3 && (text.ptr[len] & 0xc0) == 0x80)
        len--;
    return (struct bytes){text.ptr, len};
}

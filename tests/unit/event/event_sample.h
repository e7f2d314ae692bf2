/* event_sample.h - a delivered event as a usual delivery makes it, and random ones. */
#pragma once

#include <time.h>

#include "base/random.h"
#include "event/event.h"

static inline struct event event_sample(void)
{
    return (struct event){
        .shard = 1,
        .position = (uint64_t)7 << 32 | 0x12340,
        .part = 0,
        .kind = EVENT_DELIVERED,
        .seq = 2,
        .id = {(uint64_t)1 << 56 | 0x7a1b2c3d4e5f},
        .time_ms = 1795489800123,
        .accepted_ms = 1795489799001,
        .attempt_ms = 1795489799010,
        .recipient = BYTES("someone@customer.example"),
        .sender = BYTES("bounces+17@mail.sender.example"),
        .message_header_id = BYTES("<20261124031000.7a1b2c3d@mail.sender.example>"),
        .tenant = BYTES("acme"),
        .campaign = BYTES("autumn"),
        .tags = BYTES("[\"welcome\",\"de\"]"),
        .metadata = BYTES("{\"order\":17}"),
        .size = 4096,
        .attempt = 1,
        .times = {9, 12, 31, -1, 44, 120},
        .pool = BYTES("default"),
        .source = BYTES("mta1"),
        .source_ip = BYTES("192.0.2.17"),
        .site = BYTES("mx.customer.example"),
        .mx_host = BYTES("mx1.customer.example"),
        .mx_ip = BYTES("198.51.100.25"),
        .tls_version = BYTES("TLSv1.3"),
        .tls_cipher = BYTES("TLS_AES_256_GCM_SHA384"),
        .tls_policy = BYTES("opportunistic"),
        .tls_result = BYTES("established"),
        .reply_code = 250,
        .enhanced_class = 2,
        .enhanced_subject = 0,
        .enhanced_detail = 0,
        .reply_text = BYTES("Ok: queued as 4XyZ0k1q2Wz9r"),
        .class = BYTES("delivered"),
        .rule = BYTES("reply-2xx"),
        .session = BYTES("1.1204"),
        .dkim_result = BYTES("signed"),
        .dkim_domain = BYTES("customer.example"),
        .dkim_selectors = BYTES("rp1r,rp1e"),
    };
}

/* Any number anywhere, texts out of `noise`, every fourth absent. */
static inline struct bytes event_random_text(struct bytes noise, size_t len_max)
{
    if (random_below(4) == 0)
        return BYTES_NONE;
    size_t len = (size_t)random_below(len_max + 1);

    return bytes_slice(noise, (size_t)random_below(noise.len - len + 1), len);
}

static inline int64_t event_random_time(void)
{
    return random_below(4) == 0 ? 0 : (int64_t)(random_u64() >> random_below(64));
}

/* CPU of this process: what other programs do on the machine does not count. */
static inline int64_t event_cpu_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

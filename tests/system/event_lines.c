/* event_lines.c - random events of every kind as lines, to be held against the schema. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/event/event_sample.h"

enum { NOISE_LEN = 512, TEXT_LEN_MAX = 90 };

static struct event random_event(enum event_kind kind, struct bytes noise)
{
    struct event event = event_sample();
    struct bytes *const texts[] = {
        &event.recipient,   &event.sender,         &event.message_header_id,
        &event.tenant,      &event.campaign,       &event.tags,
        &event.client_ip,   &event.client_ehlo,    &event.service,
        &event.session,     &event.envid,          &event.orcpt,
        &event.pool,        &event.source,         &event.source_ip,
        &event.site,        &event.mx_host,        &event.mx_ip,
        &event.tls_version, &event.tls_cipher,     &event.reply_text,
        &event.class,       &event.rule,           &event.dkim_result,
        &event.dkim_domain, &event.dkim_selectors, &event.checks,
    };
    int64_t *const times[] = {&event.time_ms, &event.accepted_ms, &event.attempt_ms,
                              &event.next_attempt_ms, &event.connected_ms};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        *texts[i] = event_random_text(noise, TEXT_LEN_MAX);
    for (size_t i = 0; i < ARRAY_LEN(times); i++)
        *times[i] = event_random_time();
    /* These are words of ours. */
    event.tls_policy = random_below(2) == 0 ? BYTES("opportunistic") : BYTES_NONE;
    event.tls_result = random_below(2) == 0 ? BYTES("success") : BYTES_NONE;
    event.kind = kind;
    event.id.value = random_below(4) == 0 ? 0 : (uint64_t)random_below(1 << 30) + 1;
    event.seq = (uint32_t)random_below((uint64_t)UINT32_MAX + 1);
    event.part = (uint32_t)random_below(100000);
    event.size = random_below(3) == 0 ? 0 : random_u64() >> 1;
    event.attempt = (uint32_t)random_below(3);
    event.times.tls_ms = (int32_t)random_below((uint64_t)INT32_MAX + 1);
    event.times.wait_ms = -1;
    event.reply_is_ours = random_below(2) == 0;
    event.is_late = kind == EVENT_COMPLAINED || (kind == EVENT_BOUNCED && random_below(2) == 0);
    event.reply_code = (uint16_t)random_below(600);
    event.enhanced_class = (uint8_t)random_below(6);
    event.enhanced_subject = (uint16_t)random_below(1000);
    event.enhanced_detail = (uint16_t)random_below(1000);
    return event;
}

int main(int argc, char **argv)
{
    long count = argc > 1 ? strtol(argv[1], NULL, 10) : 1;
    uint8_t noise[NOISE_LEN];
    struct buf line;

    buf_init(&line, EVENT_JSON_MAX);
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (uint8_t)random_below(256);
    for (int kind = 0; kind < EVENT_KIND_COUNT; kind++) {
        for (long i = 0; i < count; i++) {
            struct event event =
                random_event((enum event_kind)kind, (struct bytes){noise, sizeof(noise)});

            if (!event_json(&event, &line))
                return 1;
            fwrite(buf_bytes(&line).ptr, 1, buf_len(&line), stdout);
            buf_clear(&line);
        }
    }
    buf_free(&line);
    return 0;
}

/* flight.c - questions on their way: the channels they take, and c-ares's word back. */
#include <ares.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "dns/question.h"

enum { CHANNEL_AGE_MS_MAX = 60000 }; /* channel.h says why */

static void answered(void *context, int status, int timeouts, struct bytes packet)
{
    struct question *question = context;
    struct resolver *resolver = question->resolver;

    check(question->answer == NULL);
    check(resolver->in_flight > 0);
    resolver->in_flight--;
    metric_dec(METRIC_DNS_IN_FLIGHT);
    metric_add(METRIC_DNS_TRIES_TIMED_OUT, timeouts);
    metric_observe_us(HISTOGRAM_DNS, clock_monotonic_us() - question->sent_us);
    question->answer =
        packet.len > 0 ? belief_of_packet(question, packet) : belief_of_status(question, status);
    list_push_back(&resolver->answered, &question->place);
    engine_at_turn_end(resolver->engine, &resolver->turn_end);
}

/* --- channels ------------------------------------------------------------------------------- */

bool flight_open(struct resolver *resolver, const char **why_out)
{
    resolver->channels[0] =
        channel_open(resolver->engine, &resolver->settings, false, answered, why_out);
    return resolver->channels[0] != NULL;
}

void flight_close(struct resolver *resolver)
{
    for (size_t i = 0; i < RESOLVER_CHANNELS_MAX; i++)
        channel_close(&resolver->channels[i]);
    channel_close(&resolver->tcp);
}

void flight_close_idle(struct resolver *resolver)
{
    for (size_t i = 1; i < RESOLVER_CHANNELS_MAX; i++)
        if (resolver->channels[i] != NULL && channel_in_flight(resolver->channels[i]) == 0)
            channel_close(&resolver->channels[i]);
    if (resolver->tcp != NULL && channel_in_flight(resolver->tcp) == 0)
        channel_close(&resolver->tcp);
}

/* The channel in use, replaced when it is old. Old ones finish their queries first; while there is
 * no room for another old one, this one stays in use. */
static struct channel *use_channel(struct resolver *resolver)
{
    struct channel **channels = resolver->channels;
    const char *why;

    if (channel_age_ms(channels[0]) < CHANNEL_AGE_MS_MAX)
        return channels[0];
    for (size_t i = 1; i < RESOLVER_CHANNELS_MAX; i++) {
        if (channels[i] != NULL)
            continue;
        struct channel *fresh =
            channel_open(resolver->engine, &resolver->settings, false, answered, &why);

        if (fresh == NULL) {
            log_limited(LOG_LEVEL_WARN, "what=\"cannot open a DNS channel\" why=%s",
                        LOG_STRING(why));
            break;
        }
        channels[i] = channels[0];
        channels[0] = fresh;
        break;
    }
    return channels[0];
}

/* For a question that must not be forged; NULL if there is none. */
static struct channel *use_tcp(struct resolver *resolver)
{
    const char *why;

    if (resolver->tcp == NULL)
        resolver->tcp = channel_open(resolver->engine, &resolver->settings, true, answered, &why);
    if (resolver->tcp == NULL)
        log_limited(LOG_LEVEL_WARN, "what=\"cannot open a DNS channel\" why=%s", LOG_STRING(why));
    return resolver->tcp;
}

/* --- asking --------------------------------------------------------------------------------- */

void question_send(struct question *question)
{
    struct resolver *resolver = question->resolver;

    resolver->in_flight++;
    metric_inc(METRIC_DNS_QUERIES);
    metric_inc(METRIC_DNS_IN_FLIGHT);
    question->sent_us = clock_monotonic_us();
    question->is_mixed = engine_now_ms(resolver->engine) >= resolver->plain_until_ms;
    /* Not random_u64(): who sees enough of its numbers can tell the next. */
    arc4random_buf(&question->case_bits, sizeof(question->case_bits));
    struct dns_name name = question_name_sent(question);
    struct channel *channel = question->is_tcp ? use_tcp(resolver) : use_channel(resolver);

    if (channel == NULL)
        answered(question, ARES_ENOMEM, 0, BYTES_NONE);
    else
        channel_ask(channel, &name, question->type, question);
}

/* belief.c - what an answer says, and whether it is believed: 0x20, TCP and votes (resolver.h). */
#include <ares.h>

#include "base/log.h"
#include "base/metric.h"
#include "dns/packet.h"
#include "dns/question.h"

enum {
    PLAIN_MS = 600 * 1000,  /* servers that do not copy case are asked without it this long */
    NO_TCP_MS = 600 * 1000, /* those that do not answer over TCP either, without that */
};

/* --- in doubt -------------------------------------------------------------------------------- */

enum suspicion { BELIEVE, ASK_AGAIN, REFUSE };

static void start_vote(struct question *question)
{
    question->is_tcp = false;
    question->is_voting = true;
    question->vote = (struct dns_vote){0};
}

static void learn_plain(struct question *question)
{
    question->resolver->plain_until_ms = engine_now_ms(question->resolver->engine) + PLAIN_MS;
    log_limited(LOG_LEVEL_INFO,
                "dns=%s plain_s=%d what=\"the servers do not repeat the case of questions\"",
                LOG_TEXT(question_name(question)), PLAIN_MS / 1000);
}

static void learn_no_tcp(struct question *question)
{
    question->resolver->no_tcp_until_ms = engine_now_ms(question->resolver->engine) + NO_TCP_MS;
    log_limited(
        LOG_LEVEL_INFO,
        "dns=%s answers=%d what=\"the servers neither repeat the case of questions nor answer "
        "over TCP: answers that agree are believed\"",
        LOG_TEXT(question_name(question)), DNS_VOTES);
}

static enum suspicion count_vote(struct question *question, const struct dns_packet *packet)
{
    question->chain_ttl_s = packet->ttl_s; /* the least of all that is believed */
    switch (dns_vote_take(&question->vote, &question->resolver->vote_key, packet)) {
    case DNS_VOTE_OPEN:
        return ASK_AGAIN;
    case DNS_VOTE_PASSED:
        learn_no_tcp(question);
        return BELIEVE;
    case DNS_VOTE_SPLIT:
        break;
    }
    return REFUSE;
}

/* What becomes of an answer that does not repeat the case of its question. */
static enum suspicion suspect_case(struct question *question, const struct dns_packet *packet)
{
    struct resolver *resolver = question->resolver;

    if (question->is_tcp) { /* nobody forged this: the servers do so */
        learn_plain(question);
        return BELIEVE;
    }
    metric_inc(METRIC_DNS_CASE_MISMATCHES);
    if (!question->is_voting && engine_now_ms(resolver->engine) < resolver->no_tcp_until_ms)
        start_vote(question);
    if (question->is_voting)
        return count_vote(question, packet);
    log_limited(LOG_LEVEL_INFO,
                "dns=%s type=%d what=\"an answer in another case than its question, "
                "which may be forged: asked again over TCP\"",
                LOG_TEXT(question_name(question)), (int)question->type);
    question->is_tcp = true;
    return ASK_AGAIN;
}

/* --- believed ------------------------------------------------------------------------------- */

static int64_t expiry(const struct resolver *resolver, const struct dns_packet *packet)
{
    const struct dns_settings *settings = &resolver->settings;
    unsigned ttl_s = packet->has_ttl ? packet->ttl_s : settings->ttl_min_s;

    switch (packet->status) {
    case DNS_OK:
        ttl_s = MIN(ttl_s, settings->ttl_max_s);
        break;
    case DNS_NO_DATA:
    case DNS_NXDOMAIN:
        ttl_s = MIN(ttl_s, settings->negative_ttl_max_s);
        break;
    case DNS_FAILED:
    case DNS_BAD_NAME:
        ttl_s = settings->failure_ttl_s;
        break;
    }
    return engine_now_ms(resolver->engine) + (int64_t)MAX(ttl_s, settings->ttl_min_s) * 1000;
}

static void follow_chain(struct question *question, const struct dns_packet *packet)
{
    question->is_tcp = false;
    question->is_voting = false;
    question->chain_len += packet->chain_len;
    question->chain_ttl_s = packet->ttl_s;
    question->is_insecure |= !packet->is_authentic;
    question->asked = packet->owner;
}

const struct dns_answer *belief_of_packet(struct question *question, struct bytes bytes)
{
    struct resolver *resolver = question->resolver;
    struct dns_packet packet;
    const struct dns_answer *answer = NULL;
    struct dns_name sent = question_name_sent(question);
    enum suspicion suspicion = BELIEVE;

    dns_packet_parse(&packet, bytes, dns_name_bytes(&question->asked), question->type,
                     DNS_CNAME_CHAIN_MAX - question->chain_len, &resolver->arena);
    packet.ttl_s = MIN(packet.ttl_s, question->chain_ttl_s);
    packet.is_authentic &= resolver->settings.is_trusted && !question->is_insecure;
    if (question->is_mixed && !dns_packet_repeats(bytes, dns_name_bytes(&sent)))
        suspicion = suspect_case(question, &packet);
    if (suspicion == REFUSE)
        answer = resolver_failure(resolver, "answers that may be forged, and do not agree");
    else if (suspicion == BELIEVE && packet.is_unfinished)
        follow_chain(question, &packet);
    else if (suspicion == BELIEVE)
        answer = dns_answer_from_packet(&packet, expiry(resolver, &packet));
    arena_clear(&resolver->arena);
    return answer;
}

/* c-ares has no packet for us. */
static const struct dns_answer *answer_without_packet(struct resolver *resolver, int status)
{
    switch (status) {
    case ARES_ETIMEOUT:
        metric_inc(METRIC_DNS_TIMEOUTS);
        return resolver_failure(resolver, "timeout");
    case ARES_ECONNREFUSED: /* c-ares's word for all that is no time-out, too */
        return resolver_failure(resolver, channel_server_count(resolver->channels[0]) == 1
                                              ? "the server cannot be reached"
                                              : "no server could be reached, or would answer");
    case ARES_EBADNAME:
        return resolver_failure(resolver, "a name that cannot be asked");
    case ARES_ENOTFOUND: /* ".onion", which is never asked (RFC 7686 section 2) */
        return dns_answer_bare(DNS_NXDOMAIN, NULL,
                               engine_now_ms(resolver->engine) +
                                   (int64_t)resolver->settings.negative_ttl_max_s * 1000);
    case ARES_EDESTRUCTION:
        return resolver_failure(resolver, "the resolver is shutting down");
    default:
        return resolver_failure(resolver, ares_strerror(status));
    }
}

const struct dns_answer *belief_of_status(struct question *question, int status)
{
    if (!question->is_tcp)
        return answer_without_packet(question->resolver, status);
    start_vote(question);
    return NULL;
}

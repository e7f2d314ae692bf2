/*
 * question.h - one (name, type) that is being asked, however many wait for it.
 *
 *   (asked) --> LINE --room in flight--> FLIGHT --c-ares--> ANSWERED --end of turn--> (told, freed)
 *                 ^                                            |
 *                 '-- a bare CNAME, or an answer in doubt -----'
 *
 * What the files of the resolver share; each uses those below it:
 *
 *   resolver.c   who asks, the line, what happens at the end of a turn
 *   flight.c     questions on their way: channels, and c-ares's word back
 *   belief.c     what an answer says, and whether it is believed
 *   question.c   the question itself
 *
 * c-ares's callbacks only move questions to `answered`; everything that calls out happens at the
 * end of the turn, so nobody is called from inside what he called, and c-ares never sees itself
 * called from its own callbacks.
 *
 * Private to the four. Thread: the engine's.
 */
#pragma once

#include "base/map.h"
#include "base/siphash.h"
#include "dns/answer.h"
#include "dns/channel.h"
#include "dns/name.h"
#include "dns/vote.h"

enum {
    RESOLVER_CHANNELS_MAX = 4, /* the one in use and those that finish their queries */
    QUESTION_KEY_TYPE_LEN = 2,
    QUESTION_KEY_MAX = QUESTION_KEY_TYPE_LEN + DNS_NAME_MAX,
};

struct question {
    struct map_node node;
    struct list_node place; /* in line or among the answered */
    struct resolver *resolver;
    struct list waiters; /* of dns_query */
    enum dns_type type;
    int64_t asked_ms;
    int64_t sent_us;
    struct dns_name asked; /* where the CNAME chain has led */
    uint64_t case_bits;    /* of the letters, as they were sent */
    bool is_mixed;
    bool is_tcp;          /* an answer to `asked` came in the wrong case */
    bool is_voting;       /* and TCP does not tell */
    struct dns_vote vote; /* of such answers */
    unsigned chain_len;
    uint32_t chain_ttl_s;
    bool is_insecure;                /* some of the chain so far is */
    const struct dns_answer *answer; /* NULL while ANSWERED: ask for `asked` */
    uint8_t key[QUESTION_KEY_MAX];
    size_t key_len;
};

struct resolver {
    struct engine *engine;
    struct dns_settings settings; /* defaults filled in */
    char *servers;
    struct channel *channels[RESOLVER_CHANNELS_MAX]; /* the first is in use */
    struct channel *tcp;                             /* NULL while nothing is asked there */
    int64_t plain_until_ms;                          /* questions are asked in lower case */
    int64_t no_tcp_until_ms; /* answers in the wrong case are voted on at once */
    struct siphash_key vote_key;
    struct dns_cache *cache;
    struct map questions;
    struct list line; /* oldest first */
    struct list answered;
    struct list told; /* dns_query with an answer, to be called */
    size_t in_flight;
    struct turn_end turn_end;
    struct timeout line_timeout;
    struct arena arena; /* of the packet being parsed */
    bool is_telling;
    bool is_closing;
};

/* --- question.c --- */

/* What `questions` has it under. */
struct bytes question_key(uint8_t into[static QUESTION_KEY_MAX], struct bytes name,
                          enum dns_type type);
/* Among the resolver's questions, without waiters, in no list. */
struct question *question_new(struct resolver *resolver, const struct dns_name *name,
                              enum dns_type type);
/* Nobody waits for it, and c-ares does not have it. */
void question_free(struct question *question);
/* The name that was asked for; `asked` may be another by now. */
struct bytes question_name(const struct question *question);
/* `asked` as it is sent. */
struct dns_name question_name_sent(const struct question *question);
/* Everyone who waits gets `answer` at the end of the turn. */
void question_tell(struct question *question, const struct dns_answer *answer);
/* DNS_FAILED, remembered for failure_ttl_s by who stores it; one reference. */
must_use const struct dns_answer *resolver_failure(const struct resolver *resolver,
                                                   const char *why);

/* --- belief.c --- */

/* What the packet says, one reference; NULL if it only says to ask again: for another name, which
 * `asked` is now, or because it is not believed yet. */
must_use const struct dns_answer *belief_of_packet(struct question *question, struct bytes bytes);
/* The same without a packet, of c-ares's status. A question that TCP was to decide is asked by UDP
 * again. */
must_use const struct dns_answer *belief_of_status(struct question *question, int status);

/* --- flight.c --- */

/* False with one sentence in *why_out (static string): there is no channel to ask by. */
must_use bool flight_open(struct resolver *resolver, const char **why_out);
/* All channels. What was in flight has come back, failed, when this returns. */
void flight_close(struct resolver *resolver);
/* Channels that were replaced and have nothing in flight any more. Not from c-ares's callbacks. */
void flight_close_idle(struct resolver *resolver);
/* Asks for `asked`; the question is in no list. It comes back among the answered, and the end of
 * the turn is asked for; perhaps before this returns. */
void question_send(struct question *question);

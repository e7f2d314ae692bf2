/* event_suspect.c - the second reading: what is wrong with the messages that do not add up. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "event/event_ledger_private.h"

enum { SENTENCE_MAX = 2048, SENTENCES_MAX = 64 * 1024, OPEN_NAMED_MAX = 5 };

struct ended {
    enum event_kind kind;
    uint32_t seq;
};

struct suspect_recipient {
    struct map_node node;
    struct list_node in_order;
    uint32_t accepted, ended;
    struct ended finals[2]; /* the first ones */
    uint8_t address[];
};

struct suspect {
    struct map_node node;
    uint64_t id; /* the key */
    uint32_t queued, ended_later;
    bool is_later;
    bool has_event, has_accepted;
    uint32_t first_seq, last_seq;
    struct map recipients;
    struct list in_order; /* the same */
    struct buf said;      /* sentences, each with a line feed */
};

static struct suspect_recipient *recipient_of(struct map_node *node)
{
    return container_of(node, struct suspect_recipient, node);
}

static struct suspect *suspect_of(struct map_node *node)
{
    return container_of(node, struct suspect, node);
}

void ledger_suspect(struct ledger *ledger, const struct tally *tally)
{
    if (ledger->suspects.count >= LEDGER_NAMED_MAX)
        return;
    struct suspect *suspect = calloc(1, sizeof(*suspect));
    check(suspect != NULL);
    suspect->id = tally->id;
    suspect->queued = tally->queued;
    suspect->ended_later = tally->ended_later;
    suspect->is_later = tally->is_later;
    map_init(&suspect->recipients);
    list_init(&suspect->in_order);
    buf_init(&suspect->said, SENTENCES_MAX);
    map_insert(&ledger->suspects, &suspect->node, ledger_key(&suspect->id));
}

static void free_recipient(void *context, struct map_node *node)
{
    (void)context;
    free(recipient_of(node));
}

static void free_suspect(void *context, struct map_node *node)
{
    struct suspect *suspect = suspect_of(node);

    (void)context;
    map_for_each(&suspect->recipients, free_recipient, NULL);
    map_free(&suspect->recipients);
    buf_free(&suspect->said);
    free(suspect);
}

void ledger_free_suspects(struct ledger *ledger)
{
    map_for_each(&ledger->suspects, free_suspect, NULL);
}

/* --- events ---------------------------------------------------------------------------------- */

static const char *kind_name(enum event_kind kind)
{
    return kind < EVENT_KIND_COUNT ? event_kind_name(kind) : "of a later kind";
}

/* What finds no room is left out: there is enough to go by. */
static void say_seq(struct suspect *s, const struct event_head *head)
{
    const char *kind = kind_name(head->kind);

    if (!s->has_event || head->seq == s->last_seq + 1)
        return;
    if (head->seq <= s->last_seq)
        (void)!buf_printf(&s->said, "seq %u (%s) comes behind seq %u\n", head->seq, kind,
                          s->last_seq);
    else if (head->seq == s->last_seq + 2)
        (void)!buf_printf(&s->said, "seq %u is missing: seq %u (%s) comes behind seq %u\n",
                          head->seq - 1, head->seq, kind, s->last_seq);
    else
        (void)!buf_printf(&s->said, "seqs %u to %u are missing: seq %u (%s) comes behind seq %u\n",
                          s->last_seq + 1, head->seq - 1, head->seq, kind, s->last_seq);
}

static struct suspect_recipient *recipient_named(struct suspect *s, struct bytes address)
{
    struct map_node *node = map_find(&s->recipients, address);

    if (node != NULL)
        return recipient_of(node);
    struct suspect_recipient *recipient = calloc(1, sizeof(*recipient) + address.len);
    check(recipient != NULL);
    if (address.len > 0)
        memcpy(recipient->address, address.ptr, address.len);
    map_insert(&s->recipients, &recipient->node, (struct bytes){recipient->address, address.len});
    list_node_init(&recipient->in_order);
    list_push_back(&s->in_order, &recipient->in_order);
    return recipient;
}

void ledger_recount(struct ledger *ledger, const struct event_head *head)
{
    struct map_node *node = map_find(&ledger->suspects, ledger_key(&head->id.value));

    if (node == NULL || !head->has_seq)
        return;
    struct suspect *s = suspect_of(node);
    say_seq(s, head);
    if (!s->has_event)
        s->first_seq = head->seq;
    s->has_event = true;
    s->last_seq = head->seq;
    if (head->kind != EVENT_ACCEPTED &&
        (head->kind >= EVENT_KIND_COUNT || !event_kind_is_final(head->kind)))
        return;
    struct suspect_recipient *recipient = recipient_named(s, head->recipient);
    if (head->kind == EVENT_ACCEPTED) {
        s->has_accepted = true;
        recipient->accepted++;
        return;
    }
    if (recipient->ended < ARRAY_LEN(recipient->finals))
        recipient->finals[recipient->ended] = (struct ended){head->kind, head->seq};
    recipient->ended++;
}

/* --- sentences ------------------------------------------------------------------------------- */

struct telling {
    struct suspect *suspect;
    void (*line)(void *context, struct message_id id, const char *text);
    void *context;
    struct buf open; /* the first ones without a final event */
    uint64_t open_count;
};

static void say(struct telling *t, const char *text)
{
    t->line(t->context, (struct message_id){t->suspect->id}, text);
}

__attribute__((format(printf, 2, 3))) static void sayf(struct telling *t, const char *format, ...)
{
    struct buf text;
    va_list args;

    buf_init(&text, SENTENCE_MAX);
    va_start(args, format);
    bool fits = buf_vprintf(&text, format, args) && buf_append_byte(&text, 0);
    va_end(args);
    say(t, fits ? (const char *)buf_bytes(&text).ptr : "a recipient whose address is too long");
    buf_free(&text);
}

static void tell_recipient(struct telling *t, const struct suspect_recipient *r)
{
    const struct ended *finals = r->finals;

    if (r->ended > r->accepted && r->ended > 1)
        sayf(t, "to=%.*s has %u final events: %s (seq %u), %s (seq %u)%s", BYTES_ARG(r->node.key),
             r->ended, event_kind_name(finals[0].kind), finals[0].seq,
             event_kind_name(finals[1].kind), finals[1].seq, r->ended > 2 ? ", ..." : "");
    else if (r->ended > r->accepted && t->suspect->has_accepted)
        sayf(t, "to=%.*s has a final event, %s (seq %u), and was not accepted",
             BYTES_ARG(r->node.key), event_kind_name(finals[0].kind), finals[0].seq);
    if (r->ended >= r->accepted)
        return;
    if (t->open_count < OPEN_NAMED_MAX)
        (void)!buf_printf(&t->open, "%s%.*s", t->open_count > 0 ? ", " : "",
                          BYTES_ARG(r->node.key));
    t->open_count += r->accepted - r->ended;
}

static void tell_queue(struct telling *t)
{
    const struct suspect *s = t->suspect;

    if (!s->has_event)
        sayf(t, "%u recipients wait in the queue, and there is no event of the message", s->queued);
    else if (!s->has_accepted)
        sayf(t, "it has no accepted events: the first is seq %u", s->first_seq);
    else if (t->open_count > s->queued && !s->is_later)
        sayf(t, "%llu recipients have no final event and %u of the message wait in the queue: %.*s",
             (unsigned long long)t->open_count, s->queued, BYTES_ARG(buf_bytes(&t->open)));
    else if (t->open_count + s->ended_later < s->queued)
        sayf(t, "%u recipients wait in the queue and %llu have no final event", s->queued,
             (unsigned long long)t->open_count);
}

static void tell_suspect(void *context, struct map_node *node)
{
    struct telling *t = context;
    struct suspect *s = suspect_of(node);
    struct bytes said = buf_bytes(&s->said);
    struct bytes sentence;

    t->suspect = s;
    t->open_count = 0;
    buf_clear(&t->open);
    while (bytes_take_until(&said, '\n', &sentence))
        sayf(t, "%.*s", BYTES_ARG(sentence));
    list_for_each(at, &s->in_order)
        tell_recipient(t, container_of(at, struct suspect_recipient, in_order));
    tell_queue(t);
}

void ledger_tell(struct ledger *ledger,
                 void (*line)(void *context, struct message_id id, const char *text), void *context)
{
    struct telling t = {.line = line, .context = context};

    buf_init(&t.open, SENTENCE_MAX / 2);
    map_for_each(&ledger->suspects, tell_suspect, &t);
    buf_free(&t.open);
}

/* question.c - a question, its name and who waits for it. */
#include "dns/question.h"

#include <stdlib.h>
#include <string.h>

struct bytes question_key(uint8_t into[static QUESTION_KEY_MAX], struct bytes name,
                          enum dns_type type)
{
    into[0] = (uint8_t)((unsigned)type >> 8);
    into[1] = (uint8_t)type;
    memcpy(into + QUESTION_KEY_TYPE_LEN, name.ptr, name.len);
    return bytes_range(into, QUESTION_KEY_TYPE_LEN + name.len);
}

struct question *question_new(struct resolver *resolver, const struct dns_name *name,
                              enum dns_type type)
{
    struct question *question = malloc(sizeof(*question));

    check(question != NULL);
    *question = (struct question){
        .resolver = resolver,
        .type = type,
        .asked = *name,
        .chain_ttl_s = INT32_MAX,
        .asked_ms = engine_now_ms(resolver->engine),
    };
    list_node_init(&question->place);
    list_init(&question->waiters);
    struct bytes key = question_key(question->key, dns_name_bytes(name), type);

    question->key_len = key.len;
    map_insert(&resolver->questions, &question->node, key);
    return question;
}

void question_free(struct question *question)
{
    check(list_is_empty(&question->waiters));
    map_remove(&question->resolver->questions, &question->node);
    list_remove(&question->place);
    dns_answer_release(&question->answer);
    free(question);
}

struct bytes question_name(const struct question *question)
{
    return bytes_range(question->key + QUESTION_KEY_TYPE_LEN,
                       question->key_len - QUESTION_KEY_TYPE_LEN);
}

struct dns_name question_name_sent(const struct question *question)
{
    struct dns_name name = question->asked;

    if (question->is_mixed)
        dns_name_mix_case(&name, question->case_bits);
    return name;
}

void question_tell(struct question *question, const struct dns_answer *answer)
{
    struct resolver *resolver = question->resolver;
    struct list_node *node;

    while ((node = list_pop_front(&question->waiters)) != NULL) {
        struct dns_query *query = container_of(node, struct dns_query, node);

        query->answer = dns_answer_keep(answer);
        list_push_back(&resolver->told, &query->node);
    }
    engine_at_turn_end(resolver->engine, &resolver->turn_end);
}

const struct dns_answer *resolver_failure(const struct resolver *resolver, const char *why)
{
    return dns_answer_bare(DNS_FAILED, why,
                           engine_now_ms(resolver->engine) +
                               (int64_t)resolver->settings.failure_ttl_s * 1000);
}

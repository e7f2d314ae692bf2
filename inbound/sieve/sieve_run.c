/* sieve_run.c - commands one after the other, tests from the left, and what they come to. */
#include "inbound/sieve/sieve_flag.h"
#include "inbound/sieve/sieve_lexer.h"
#include "inbound/sieve/sieve_text.h"
#include "inbound/sieve/sieve_value.h"

enum {
    WORK_MAX = 50 * 1000 * 1000, /* steps of comparisons: about a tenth of a second */
    FIELD_WORK = 64,             /* steps that a value stands for, beside its bytes */
};

struct run {
    const struct sieve_message *message;
    struct sieve_result *result;
    struct sieve_flags flags; /* the internal variable of RFC 5232 section 3 */
    struct buf scratch;
    uint64_t work;
    unsigned redirects;
    bool is_implicit_kept; /* the implicit keep was not cancelled */
    bool is_stopped;
    bool has_reject, has_vacation, has_delivery;
};

/* A key list over the values that a test calls for. */
struct keys {
    struct run *run;
    struct sieve_comparison comparison;
    const struct sieve_strings *list;
};

static bool fail(struct run *run, unsigned line, const char *what)
{
    run->result->is_failed = true;
    sieve_error_set(&run->result->error, line, "%s", what);
    return false;
}

static void spend(struct run *run, size_t steps)
{
    run->work = run->work > steps ? run->work - steps : 0;
}

/* --- tests ------------------------------------------------------------------------------------ */

static bool any_key(void *context, struct bytes value)
{
    struct keys *keys = context;

    spend(keys->run, FIELD_WORK + value.len);
    for (size_t i = 0; i < keys->list->count && keys->run->work > 0; i++)
        if (sieve_text_matches(&keys->comparison, value, keys->list->of[i]))
            return true;
    return keys->run->work == 0; /* no further: it fails */
}

static struct keys keys_of(struct run *run, const struct sieve_node *node)
{
    return (struct keys){
        .run = run,
        .comparison = {.match = node->match, .comparator = node->comparator, .work = &run->work},
        .list = &node->keys,
    };
}

static bool test_header(struct run *run, const struct sieve_node *node)
{
    struct keys keys = keys_of(run, node);

    for (size_t i = 0; i < node->names.count; i++) {
        spend(run, run->message->header->count);
        if (sieve_field_values(run->message->header, node->names.of[i], &run->scratch, any_key,
                               &keys))
            return true;
    }
    return false;
}

static bool test_address(struct run *run, const struct sieve_node *node)
{
    struct keys keys = keys_of(run, node);

    for (size_t i = 0; i < node->names.count; i++) {
        spend(run, run->message->header->count);
        if (sieve_field_addresses(run->message->header, node->names.of[i], node->part,
                                  &run->scratch, any_key, &keys))
            return true;
    }
    return false;
}

static bool test_envelope(struct run *run, const struct sieve_node *node)
{
    struct keys keys = keys_of(run, node);

    for (size_t i = 0; i < node->names.count; i++) {
        bool is_from = bytes_equal_nocase(node->names.of[i], BYTES("from"));

        if (sieve_path_value(is_from ? run->message->from : run->message->to, node->part,
                             &run->scratch, any_key, &keys))
            return true;
    }
    return false;
}

static bool test_exists(struct run *run, const struct sieve_node *node)
{
    const struct mail_header *header = run->message->header;

    for (size_t i = 0; i < node->names.count; i++) {
        spend(run, header->count);
        if (mail_header_find(header, node->names.of[i], header->count) < 0)
            return false;
    }
    return true;
}

/* Each flag that is set, with each flag that is asked for (RFC 5232 section 4). */
static bool test_hasflag(struct run *run, const struct sieve_node *node)
{
    struct keys keys = keys_of(run, node);

    for (size_t i = 0; i < node->keys.count; i++) {
        struct bytes text = node->keys.of[i], flag;
        size_t end;

        while (text.len > 0) {
            end = bytes_find(text, ' ', 0);
            flag = bytes_slice(text, 0, end);
            text = bytes_slice(text, end + 1, text.len);
            for (size_t j = 0; flag.len > 0 && j < run->flags.count; j++)
                if (sieve_text_matches(&keys.comparison, run->flags.of[j], flag))
                    return true;
        }
    }
    return false;
}

static bool evaluate(struct run *run, const struct sieve_node *test);

/* Whether one of the list is as `wanted`; the rest is not looked at then. */
static bool evaluate_any(struct run *run, const struct sieve_node *list, bool wanted)
{
    for (const struct sieve_node *test = list; test != NULL; test = test->next)
        if (evaluate(run, test) == wanted)
            return true;
    return false;
}

static bool evaluate(struct run *run, const struct sieve_node *test)
{
    spend(run, 1);
    switch (test->verb) {
    case SIEVE_VERB_ADDRESS:
        return test_address(run, test);
    case SIEVE_VERB_ALLOF:
        return !evaluate_any(run, test->tests, false);
    case SIEVE_VERB_ANYOF:
        return evaluate_any(run, test->tests, true);
    case SIEVE_VERB_ENVELOPE:
        return test_envelope(run, test);
    case SIEVE_VERB_EXISTS:
        return test_exists(run, test);
    case SIEVE_VERB_HASFLAG:
        return test_hasflag(run, test);
    case SIEVE_VERB_HEADER:
        return test_header(run, test);
    case SIEVE_VERB_NOT:
        return !evaluate(run, test->tests);
    case SIEVE_VERB_SIZE:
        return test->is_over ? run->message->size > test->limit : run->message->size < test->limit;
    case SIEVE_VERB_TRUE:
        return true;
    default: /* false */
        return false;
    }
}

/* --- actions ---------------------------------------------------------------------------------- */

static struct sieve_action *add_action(struct run *run, const struct sieve_node *node,
                                       enum sieve_action_kind kind)
{
    struct sieve_result *result = run->result;

    if (result->count == SIEVE_ACTIONS_MAX) {
        (void)fail(run, node->line, "there are too many actions on this message");
        return NULL;
    }
    struct sieve_action *action = &result->actions[result->count++];

    *action = (struct sieve_action){.kind = kind, .line = node->line, .text = node->text};
    return action;
}

/* Into each mailbox once; the flags of the last one count (RFC 5232 section 3). */
static struct sieve_action *find_filed(struct run *run, struct bytes mailbox)
{
    for (size_t i = 0; i < run->result->count; i++) {
        struct sieve_action *action = &run->result->actions[i];

        if (action->kind == SIEVE_FILE && bytes_equal(action->text, mailbox))
            return action;
    }
    return NULL;
}

static bool check_no_reject(struct run *run, unsigned line)
{
    return !run->has_reject ||
           fail(run, line, "the message was rejected, so nothing else can be done with it");
}

static bool do_file(struct run *run, const struct sieve_node *node)
{
    struct sieve_action *action = find_filed(run, node->text);

    if (!check_no_reject(run, node->line))
        return false;
    if (action == NULL)
        action = add_action(run, node, SIEVE_FILE);
    if (action == NULL)
        return false;
    run->has_delivery = true;
    if (node->has_flags) {
        action->flags.count = 0;
        sieve_flags_add(&action->flags, &node->flags);
    } else {
        action->flags = run->flags;
    }
    if (!node->copies)
        run->is_implicit_kept = false;
    return true;
}

static bool do_redirect(struct run *run, const struct sieve_node *node)
{
    if (!check_no_reject(run, node->line))
        return false;
    if (!node->copies)
        run->is_implicit_kept = false;
    for (size_t i = 0; i < run->result->count; i++)
        if (run->result->actions[i].kind == SIEVE_REDIRECT &&
            bytes_equal_nocase(run->result->actions[i].text, node->text))
            return true;
    if (run->redirects++ == SIEVE_REDIRECTS_MAX)
        return fail(run, node->line, "the message is redirected too often");
    run->has_delivery = true;
    return add_action(run, node, SIEVE_REDIRECT) != NULL;
}

/* RFC 5429 section 2.4. */
static bool do_reject(struct run *run, const struct sieve_node *node)
{
    if (run->has_reject)
        return fail(run, node->line, "the message was rejected already");
    if (run->has_delivery || run->has_vacation)
        return fail(run, node->line,
                    "the message cannot be rejected: it was filed, redirected or answered");
    run->has_reject = true;
    run->is_implicit_kept = false;
    return add_action(run, node, SIEVE_REJECT) != NULL;
}

/* RFC 5230 section 4.7. */
static bool do_vacation(struct run *run, const struct sieve_node *node)
{
    if (run->has_vacation)
        return fail(run, node->line, "the message is answered already");
    if (!check_no_reject(run, node->line))
        return false;
    run->has_vacation = true;
    struct sieve_action *action = add_action(run, node, SIEVE_VACATION);

    if (action != NULL)
        action->vacation = node->vacation;
    return action != NULL;
}

static bool run_block(struct run *run, const struct sieve_node *list);

/* From an "if" on: the first block whose test is true. *next_out is behind its "else". */
static bool run_if(struct run *run, const struct sieve_node *node,
                   const struct sieve_node **next_out)
{
    const struct sieve_node *chosen = NULL;

    do {
        if (chosen == NULL && (node->verb == SIEVE_VERB_ELSE || evaluate(run, node->tests)))
            chosen = node;
        if (run->work == 0)
            return fail(run, node->line, "the script takes too long with this message");
        node = node->next;
    } while (node != NULL && (node->verb == SIEVE_VERB_ELSIF || node->verb == SIEVE_VERB_ELSE));
    *next_out = node;
    return chosen == NULL || run_block(run, chosen->block);
}

static bool run_command(struct run *run, const struct sieve_node *node)
{
    switch (node->verb) {
    case SIEVE_VERB_STOP:
        run->is_stopped = true;
        return true;
    case SIEVE_VERB_KEEP:
    case SIEVE_VERB_FILEINTO:
        return do_file(run, node);
    case SIEVE_VERB_DISCARD:
        run->is_implicit_kept = false;
        return true;
    case SIEVE_VERB_REDIRECT:
        return do_redirect(run, node);
    case SIEVE_VERB_REJECT:
    case SIEVE_VERB_EREJECT:
        return do_reject(run, node);
    case SIEVE_VERB_VACATION:
        return do_vacation(run, node);
    case SIEVE_VERB_SETFLAG:
        run->flags.count = 0;
        sieve_flags_add(&run->flags, &node->keys);
        return true;
    case SIEVE_VERB_ADDFLAG:
        sieve_flags_add(&run->flags, &node->keys);
        return true;
    case SIEVE_VERB_REMOVEFLAG:
        sieve_flags_remove(&run->flags, &node->keys);
        return true;
    default: /* require, which was looked at when the script was read */
        return true;
    }
}

static bool run_block(struct run *run, const struct sieve_node *list)
{
    const struct sieve_node *node = list;

    while (node != NULL && !run->is_stopped) {
        if (node->verb == SIEVE_VERB_IF) {
            if (!run_if(run, node, &node))
                return false;
            continue;
        }
        if (!run_command(run, node))
            return false;
        node = node->next;
    }
    return true;
}

/* --- the run ---------------------------------------------------------------------------------- */

void sieve_run(const struct sieve_script *script, const struct sieve_message *message,
               struct sieve_result *result_out)
{
    struct run run = {
        .message = message,
        .result = result_out,
        .work = WORK_MAX,
        .is_implicit_kept = true,
    };

    result_out->is_failed = false;
    result_out->count = 0;
    buf_init(&run.scratch, MAIL_HEADER_SIZE_MAX * 4);
    if (!run_block(&run, script->commands)) {
        run.is_implicit_kept = true;
        run.flags.count = 0;
        result_out->count = 0;
    }
    if (run.is_implicit_kept && find_filed(&run, BYTES_NONE) == NULL)
        result_out->actions[result_out->count++] =
            (struct sieve_action){.kind = SIEVE_FILE, .flags = run.flags};
    buf_free(&run.scratch);
}

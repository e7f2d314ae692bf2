/* chat_service_stub.c - the stub service for scripts: CONFIG service stub. */
#include "support/chat_service.h"

#include <stdlib.h>

#include "support/chat_stub.h"

/* Facts are the runner's, verdict texts live as long as the service. */
struct stub_service {
    struct chat_stub stub;
    struct buf *facts;
    struct arena arena;
};

static void *create(struct engine *engine, struct buf *facts)
{
    struct stub_service *service = calloc(1, sizeof(*service));

    check(service != NULL);
    chat_stub_init(&service->stub, engine);
    service->stub.facts = facts;
    arena_init(&service->arena, 1 << 20);
    return service;
}

/* "550 5.7.1 text": with 421 the session is closed. */
static bool parse_verdict(struct stub_service *service, struct bytes text, struct verdict *out)
{
    struct bytes code;
    struct bytes enhanced;
    uint64_t value;

    if (text.len == 0) {
        *out = VERDICT_OK;
        return true;
    }
    if (!bytes_take_until(&text, ' ', &code) || !bytes_to_u64(code, &value) ||
        !bytes_take_until(&text, ' ', &enhanced) ||
        !arena_copy(&service->arena, enhanced, &enhanced) ||
        !arena_copy(&service->arena, text, &text))
        return false;
    *out = (struct verdict){(unsigned)value, (const char *)enhanced.ptr, (const char *)text.ptr,
                            "stub", value == 421};
    return true;
}

static bool config_number(struct stub_service *service, struct bytes key, uint64_t value)
{
    struct smtp_service *smtp = &service->stub.service;
    unsigned count = (unsigned)value;

    if (bytes_equal(key, BYTES("message_size")))
        smtp->limits.message_size_max = value;
    else if (bytes_equal(key, BYTES("recipients_max")))
        smtp->limits.recipients_max = count;
    else if (bytes_equal(key, BYTES("mails_max")))
        smtp->limits.mails_max = count;
    else if (bytes_equal(key, BYTES("errors_max")))
        smtp->limits.errors_max = count;
    else if (bytes_equal(key, BYTES("line_length")))
        smtp->limits.line_length_max = value;
    else if (bytes_equal(key, BYTES("command_timeout")))
        smtp->limits.command_timeout_s = count;
    else if (bytes_equal(key, BYTES("content_timeout")))
        smtp->limits.content_timeout_s = count;
    else if (bytes_equal(key, BYTES("content_deadline")))
        smtp->limits.content_deadline_s = count;
    else if (bytes_equal(key, BYTES("content_rate")))
        smtp->limits.content_rate_min = count;
    else if (bytes_equal(key, BYTES("idle_commands")))
        smtp->limits.idle_commands_max = count;
    else if (bytes_equal(key, BYTES("swallow_max")))
        smtp->limits.swallow_max = value;
    else if (bytes_equal(key, BYTES("strict_syntax")))
        smtp->limits.is_strict = value != 0;
    else if (bytes_equal(key, BYTES("later_ms")))
        service->stub.rules.later_ms = (int64_t)value;
    else if (bytes_equal(key, BYTES("is_stranger")))
        service->stub.rules.is_stranger = value != 0;
    else if (bytes_equal(key, BYTES("needs_tls")))
        service->stub.rules.needs_tls = value != 0;
    else if (bytes_equal(key, BYTES("room")))
        service->stub.rules.room = value;
    else if (bytes_equal(key, BYTES("hold_commits")))
        service->stub.rules.holds_commits = value != 0;
    else if (bytes_equal(key, BYTES("answer_at_once")))
        service->stub.rules.answers_at_once = value != 0;
    else
        return false;
    return true;
}

/* "mail rcpt": which questions are answered later. */
static bool parse_later(struct bytes text, unsigned *later_out)
{
    static const struct {
        struct bytes name;
        enum smtp_question_kind kind;
    } questions[] = {
        {BYTES("connected"), ASKS_CONNECTED},
        {BYTES("login"), ASKS_LOGIN},
        {BYTES("login_failed"), ASKS_LOGIN_FAILED},
        {BYTES("mail"), ASKS_MAIL},
        {BYTES("rcpt"), ASKS_RCPT},
        {BYTES("begin"), ASKS_CONTENT_BEGIN},
    };
    unsigned later = 0;
    struct bytes word;

    while (text.len > 0) {
        if (!bytes_take_until(&text, ' ', &word)) {
            word = text;
            text = BYTES_NONE;
        }
        unsigned before = later;
        for (size_t i = 0; i < ARRAY_LEN(questions); i++)
            if (bytes_equal(word, questions[i].name))
                later |= 1U << questions[i].kind;
        if (later == before)
            return false;
    }
    *later_out = later;
    return true;
}

/* "user secret" */
static bool parse_user(struct stub_service *service, struct bytes text)
{
    struct chat_stub_rules *rules = &service->stub.rules;
    struct bytes user;

    if (!bytes_take_until(&text, ' ', &user) || !arena_copy(&service->arena, user, &user) ||
        !arena_copy(&service->arena, text, &text))
        return false;
    rules->user = (const char *)user.ptr;
    rules->secret = (const char *)text.ptr;
    return true;
}

/* "PLAIN LOGIN" */
static bool parse_mechanisms(struct stub_service *service, struct bytes text)
{
    enum sasl_mechanism mechanism;
    unsigned mechanisms = 0;

    while (text.len > 0) {
        struct bytes word;
        if (!bytes_take_until(&text, ' ', &word)) {
            word = text;
            text = BYTES_NONE;
        }
        if (!sasl_mechanism_find(word, &mechanism))
            return false;
        mechanisms |= 1U << mechanism;
    }
    service->stub.rules.mechanisms = mechanisms;
    return true;
}

static bool config_login(struct stub_service *service, struct bytes key, struct bytes value,
                         bool *is_good_out)
{
    struct chat_stub_rules *rules = &service->stub.rules;
    const struct {
        struct bytes name;
        struct verdict *verdict;
    } verdicts[] = {
        {BYTES("why_not"), &rules->why_not},           {BYTES("login"), &rules->login},
        {BYTES("login_begin"), &rules->login_begin},   {BYTES("login_done"), &rules->login_done},
        {BYTES("login_failed"), &rules->login_failed},
    };

    for (size_t i = 0; i < ARRAY_LEN(verdicts); i++) {
        if (bytes_equal(key, verdicts[i].name)) {
            *is_good_out = parse_verdict(service, value, verdicts[i].verdict);
            return true;
        }
    }
    if (bytes_equal(key, BYTES("auth")))
        *is_good_out = parse_mechanisms(service, value);
    else if (bytes_equal(key, BYTES("user")))
        *is_good_out = parse_user(service, value);
    else
        return false;
    return true;
}

static bool config(void *context, struct bytes key, struct bytes value)
{
    struct stub_service *service = context;
    struct chat_stub_rules *rules = &service->stub.rules;
    struct bytes glob;
    uint64_t number;
    bool is_good;

    if (config_login(service, key, value, &is_good))
        return is_good;
    if (bytes_equal(key, BYTES("connected")))
        return parse_verdict(service, value, &rules->connected);
    if (bytes_equal(key, BYTES("mail")))
        return parse_verdict(service, value, &rules->mail);
    if (bytes_equal(key, BYTES("rcpt")))
        return parse_verdict(service, value, &rules->rcpt);
    if (bytes_equal(key, BYTES("begin")))
        return parse_verdict(service, value, &rules->begin);
    if (bytes_equal(key, BYTES("commit")))
        return parse_verdict(service, value, &rules->commit);
    if (bytes_equal(key, BYTES("later")))
        return parse_later(value, &rules->later);
    if (bytes_equal(key, BYTES("rcpt_refused"))) {
        if (!arena_copy(&service->arena, value, &glob))
            return false;
        rules->rcpt_refused = (const char *)glob.ptr;
        return true;
    }
    return bytes_to_u64(value, &number) && config_number(service, key, number);
}

static void set_tls(void *context, struct tls_context *tls_context, enum smtp_tls tls)
{
    struct stub_service *service = context;

    service->stub.service.tls = tls_context;
    service->stub.tls = tls;
}

static bool start(void *context __attribute__((unused)))
{
    return true;
}

static void accept_fd(void *context, int fd)
{
    struct stub_service *service = context;

    chat_stub_accept(&service->stub, fd);
}

/* ANSWER [verdict]: a script expects the question's fact before. */
static bool answer(struct stub_service *service, struct bytes argument)
{
    struct verdict verdict;

    if (!chat_stub_is_asked(&service->stub) || !parse_verdict(service, argument, &verdict))
        return false;
    chat_stub_answer(&service->stub, argument.len > 0 ? &verdict : NULL);
    return true;
}

/* STOP, ABORT, RELEASE, ROOM bytes, RULE key value (as CONFIG), ANSWER [verdict], ANSWER-LATE. */
static bool command(void *context, struct bytes word, struct bytes argument)
{
    struct stub_service *service = context;
    struct bytes key;
    uint64_t room;

    if (bytes_equal(word, BYTES("STOP"))) {
        chat_stub_stop(&service->stub);
    } else if (bytes_equal(word, BYTES("ABORT"))) {
        chat_stub_abort(&service->stub);
    } else if (bytes_equal(word, BYTES("RELEASE"))) {
        chat_stub_release(&service->stub);
    } else if (bytes_equal(word, BYTES("ANSWER"))) {
        return answer(service, argument);
    } else if (bytes_equal(word, BYTES("ANSWER-LATE"))) {
        return chat_stub_answer_late(&service->stub) > 0;
    } else if (bytes_equal(word, BYTES("ROOM"))) {
        if (!bytes_to_u64(argument, &room))
            return false;
        chat_stub_room(&service->stub, room);
    } else if (bytes_equal(word, BYTES("RULE"))) {
        if (!bytes_take_until(&argument, ' ', &key)) {
            key = argument;
            argument = BYTES_NONE;
        }
        return config(context, key, argument);
    } else {
        return false;
    }
    return true;
}

static void abort_all(void *context)
{
    struct stub_service *service = context;

    chat_stub_abort(&service->stub);
}

static bool is_idle(void *context)
{
    const struct stub_service *service = context;

    return chat_stub_sessions(&service->stub) == 0;
}

static void free_service(void *context)
{
    struct stub_service *service = context;

    chat_stub_free(&service->stub);
    arena_free(&service->arena);
    free(service);
}

const struct chat_service chat_service_stub = {
    .name = "stub",
    .create = create,
    .config = config,
    .start = start,
    .accept = accept_fd,
    .set_tls = set_tls,
    .command = command,
    .abort = abort_all,
    .is_idle = is_idle,
    .free = free_service,
};

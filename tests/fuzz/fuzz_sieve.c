/* modules: sieve */
/* fuzz_sieve.c - any bytes as a script, and behind a NUL, which no script holds, a message. */
#include <stdint.h>
#include <string.h>

#include "inbound/sieve/vacation.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

static bool is_mailbox(struct bytes name)
{
    return name.len > 0 && name.ptr[0] != '/';
}

static void check_error(const struct sieve_error *error, struct bytes script)
{
    size_t lines = 1;

    for (size_t i = 0; i < script.len; i++)
        lines += script.ptr[i] == '\n';
    check(error->line <= lines);
    check(error->what[0] != '\0');
    check(memchr(error->what, '\n', sizeof(error->what)) == NULL);
    check(memchr(error->what, '\0', sizeof(error->what)) != NULL);
}

static void check_action(const struct sieve_action *action)
{
    check(action->flags.count <= SIEVE_FLAGS_MAX);
    switch (action->kind) {
    case SIEVE_FILE:
        check(action->text.len == 0 || is_mailbox(action->text));
        for (size_t i = 0; i < action->flags.count; i++)
            check(action->flags.of[i].len > 0);
        return;
    case SIEVE_REDIRECT:
        check(bytes_find(action->text, '@', 0) < action->text.len);
        check(bytes_find(action->text, '\n', 0) == action->text.len);
        return;
    case SIEVE_REJECT:
        check(action->text.len <= SIEVE_REASON_MAX);
        return;
    case SIEVE_VACATION:
        check(action->vacation->days >= 1 && action->vacation->days <= SIEVE_DAYS_MAX);
        return;
    }
}

/* Whatever it says, an answer is lines that may be sent, and its header ends where it should. */
static void check_answer(const struct sieve_message *message, const struct sieve_action *action)
{
    const struct vacation_question question = {.message = message,
                                               .vacation = action->vacation,
                                               .account = BYTES("runner@acme.example")};
    const struct vacation_names names = {.id = BYTES("<1@acme.example>"),
                                         .date = "Sat, 28 Nov 2026 23:00:00 +0000"};
    struct bytes from;
    struct buf out;

    (void)vacation_refusal(&question);
    (void)vacation_key(message, action->vacation);
    buf_init(&out, 1 << 20);
    if (vacation_write(&question, &names, &out, &from)) {
        struct bytes text = buf_bytes(&out), line;
        bool in_header = true;

        check(bytes_find(text, '\0', 0) == text.len);
        while (bytes_take_until(&text, '\n', &line)) {
            check(line.len > 0 && line.len <= 999 && line.ptr[line.len - 1] == '\r');
            check(bytes_find(line, '\r', 0) == line.len - 1);
            in_header = in_header && line.len > 1;
        }
        check(text.len == 0 && !in_header);
        check(bytes_ends_nocase(from, BYTES("@acme.example")));
    }
    buf_free(&out);
}

static void check_result(const struct sieve_result *result, struct bytes script)
{
    unsigned redirects = 0, rejects = 0, answers = 0, files = 0;

    check(result->count <= SIEVE_ACTIONS_MAX + 1);
    if (result->is_failed) {
        check_error(&result->error, script);
        check(result->count == 1);
        check(result->actions[0].kind == SIEVE_FILE && result->actions[0].text.len == 0);
        check(result->actions[0].line == 0);
    }
    for (size_t i = 0; i < result->count; i++) {
        const struct sieve_action *action = &result->actions[i];

        check_action(action);
        redirects += action->kind == SIEVE_REDIRECT;
        rejects += action->kind == SIEVE_REJECT;
        answers += action->kind == SIEVE_VACATION;
        files += action->kind == SIEVE_FILE;
        for (size_t j = 0; j < i; j++) /* each mailbox once */
            check(action->kind != SIEVE_FILE || result->actions[j].kind != SIEVE_FILE ||
                  !bytes_equal(action->text, result->actions[j].text));
    }
    check(redirects <= SIEVE_REDIRECTS_MAX);
    check(rejects <= 1 && answers <= 1);
    check(rejects == 0 || redirects + answers + files == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    static const struct sieve_host host = {.can_redirect = true,
                                           .can_answer = true,
                                           .is_mailbox = is_mailbox};
    struct bytes all = bytes_range(input, len);
    size_t end = bytes_find(all, '\0', 0);
    struct bytes text = bytes_slice(all, 0, end), rest = bytes_slice(all, end + 1, len);
    struct sieve_error error;
    struct sieve_script *script = sieve_parse(text, &host, &error);
    struct sieve_result result;
    struct mail_header header;

    if (script == NULL) {
        check_error(&error, text);
        return 0;
    }
    mail_header_init(&header, MAIL_HEADER_SIZE_MAX, MAIL_HEADER_FIELDS_MAX);
    if (!mail_header_feed(&header, &rest))
        mail_header_finish(&header);
    struct sieve_message message = {.header = &header,
                                    .size = len,
                                    .from = BYTES("coyote+a@desert.example"),
                                    .to = BYTES("runner@acme.example")};

    sieve_run(script, &message, &result);
    check_result(&result, text);
    for (size_t i = 0; i < result.count; i++)
        if (result.actions[i].kind == SIEVE_VACATION)
            check_answer(&message, &result.actions[i]);
    sieve_free(&script);
    mail_header_free(&header);
    return 0;
}

/* sorting.c - a script over a message, and its actions in the terms of the store. */
#include "inbound/sorting/sorting.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "inbound/sieve/vacation.h"
#include "inbound/sorting/account_script.h"
#include "inbound/sorting/vacation_memory.h"
#include "inbound/store/mail_name.h"

enum { ANSWER_MAX = 1 << 20 };

static void tell_why(const struct sorting_request *request, unsigned line, const char *what,
                     const char *why)
{
    char address[2 * MAIL_NAME_MAX + 2];

    (void)snprintf(address, sizeof(address), "%.*s@%.*s", BYTES_ARG(request->local),
                   BYTES_ARG(request->domain));
    log_limited(LOG_LEVEL_WARN, "account=%s line=%u what=%s why=%s", LOG_TEXT(bytes_of(address)),
                line, LOG_STRING(what), LOG_TEXT(bytes_of(why)));
}

static void tell(const struct sorting_request *request, unsigned line, const char *why)
{
    tell_why(request, line, "its Sieve script does not count: mail goes where it goes without one",
             why);
}

/* --- targets ---------------------------------------------------------------------------------- */

/* Maildir has letters for these, in the order of ASCII, and none for keywords, which are passed
 * over (RFC 5232 section 5). */
static void put_flags(const struct sieve_flags *flags, char out[static 8])
{
    static const struct {
        const char *flag;
        char letter;
    } letters[] = {{"\\Draft", 'D'},
                   {"\\Flagged", 'F'},
                   {"\\Answered", 'R'},
                   {"\\Seen", 'S'},
                   {"\\Deleted", 'T'}};
    size_t len = 0;

    for (size_t i = 0; i < ARRAY_LEN(letters); i++)
        for (size_t j = 0; j < flags->count; j++)
            if (bytes_equal_nocase(bytes_of(letters[i].flag), flags->of[j]))
                out[len++] = letters[i].letter;
    out[len] = '\0';
}

/* Two actions may mean one folder; the flags of the last count. */
static struct filing_target *need_target(struct sorting *sorting, const char *folder)
{
    for (size_t i = 0; i < sorting->target_count; i++)
        if (strcmp(sorting->targets[i].folder, folder) == 0)
            return &sorting->targets[i];
    if (sorting->target_count == ARRAY_LEN(sorting->targets))
        return NULL;
    struct filing_target *target = &sorting->targets[sorting->target_count++];

    (void)snprintf(target->folder, sizeof(target->folder), "%s", folder);
    return target;
}

static bool add_target(const struct sorting_request *request, const struct sieve_action *action,
                       struct sorting *sorting)
{
    char folder[MAIL_FOLDER_MAX + 1] = "";

    if (action->text.len == 0)
        (void)snprintf(folder, sizeof(folder), "%s", request->usual->folder);
    else if (!mail_folder_encode(action->text, folder))
        return false; /* not after the script was checked */
    struct filing_target *target = need_target(sorting, folder);

    if (target != NULL)
        put_flags(&action->flags, target->flags);
    return target != NULL;
}

/* --- the result ------------------------------------------------------------------------------- */

static void put_reason(struct bytes text, struct sorting *sorting)
{
    size_t len = 0;

    while (text.len > 0 && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r'))
        text = bytes_slice(text, 0, text.len - 1);
    for (size_t i = 0; i < text.len && len < sizeof(sorting->reason) - 1; i++)
        if (text.ptr[i] != '\r' && text.ptr[i] != '\0')
            sorting->reason[len++] = (char)text.ptr[i];
    sorting->reason[len] = '\0';
}

/* Sent on for this account before: whoever sends on says so in a field behind ours. */
static bool is_loop(const struct sorting_request *request, const struct mail_header *header)
{
    size_t at = 0;

    for (size_t i = 0; i < header->count; i++) {
        const struct mail_field *field = &header->fields[i];
        struct bytes value = bytes_trim(field->value);
        bool is_ours = at < request->head.len;

        at += field->raw.len;
        if (!is_ours && bytes_equal_nocase(field->name, BYTES("Delivered-To")) &&
            bytes_take_nocase(&value, request->local) && bytes_take_nocase(&value, BYTES("@")) &&
            bytes_equal_nocase(value, request->domain))
            return true;
    }
    return false;
}

/* False: there is no room, which there is for as many as a script may have. */
static bool add_redirect(struct bytes address, struct sorting *out)
{
    if (out->redirect_count == SIEVE_REDIRECTS_MAX || address.len > SORTING_ADDRESS_MAX)
        return false;
    (void)snprintf(out->redirects[out->redirect_count++], SORTING_ADDRESS_MAX + 1, "%.*s",
                   BYTES_ARG(address));
    return true;
}

static void leave_out(const struct sorting_request *request, unsigned line, const char *what,
                      struct sorting *out)
{
    tell(request, line, what);
    *out = (struct sorting){.kind = SORTING_NONE, .answer = out->answer};
}

/* --- answers ---------------------------------------------------------------------------------- */

static const char *refusal(const struct sorting_request *request,
                           const struct vacation_question *question)
{
    if (request->usual->folder[0] != '\0')
        return "it was marked as spam";
    if (is_loop(request, question->message->header))
        return "it was sent on for the account before";
    return vacation_refusal(question);
}

static enum sorting_answer claim(const struct sorting_request *request,
                                 const struct vacation_question *question, const char **why)
{
    const struct vacation_claim claim = {
        .key = vacation_key(question->message, question->vacation),
        .message = request->message,
        .recipient = request->recipient,
        .lasts_s = (uint32_t)question->vacation->days * 86400,
        .now_s = request->now_ms / 1000,
    };
    int result = vacation_memory_claim(request->directory, request->domain, request->local, &claim);

    if (result < 0)
        *why = strerrordesc_np(-result);
    return result < 0    ? SORTING_ANSWER_FAILED
           : result == 0 ? SORTING_ANSWERED_BEFORE
                         : SORTING_ANSWERED;
}

/* What it comes to is only known once the claim stands: written first, it may be thrown away. */
static void answer(const struct sorting_request *request, const struct sieve_message *message,
                   const struct sieve_action *action, struct sorting *out)
{
    char account[2 * MAIL_NAME_MAX + 2], date[CLOCK_TEXT_MAX];
    struct vacation_question question = {.message = message,
                                         .vacation = action->vacation,
                                         .account = bytes_of(account),
                                         .alias = request->alias};
    const struct vacation_names names = {.id = request->answer_id, .date = date};
    struct bytes from;

    (void)snprintf(account, sizeof(account), "%.*s@%.*s", BYTES_ARG(request->local),
                   BYTES_ARG(request->domain));
    question.account = bytes_of(account);
    clock_format_rfc5322(request->now_ms, date);
    out->why = refusal(request, &question);
    if (out->why != NULL) {
        out->answered = SORTING_UNANSWERED;
        return;
    }
    if (!vacation_write(&question, &names, &out->answer, &from) || from.len > SORTING_ADDRESS_MAX) {
        out->answered = SORTING_ANSWER_FAILED;
        out->why = "its text is no MIME entity, or holds what no message may";
    } else {
        (void)snprintf(out->answer_from, sizeof(out->answer_from), "%.*s", BYTES_ARG(from));
        out->answered = claim(request, &question, &out->why);
    }
    if (out->answered == SORTING_ANSWER_FAILED)
        tell_why(request, action->line, "the sender is not answered by its Sieve script", out->why);
}

/* --- the run ---------------------------------------------------------------------------------- */

static void take_actions(const struct sorting_request *request, const struct sieve_message *message,
                         const struct sieve_result *result, struct sorting *out)
{
    const struct sieve_action *vacation = NULL;

    for (size_t i = 0; i < result->count; i++) {
        const struct sieve_action *action = &result->actions[i];

        switch (action->kind) {
        case SIEVE_FILE:
            if (!add_target(request, action, out)) {
                leave_out(request, action->line, "it files a message in too many mailboxes", out);
                return;
            }
            break;
        case SIEVE_REJECT:
            out->kind = SORTING_REJECTED;
            put_reason(action->text, out);
            break;
        case SIEVE_REDIRECT:
            if (is_loop(request, message->header) || !add_redirect(action->text, out)) {
                leave_out(request, action->line, "it redirects a message that it redirected before",
                          out);
                return;
            }
            break;
        case SIEVE_VACATION:
            vacation = action;
            break;
        }
    }
    if (out->kind != SORTING_REJECTED)
        out->kind = out->target_count > 0     ? SORTING_FILED
                    : out->redirect_count > 0 ? SORTING_REDIRECTED
                                              : SORTING_DISCARDED;
    if (vacation != NULL)
        answer(request, message, vacation, out);
}

static void run(const struct sorting_request *request, const struct sieve_script *script,
                struct sorting *out)
{
    struct bytes pieces[] = {request->head, request->prefix, request->content};
    struct sieve_message message = {.from = request->from, .to = request->to};
    struct sieve_result result;
    struct mail_header header;
    bool is_over = false;

    mail_header_init(&header, MAIL_HEADER_SIZE_MAX, MAIL_HEADER_FIELDS_MAX);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        message.size += pieces[i].len;
        is_over = is_over || mail_header_feed(&header, &pieces[i]);
    }
    if (!is_over)
        mail_header_finish(&header);
    message.header = &header;
    sieve_run(script, &message, &result);
    if (result.is_failed)
        tell(request, result.error.line, result.error.what);
    else
        take_actions(request, &message, &result, out);
    mail_header_free(&header);
}

void sort_message(const struct sorting_request *request, struct sorting *out)
{
    struct sieve_script *script = NULL;
    struct sieve_error why;
    struct buf text;

    *out = (struct sorting){.kind = SORTING_NONE};
    buf_init(&out->answer, ANSWER_MAX);
    buf_init(&text, SIEVE_SIZE_MAX + 4096);
    int error = account_script_read(request->directory, request->domain, request->local, &text);

    if (error == 0) {
        script = sieve_parse(buf_bytes(&text), &account_script_host, &why);
        if (script == NULL)
            tell(request, why.line, why.what);
    } else if (error != -ENOENT && error != -ENAMETOOLONG) {
        tell(request, 0, strerrordesc_np(-error));
    }
    buf_free(&text);
    if (script != NULL)
        run(request, script, out);
    sieve_free(&script);
}

void sorting_free(struct sorting *sorting)
{
    buf_free(&sorting->answer);
}

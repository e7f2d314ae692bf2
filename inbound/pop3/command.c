/* command.c - the commands of POP3 (RFC 1939 sections 4 to 7, RFC 2449), by a table. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "inbound/access/login.h"
#include "inbound/access/tls.h"
#include "inbound/pop3/work.h"

enum { ANYONE = 1, STRANGER = 2, READER = 4 };

struct command {
    const char *name;
    unsigned allowed;
    enum step (*handle)(struct pop3_session *session, struct bytes argument);
};

/* --- what is answered at once ----------------------------------------------------------------- */

static enum step handle_capa(struct pop3_session *session, struct bytes argument)
{
    bool is_stranger = session->access.work == NULL,
         may_log_in = access_may_log_in(&session->access);

    if (argument.len > 0)
        return pop3_bad(session, "Syntax is CAPA");
    return pop3_say(session,
                    "+OK Capabilities follow\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"
                    "PIPELINING\r\nEXPIRE NEVER\r\n%s%s%s%sIMPLEMENTATION ringpost\r\n.\r\n",
                    may_log_in ? "USER\r\n" : "", may_log_in ? "SASL PLAIN SCRAM-SHA-256" : "",
                    !may_log_in ? ""
                    : access_offers(&session->access, SASL_SCRAM_SHA_256_PLUS)
                        ? " SCRAM-SHA-256-PLUS\r\n"
                        : "\r\n",
                    is_stranger && access_offers_starttls(&session->access) ? "STLS\r\n" : "");
}

static enum step handle_noop(struct pop3_session *session, struct bytes argument)
{
    return argument.len > 0 ? pop3_bad(session, "Syntax is NOOP") : pop3_say(session, "+OK\r\n");
}

static enum step handle_stat(struct pop3_session *session, struct bytes argument)
{
    const struct maildrop *maildrop = &pop3_work_of(session)->maildrop;

    if (argument.len > 0)
        return pop3_bad(session, "Syntax is STAT");
    return pop3_say(session, "+OK %zu %" PRIu64 "\r\n", maildrop->count - maildrop->deleted_count,
                    maildrop->bytes - maildrop->deleted_bytes);
}

static enum step handle_rset(struct pop3_session *session, struct bytes argument)
{
    if (argument.len > 0)
        return pop3_bad(session, "Syntax is RSET");
    maildrop_reset(&pop3_work_of(session)->maildrop);
    return pop3_say(session, "+OK\r\n");
}

/* A message's number; NULL: it was answered, with *step_out. */
static struct maildrop_message *find(struct pop3_session *session, struct bytes number,
                                     enum step *step_out)
{
    struct maildrop_message *message;
    uint64_t value;

    if (!bytes_to_u64(number, &value)) {
        *step_out = pop3_bad(session, "The number of a message is missing");
        return NULL;
    }
    message = maildrop_find(&pop3_work_of(session)->maildrop, value);
    if (message == NULL)
        *step_out = pop3_say(session, "-ERR There is no such message\r\n");
    return message;
}

static enum step handle_dele(struct pop3_session *session, struct bytes argument)
{
    enum step step;
    struct maildrop_message *message = find(session, argument, &step);

    if (message == NULL)
        return step;
    maildrop_delete(&pop3_work_of(session)->maildrop, message);
    return pop3_say(session, "+OK It goes at QUIT\r\n");
}

/* --- lists ------------------------------------------------------------------------------------ */

static bool run_list(struct pop3_work *work, bool with_uids)
{
    struct maildrop *maildrop = &work->maildrop;

    for (; maildrop->next < maildrop->count; maildrop->next++) {
        const struct maildrop_message *message = &maildrop->messages[maildrop->next];

        if (maildrop->next % 256 == 0 && pop3_work_is_full(work))
            return false;
        if (message->is_deleted)
            continue;
        if (with_uids)
            pop3_work_printf(work, "%zu %u.%u\r\n", maildrop->next + 1, maildrop->uidvalidity,
                             message->uid);
        else
            pop3_work_printf(work, "%zu %" PRIu64 "\r\n", maildrop->next + 1, message->size);
        if (maildrop->next % 256 == 255 && pop3_work_is_full(work)) {
            maildrop->next++;
            return false;
        }
    }
    pop3_work_put(work, BYTES(".\r\n"));
    return true;
}

static bool run_scan(struct pop3_work *work)
{
    return run_list(work, false);
}

static bool run_uidl(struct pop3_work *work)
{
    return run_list(work, true);
}

static enum step begin_list(struct pop3_session *session, bool (*run)(struct pop3_work *work))
{
    pop3_work_of(session)->maildrop.next = 0;
    if (pop3_say(session, "+OK %zu messages\r\n",
                 pop3_work_of(session)->maildrop.count -
                     pop3_work_of(session)->maildrop.deleted_count) == STEP_CLOSE)
        return STEP_CLOSE;
    return pop3_work_begin_quick(pop3_work_of(session), run);
}

static enum step handle_list(struct pop3_session *session, struct bytes argument)
{
    enum step step;

    if (argument.len == 0)
        return begin_list(session, run_scan);
    const struct maildrop_message *message = find(session, argument, &step);

    if (message == NULL)
        return step;
    return pop3_say(session, "+OK %.*s %" PRIu64 "\r\n", BYTES_ARG(argument), message->size);
}

/* The UID, and what it is of: another maildrop never has the same (RFC 1939 section 7). */
static enum step handle_uidl(struct pop3_session *session, struct bytes argument)
{
    enum step step;

    if (argument.len == 0)
        return begin_list(session, run_uidl);
    const struct maildrop_message *message = find(session, argument, &step);

    if (message == NULL)
        return step;
    return pop3_say(session, "+OK %.*s %u.%u\r\n", BYTES_ARG(argument),
                    pop3_work_of(session)->maildrop.uidvalidity, message->uid);
}

/* --- messages --------------------------------------------------------------------------------- */

static void tell_failure(struct pop3_work *work, int error)
{
    log_limited(LOG_LEVEL_ERROR, "account=%s@%s service=pop3 what=\"mail cannot be read: %s\"",
                LOG_STRING(work->maildrop.local), LOG_STRING(work->maildrop.domain),
                strerror(-error));
}

static bool run_send(struct pop3_work *work)
{
    int more = maildrop_send(&work->maildrop, work->access.is_on_engine, &work->access.out);

    if (access_work_would_wait(&work->access, more))
        return false;
    if (more < 0) { /* half of it was sent: nothing but the end can be said */
        tell_failure(work, more);
        work->access.is_last = true;
        return true;
    }
    if (more == 0)
        pop3_work_put(work, BYTES(".\r\n"));
    return more == 0;
}

static bool run_retr(struct pop3_work *work)
{
    struct maildrop *maildrop = &work->maildrop;
    struct maildrop_message *message = &maildrop->messages[maildrop->next];
    bool is_whole = maildrop->lines_left == UINT64_MAX;
    int error = maildrop_begin(maildrop, message, maildrop->lines_left, work->access.is_on_engine);

    if (access_work_would_wait(&work->access, error))
        return false;
    if (error == -ENOENT) {
        pop3_work_put(work, BYTES("-ERR The message was removed meanwhile\r\n"));
        return true;
    }
    if (error < 0) {
        tell_failure(work, error);
        pop3_work_put(work, BYTES("-ERR [SYS/TEMP] The message cannot be read now\r\n"));
        return true;
    }
    message->was_read |= is_whole;
    if (is_whole)
        pop3_work_printf(work, "+OK %" PRIu64 " octets\r\n", message->size);
    else
        pop3_work_put(work, BYTES("+OK\r\n"));
    work->run = run_send;
    return false;
}

static enum step begin_message(struct pop3_session *session, const struct maildrop_message *message,
                               uint64_t lines)
{
    struct maildrop *maildrop = &pop3_work_of(session)->maildrop;

    maildrop->next = (size_t)(message - maildrop->messages);
    maildrop->lines_left = lines;
    return pop3_work_begin_quick(pop3_work_of(session), run_retr);
}

static enum step handle_retr(struct pop3_session *session, struct bytes argument)
{
    enum step step;
    const struct maildrop_message *message = find(session, argument, &step);

    return message == NULL ? step : begin_message(session, message, UINT64_MAX);
}

static enum step handle_top(struct pop3_session *session, struct bytes argument)
{
    struct bytes number;
    uint64_t lines;
    enum step step;

    if (!bytes_take_until(&argument, ' ', &number) || !bytes_to_u64(argument, &lines) ||
        lines == UINT64_MAX)
        return pop3_bad(session, "Syntax is TOP number lines");
    const struct maildrop_message *message = find(session, number, &step);

    return message == NULL ? step : begin_message(session, message, lines);
}

/* --- the end ---------------------------------------------------------------------------------- */

static bool run_quit(struct pop3_work *work)
{
    int more = maildrop_update(&work->maildrop);

    if (more > 0)
        return false;
    if (more < 0) {
        log_limited(LOG_LEVEL_ERROR,
                    "account=%s@%s service=pop3 what=\"messages could not be removed: %s\"",
                    LOG_STRING(work->maildrop.local), LOG_STRING(work->maildrop.domain),
                    strerror(-more));
        pop3_work_put(work, BYTES("-ERR [SYS/TEMP] Some messages were not removed\r\n"));
    } else {
        pop3_work_put(work, BYTES("+OK Bye\r\n"));
    }
    metric_add(METRIC_POP3_DELETED, more < 0 ? 0 : work->maildrop.deleted_count);
    work->access.is_last = true;
    return true;
}

static enum step handle_quit(struct pop3_session *session, struct bytes argument)
{
    if (argument.len > 0)
        return pop3_bad(session, "Syntax is QUIT");
    if (session->access.work == NULL) {
        (void)pop3_say(session, "+OK Bye\r\n");
        return STEP_CLOSE;
    }
    pop3_work_of(session)->maildrop.next = 0;
    pop3_work_of(session)->access.is_update = true;
    return pop3_work_begin(pop3_work_of(session), run_quit);
}

static enum step handle_stls(struct pop3_session *session, struct bytes argument)
{
    return access_handle_starttls(&session->access, argument);
}

/* --- the table -------------------------------------------------------------------------------- */

static const struct command commands[] = {
    {"CAPA", ANYONE, handle_capa},        {"QUIT", ANYONE, handle_quit},
    {"USER", STRANGER, pop3_handle_user}, {"PASS", STRANGER, pop3_handle_pass},
    {"AUTH", STRANGER, pop3_handle_auth}, {"STLS", STRANGER, handle_stls},
    {"STAT", READER, handle_stat},        {"LIST", READER, handle_list},
    {"UIDL", READER, handle_uidl},        {"RETR", READER, handle_retr},
    {"TOP", READER, handle_top},          {"DELE", READER, handle_dele},
    {"RSET", READER, handle_rset},        {"NOOP", READER, handle_noop},
};

enum step pop3_run_command(struct pop3_session *session, struct bytes line)
{
    size_t space = bytes_find(line, ' ', 0);
    struct bytes name = bytes_slice(line, 0, space);
    struct bytes argument = bytes_slice(line, space + 1, line.len);
    unsigned who = session->access.work == NULL ? ANYONE | STRANGER : ANYONE | READER;

    metric_inc(METRIC_POP3_COMMANDS);
    access_note_life(&session->access);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (!bytes_equal_nocase(name, bytes_of(commands[i].name)))
            continue;
        if ((commands[i].allowed & who) == 0)
            return pop3_bad(session, session->access.work == NULL
                                         ? "Log in first"
                                         : "Somebody has logged in already");
        if (session->access.work != NULL && !access_login_still_good(&session->access))
            return pop3_leave(session, access_kind_of(&session->access)->words.expired);
        return commands[i].handle(session, argument);
    }
    return pop3_bad(session, "Unknown command");
}

/* command.c - the table of commands, and those that an engine answers at once. */
#include "inbound/imap/command.h"

#include <stdio.h>

#include "base/log.h"
#include "inbound/access/login.h"
#include "inbound/access/tls.h"
#include "inbound/imap/append.h"
#include "inbound/imap/compress.h"
#include "inbound/imap/idle.h"

enum { IN_STRANGER = 1, IN_AUTHENTICATED = 2, IN_SELECTED = 4 };
enum { IN_ANY = 7, IN_ACCOUNT = IN_AUTHENTICATED | IN_SELECTED };

static enum step handle_capability(struct imap_session *session, struct bytes arguments);
static enum step handle_noop(struct imap_session *session, struct bytes arguments);
static enum step handle_starttls(struct imap_session *session, struct bytes arguments);
static enum step handle_logout(struct imap_session *session, struct bytes arguments);
static enum step handle_id(struct imap_session *session, struct bytes arguments);
static enum step handle_enable(struct imap_session *session, struct bytes arguments);
static enum step handle_namespace(struct imap_session *session, struct bytes arguments);
static bool parse_nothing(struct imap_work *work, struct bytes *arguments);

static const struct imap_command {
    const char *name;
    unsigned allowed; /* states of RFC 9051 section 3, as bits */
    enum step (*handle)(struct imap_session *session, struct bytes arguments);
    bool (*parse)(struct imap_work *work, struct bytes *arguments);
    enum work_step (*run)(struct imap_work *work);
    enum work_sync sync; /* by UID it is always SYNC_ALL */
    bool has_uid_form;
} commands[] = {
    {"CAPABILITY", IN_ANY, handle_capability, NULL, NULL, SYNC_NOTHING, false},
    {"NOOP", IN_ANY, handle_noop, NULL, NULL, SYNC_NOTHING, false},
    {"LOGOUT", IN_ANY, handle_logout, NULL, NULL, SYNC_NOTHING, false},
    {"ID", IN_ANY, handle_id, NULL, NULL, SYNC_NOTHING, false},
    {"STARTTLS", IN_STRANGER, handle_starttls, NULL, NULL, SYNC_NOTHING, false},
    {"AUTHENTICATE", IN_STRANGER, imap_handle_authenticate, NULL, NULL, SYNC_NOTHING, false},
    {"LOGIN", IN_STRANGER, imap_handle_login, NULL, NULL, SYNC_NOTHING, false},
    {"ENABLE", IN_AUTHENTICATED, handle_enable, NULL, NULL, SYNC_NOTHING, false},
    {"NAMESPACE", IN_ACCOUNT, handle_namespace, NULL, NULL, SYNC_NOTHING, false},
    {"IDLE", IN_ACCOUNT, imap_handle_idle, NULL, NULL, SYNC_NOTHING, false},
    {"COMPRESS", IN_ACCOUNT, imap_handle_compress, NULL, NULL, SYNC_NOTHING, false},
    {"CHECK", IN_SELECTED, handle_noop, NULL, NULL, SYNC_NOTHING, false},
    {"SELECT", IN_ACCOUNT, NULL, imap_parse_select, imap_run_select, SYNC_NOTHING, false},
    {"EXAMINE", IN_ACCOUNT, NULL, imap_parse_examine, imap_run_select, SYNC_NOTHING, false},
    {"CREATE", IN_ACCOUNT, NULL, imap_parse_create, imap_run_create, SYNC_ALL, false},
    {"DELETE", IN_ACCOUNT, NULL, imap_parse_name, imap_run_delete, SYNC_ALL, false},
    {"RENAME", IN_ACCOUNT, NULL, imap_parse_rename, imap_run_rename, SYNC_ALL, false},
    {"SUBSCRIBE", IN_ACCOUNT, NULL, imap_parse_name, imap_run_subscribe, SYNC_ALL, false},
    {"UNSUBSCRIBE", IN_ACCOUNT, NULL, imap_parse_name, imap_run_unsubscribe, SYNC_ALL, false},
    {"LIST", IN_ACCOUNT, NULL, imap_parse_list, imap_run_list, SYNC_ALL, false},
    {"LSUB", IN_ACCOUNT, NULL, imap_parse_lsub, imap_run_list, SYNC_ALL, false},
    {"STATUS", IN_ACCOUNT, NULL, imap_parse_status, imap_run_status, SYNC_ALL, false},
    {"GETQUOTA", IN_ACCOUNT, NULL, imap_parse_quota, imap_run_quota, SYNC_ALL, false},
    {"GETQUOTAROOT", IN_ACCOUNT, NULL, imap_parse_name, imap_run_quotaroot, SYNC_ALL, false},
    {"GETMETADATA", IN_ACCOUNT, NULL, imap_parse_getmetadata, imap_run_getmetadata, SYNC_ALL,
     false},
    {"SETMETADATA", IN_ACCOUNT, NULL, imap_parse_setmetadata, imap_run_setmetadata, SYNC_ALL,
     false},
    {"NOTIFY", IN_ACCOUNT, NULL, imap_parse_notify, imap_run_notify, SYNC_ALL, false},
    {"APPEND", IN_ACCOUNT, imap_handle_append, NULL, NULL, SYNC_NOTHING, false},
    {"CLOSE", IN_SELECTED, NULL, parse_nothing, imap_run_close, SYNC_NOTHING, false},
    {"REPLACE", IN_SELECTED, imap_handle_append, NULL, NULL, SYNC_NOTHING, true},
    {"UNSELECT", IN_SELECTED, NULL, parse_nothing, imap_run_unselect, SYNC_NOTHING, false},
    {"EXPUNGE", IN_SELECTED, NULL, imap_parse_expunge, imap_run_expunge, SYNC_ALL, true},
    {"SEARCH", IN_SELECTED, NULL, imap_parse_search, imap_run_search, SYNC_FLAGS, true},
    {"SORT", IN_SELECTED, NULL, imap_parse_sort, imap_run_sort, SYNC_FLAGS, true},
    {"THREAD", IN_SELECTED, NULL, imap_parse_thread, imap_run_sort, SYNC_FLAGS, true},
    {"FETCH", IN_SELECTED, NULL, imap_parse_fetch, imap_run_fetch, SYNC_FLAGS, true},
    {"STORE", IN_SELECTED, NULL, imap_parse_store, imap_run_store, SYNC_FLAGS, true},
    {"COPY", IN_SELECTED, NULL, imap_parse_copy, imap_run_copy, SYNC_ALL, true},
    {"MOVE", IN_SELECTED, NULL, imap_parse_copy, imap_run_move, SYNC_ALL, true},
};

static const struct imap_command *find(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (bytes_equal_nocase(name, bytes_of(commands[i].name)))
            return &commands[i];
    return NULL;
}

static unsigned level_of(const struct imap_session *session)
{
    if (session->access.work == NULL)
        return IN_STRANGER;
    return work_is_selected(imap_work_of(session)) ? IN_SELECTED : IN_AUTHENTICATED;
}

static enum step bad(struct imap_session *session, const char *text)
{
    return imap_bad(session, text) == STEP_CLOSE ? STEP_CLOSE : imap_next_command(session);
}

static const char *why_out_of_order(const struct imap_session *session,
                                    const struct imap_command *command)
{
    unsigned level = level_of(session);

    if ((command->allowed & level) != 0)
        return NULL;
    if (level == IN_STRANGER)
        return "Log in first";
    if (command->allowed == IN_STRANGER)
        return "You are logged in already";
    return command->allowed == IN_AUTHENTICATED ? "That is said before a mailbox is selected"
                                                : "Select a mailbox first";
}

/* RFC 9586 section 3.2: each command that has a form by UID but EXPUNGE, which names no number. */
static bool needs_uid(const struct imap_session *session, const struct imap_command *command,
                      bool is_uid)
{
    return session->access.work != NULL && imap_work_of(session)->is_uidonly &&
           command->has_uid_form && !is_uid && command->run != imap_run_expunge;
}

/* Says where it was: who writes a client looks for it. */
static void refuse_arguments(struct imap_work *work, const char *name, struct bytes rest)
{
    enum { SHOWN_MAX = 40 };
    size_t len = 0;

    (void)imap_take_space(&rest);
    while (len < MIN(rest.len, (size_t)SHOWN_MAX) && rest.ptr[len] >= ' ' && rest.ptr[len] < 127)
        len++;
    if (rest.len == 0)
        (void)work_answer(work, "BAD The arguments of %s end too early", name);
    else
        (void)work_answer(work, "BAD The arguments of %s cannot be read from here: %.*s", name,
                          BYTES_ARG(bytes_slice(rest, 0, len)));
}

static enum step refuse_work(struct imap_session *session, struct imap_work *work)
{
    struct bytes answer = bytes_of(work->answer);

    work->has_answer = false;
    if (bytes_take_nocase(&answer, BYTES("BAD ")))
        return bad(session, (const char *)answer.ptr);
    return imap_answer(session, work->answer) == STEP_CLOSE ? STEP_CLOSE
                                                            : imap_next_command(session);
}

static enum step begin_work(struct imap_session *session, const struct imap_command *command,
                            struct bytes arguments, bool is_uid)
{
    struct imap_work *work = imap_work_of(session);
    struct bytes copy = arguments;

    work_reset(work, session->tag);
    work->is_uid = is_uid;
    if (!arena_copy(&work->arena, arguments, &copy) || !command->parse(work, &copy)) {
        if (!work->has_answer)
            refuse_arguments(work, command->name, copy);
        return refuse_work(session, work);
    }
    session->access.errors = 0;
    frame_begin(&session->frame, COMMAND_MAX);
    return work_begin(work, command->run, is_uid ? SYNC_ALL : command->sync);
}

enum step imap_run_command(struct imap_session *session)
{
    struct bytes rest = frame_text(&session->frame), tag, name;

    if (session->is_uploading)
        return imap_end_of_append(session, rest);
    metric_inc(METRIC_IMAP_COMMANDS);
    access_note_life(&session->access);
    if (!imap_take_tag(&rest, &tag) || !imap_take_space(&rest) || !imap_take_atom(&rest, &name))
        return bad(session, "A command is a tag, a space and a name");
    bool is_uid = bytes_equal_nocase(name, BYTES("UID"));

    if (is_uid && (!imap_take_space(&rest) || !imap_take_atom(&rest, &name)))
        return bad(session, "UID stands before another command");
    const struct imap_command *command = find(name);

    if (command == NULL || (is_uid && !command->has_uid_form))
        return bad(session, "There is no such command");
    const char *why = why_out_of_order(session, command);

    if (why == NULL && needs_uid(session, command, is_uid))
        why = "[UIDREQUIRED] Messages have no numbers under UIDONLY";
    if (why != NULL)
        return bad(session, why);
    enum step step;

    if (session->access.work != NULL && !imap_may_go_on(session, &step))
        return step;
    if (command->handle == NULL)
        return begin_work(session, command, rest, is_uid);
    unsigned errors = session->access.errors;

    step = command->handle(session, rest);
    if (session->access.work != NULL && session->access.errors == errors)
        session->access.errors = 0;

    /* Its state is the next command's, but where it entered one of its own. */
    if (step == STEP_AGAIN && session->access.session.state == ACCESS_COMMAND)
        return imap_next_command(session);
    return step;
}

enum step imap_on_literal(struct imap_session *session)
{
    struct frame *frame = &session->frame;
    enum step step;

    if (session->access.work != NULL && session->is_uploading)
        return imap_begin_upload(session);
    if (session->access.work != NULL && imap_expects_message(session, buf_bytes(&frame->text))) {
        if (!imap_may_go_on(session, &step))
            return step;
        session->access.errors = 0;
        return imap_begin_upload(session);
    }
    if (session->access.work != NULL && frame->literal.is_waiting &&
        imap_refuses_message(session, buf_bytes(&frame->text), &step))
        return step == STEP_CLOSE ? STEP_CLOSE : imap_next_command(session);
    if (frame_accept(frame))
        return frame->literal.is_waiting ? imap_say(session, "+ OK\r\n") : STEP_AGAIN;
    if (!frame->literal.is_waiting) { /* RFC 7888 section 4: it cannot be stopped otherwise */
        (void)imap_bad(session, "[TOOBIG] The literal is too large");
        return imap_leave(session, "[TOOBIG] The literal is too large");
    }
    if (session->tag[0] == '\0')
        return bad(session, "A command is a tag, a space and a name");
    if (imap_answer(session, "NO [TOOBIG] The literal is too large") == STEP_CLOSE)
        return STEP_CLOSE;
    return imap_next_command(session);
}

/* --- on the engine ---------------------------------------------------------------------------- */

static enum step handle_capability(struct imap_session *session, struct bytes arguments)
{
    char text[ACCESS_REPLY_MAX / 2];

    if (arguments.len > 0)
        return imap_bad(session, "Syntax is CAPABILITY");
    if (imap_say(session, "* %s\r\n", imap_capability_text(session, text, sizeof(text))) ==
        STEP_CLOSE)
        return STEP_CLOSE;
    return imap_answer(session, "OK CAPABILITY done");
}

static enum work_step run_noop(struct imap_work *work)
{
    return work_answer(work, "OK Done");
}

static enum step handle_noop(struct imap_session *session, struct bytes arguments)
{
    struct imap_work *work = imap_work_of(session);

    if (arguments.len > 0)
        return imap_bad(session, "NOOP and CHECK have no arguments");
    if (level_of(session) != IN_SELECTED ||
        (mailbox_is_quiet(work->view.mailbox) && !atomic_load(&work->has_news)))
        return imap_answer(session, "OK Done");
    work_reset(work, session->tag);
    work->is_quick = true;
    return work_begin(work, run_noop, SYNC_ALL);
}

static enum step handle_starttls(struct imap_session *session, struct bytes arguments)
{
    return access_handle_starttls(&session->access, arguments);
}

static enum step handle_logout(struct imap_session *session, struct bytes arguments)
{
    if (arguments.len > 0)
        return imap_bad(session, "Syntax is LOGOUT");
    (void)imap_say(session, "* BYE Goodbye\r\n");
    (void)imap_answer(session, "OK LOGOUT done");
    return STEP_CLOSE;
}

/* RFC 2971: at most 30 pairs; who the client is goes to the log. */
static bool read_id(struct bytes arguments, struct bytes *name_out)
{
    struct bytes name, value;
    struct arena arena;
    unsigned count = 0;
    bool is_good;

    arena_init(&arena, COMMAND_MAX);
    if (imap_take_word(&arguments, "NIL")) {
        is_good = true;
    } else {
        is_good = imap_take_byte(&arguments, '(');
        while (is_good && !imap_take_byte(&arguments, ')')) {
            is_good = count++ < 30 && (count == 1 || imap_take_space(&arguments)) &&
                      imap_take_string(&arena, &arguments, &name) && imap_take_space(&arguments) &&
                      imap_take_nstring(&arena, &arguments, &value);
            if (is_good && bytes_equal_nocase(name, BYTES("name")) && !bytes_has_8bit(value))
                *name_out = value;
        }
    }
    is_good = is_good && arguments.len == 0;
    if (is_good && name_out->len > 0)
        log_debug("service=imap client_name=%s", LOG_TEXT(*name_out));
    arena_free(&arena);
    return is_good;
}

static enum step handle_id(struct imap_session *session, struct bytes arguments)
{
    struct bytes name = BYTES_NONE;

    if (!imap_take_space(&arguments) || !read_id(arguments, &name))
        return imap_bad(session, "Syntax is ID (name value ...)");
    if (imap_say(session, "* ID (\"name\" \"ringpost\")\r\n") == STEP_CLOSE)
        return STEP_CLOSE;
    return imap_answer(session, "OK ID done");
}

static enum step handle_enable(struct imap_session *session, struct bytes arguments)
{
    struct imap_work *work = imap_work_of(session);
    bool rev2 = false, utf8 = false, condstore = false, qresync = false, uidonly = false;
    struct bytes name;

    if (arguments.len == 0)
        return imap_bad(session, "Syntax is ENABLE name ...");
    while (arguments.len > 0) {
        if (!imap_take_space(&arguments) || !imap_take_atom(&arguments, &name))
            return imap_bad(session, "Syntax is ENABLE name ...");
        rev2 |= bytes_equal_nocase(name, BYTES("IMAP4rev2")) && !work->is_rev2;
        utf8 |= bytes_equal_nocase(name, BYTES("UTF8=ACCEPT")) && !work->is_utf8;
        condstore |= bytes_equal_nocase(name, BYTES("CONDSTORE")) && !work->has_condstore;
        qresync |= bytes_equal_nocase(name, BYTES("QRESYNC")) && !work->has_qresync;
        uidonly |= bytes_equal_nocase(name, BYTES("UIDONLY")) && !work->is_uidonly;
    }
    work->is_rev2 |= rev2;
    work->is_utf8 |= utf8;
    work->has_condstore |= condstore || qresync; /* RFC 7162 section 3.2.3 */
    work->has_qresync |= qresync;
    work->is_uidonly |= uidonly;
    if (imap_say(session, "* ENABLED%s%s%s%s%s\r\n", rev2 ? " IMAP4rev2" : "",
                 utf8 ? " UTF8=ACCEPT" : "", condstore ? " CONDSTORE" : "",
                 qresync ? " QRESYNC" : "", uidonly ? " UIDONLY" : "") == STEP_CLOSE)
        return STEP_CLOSE;
    return imap_answer(session, "OK ENABLE done");
}

static enum step handle_namespace(struct imap_session *session, struct bytes arguments)
{
    if (arguments.len > 0)
        return imap_bad(session, "Syntax is NAMESPACE");
    if (imap_say(session, "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n") == STEP_CLOSE)
        return STEP_CLOSE;
    return imap_answer(session, "OK NAMESPACE done");
}

static bool parse_nothing(struct imap_work *work, struct bytes *arguments)
{
    (void)work;
    return arguments->len == 0;
}

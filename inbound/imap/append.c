/* append.c - messages on their way in, of APPEND and REPLACE. */
#include "inbound/imap/append.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "inbound/imap/command.h"
#include "inbound/imap/notify.h"
#include "inbound/mailbox/mailbox_change.h"

enum {
    MESSAGES_MAX = 100,      /* of one command: each has a file open */
    DROPPED_MAX = 256 << 20, /* bytes that are read only to be dropped */
};

struct append_message {
    struct imap_flag_list flags;
    struct mailbox_upload upload;
};

struct append {
    struct bytes name; /* of the work's arena */
    struct mailbox *mailbox;
    struct frame_literal literal; /* that comes */
    uint64_t left;                /* of it */
    bool is_dropping;             /* the answer is known: work->answer */
    bool is_announced;            /* its file is to be opened */
    bool is_whole;                /* the command ended behind it */
    bool in_cr, has_nul, has_8bit;
    bool is_utf8;       /* the line goes on with ")" */
    bool in_header;     /* of the message that comes */
    size_t line_so_far; /* of its line, without CR */
    struct buf piece;   /* on its way to the pool */
    size_t count;
    struct append_message *messages;
    struct replaced replaced;
};

/* --- what is announced ------------------------------------------------------------------------ */

struct announced {
    struct bytes name; /* empty: of a line that goes on */
    struct imap_flag_list flags;
    bool has_date;
    int64_t date_s;
    bool is_utf8;
    struct replaced replaced;
};

/* "UTF8 (~{10}" (RFC 6855 section 4); without it RFC 9755 is content. */
static bool take_utf8(struct bytes *rest, bool *is_utf8_out)
{
    *is_utf8_out = imap_take_word(rest, "UTF8");
    return !*is_utf8_out || (imap_take_space(rest) && imap_take_byte(rest, '(') && rest->len > 0 &&
                             rest->ptr[0] == '~');
}

/* "[flags] [date]" up to the literal, whose line is over. */
static bool take_announced(struct bytes *rest, struct announced *announced)
{
    struct bytes input;

    announced->flags.count = 0;
    if (!imap_take_space(rest))
        return false;
    input = *rest;
    if (imap_take_flag_list(&input, &announced->flags)) {
        if (!imap_take_space(&input))
            return false;
        *rest = input;
    }
    announced->has_date = imap_take_date_time(rest, &announced->date_s);
    if (announced->has_date && !imap_take_space(rest))
        return false;
    if (!take_utf8(rest, &announced->is_utf8))
        return false;
    (void)!imap_take_byte(rest, '~');
    size_t end = bytes_find(*rest, '\n', 0);

    return rest->len > 0 && rest->ptr[0] == '{' && end + 1 == rest->len;
}

/* "A1 APPEND mailbox", as it was said. */
static bool take_destination(const struct imap_work *work, struct arena *arena, struct bytes *text,
                             struct replaced *replaced_out, struct bytes *mailbox_out)
{
    struct bytes tag;

    *replaced_out = (struct replaced){0};
    return imap_take_tag(text, &tag) && imap_take_space(text) &&
           ((work_is_selected(work) && imap_take_replace(text, replaced_out) &&
             (replaced_out->is_uid || !work->is_uidonly)) ||
            (imap_take_word(text, "APPEND") && imap_take_space(text))) &&
           imap_take_astring(arena, text, mailbox_out);
}

static bool take_append(struct imap_work *work, struct arena *arena, struct bytes text,
                        struct announced *announced)
{
    struct bytes mailbox;

    return take_destination(work, arena, &text, &announced->replaced, &mailbox) &&
           imap_read_mailbox(work, arena, mailbox, &announced->name) &&
           take_announced(&text, announced);
}

bool imap_expects_message(const struct imap_session *session, struct bytes text)
{
    struct announced announced;
    struct arena arena;

    arena_init(&arena, COMMAND_MAX);
    bool is_one = take_append(imap_work_of(session), &arena, text, &announced);

    arena_free(&arena);
    return is_one;
}

static bool is_append(struct bytes text)
{
    struct bytes tag;

    return imap_take_tag(&text, &tag) && imap_take_space(&text) && imap_take_word(&text, "APPEND");
}

static enum step refuse_unread(struct imap_session *session, bool has_name)
{
    if (!has_name)
        return imap_answer(session, IMAP_NO_MAILBOX_NAME);
    return imap_bad(session, is_append(buf_bytes(&session->frame.text))
                                 ? "Syntax is APPEND mailbox [flags] [date] {size}"
                                 : "Syntax is REPLACE number mailbox [flags] [date] {size}");
}

/* Does a mailbox stand in it, and is its name one? */
static bool names_mailbox(const struct imap_session *session, struct bytes *text,
                          bool *has_name_out)
{
    const struct imap_work *work = imap_work_of(session);
    struct replaced replaced;
    struct bytes mailbox;
    struct arena arena;

    arena_init(&arena, COMMAND_MAX);
    bool is_complete = take_destination(work, &arena, text, &replaced, &mailbox);

    *has_name_out = !is_complete || imap_read_mailbox(work, &arena, mailbox, &mailbox);
    arena_free(&arena);
    return is_complete;
}

bool imap_refuses_message(struct imap_session *session, struct bytes text, enum step *step_out)
{
    bool has_name;

    /* The literal is what is said behind the mailbox, not the mailbox. */
    if (!names_mailbox(session, &text, &has_name) || !imap_take_space(&text))
        return false;
    *step_out = refuse_unread(session, has_name);
    return true;
}

enum step imap_handle_append(struct imap_session *session, struct bytes arguments)
{
    struct bytes text = frame_text(&session->frame);
    bool has_name;

    (void)arguments;
    (void)names_mailbox(session, &text, &has_name);
    return refuse_unread(session, has_name);
}

/* --- on the pool ------------------------------------------------------------------------------ */

/* Gives up what was not filed. */
static void append_end(struct imap_work *work)
{
    struct append *append = work->append;

    if (append == NULL)
        return;
    work->append = NULL;
    work->give_up_append = NULL;
    for (size_t i = 0; i < append->count; i++)
        if (append->messages[i].upload.fd >= 0)
            mailbox_upload_end(work->account, &append->messages[i].upload);
    if (append->mailbox != NULL)
        mailbox_close(&append->mailbox);
    buf_free(&append->piece);
    free(append->messages);
    free(append);
}

/* Nothing is said yet: a client that does not wait would not hear it before all is read. */
static enum work_step put_off(struct imap_work *work, enum work_step step)
{
    struct append *append = work->append;

    append->is_dropping = true;
    work->has_answer = append->literal.is_waiting;
    return step;
}

static enum work_step refuse(struct imap_work *work, int error)
{
    if (error == -ENOENT)
        return put_off(work, work_answer(work, "NO [TRYCREATE] There is no such mailbox"));
    return put_off(work, work_fail(work, error));
}

static enum work_step run_open(struct imap_work *work)
{
    struct append *append = work->append;
    struct mailbox_upload *upload = &append->messages[append->count - 1].upload;
    int error = 0;

    if (append->mailbox == NULL)
        error = mailbox_open(work->account, append->name, &append->mailbox);
    if (error < 0)
        return refuse(work, error);
    if (append->replaced.is_one && imap_find_replaced(work, &append->replaced) == WORK_DONE)
        return put_off(work, WORK_DONE);
    uint64_t size = append->literal.size;

    if (size == 0)
        return put_off(work, work_answer(work, "NO [CANNOT] A message has to have bytes"));
    for (size_t i = 0; i + 1 < append->count; i++)
        size += append->messages[i].upload.file_size;
    error = mail_account_has_room(work->account, size, append->replaced.size);
    if (error == 0) {
        struct mailbox_upload begun;

        error = mailbox_upload_begin(work->account, &begun);
        if (error == 0) {
            begun.has_internal = upload->has_internal;
            begun.internal_s = upload->internal_s;
            *upload = begun;
        }
    }
    return error < 0 ? refuse(work, error) : WORK_DONE;
}

/* RFC 9755 section 4: what has a header of UTF-8 comes from who can read one. */
static void watch_header(struct append *append, uint8_t c)
{
    append->has_8bit |= c >= 128;
    if (c == '\n') {
        append->in_header = append->line_so_far > 0;
        append->line_so_far = 0;
    } else if (c != '\r') {
        append->line_so_far++;
    }
}

static enum work_step run_write(struct imap_work *work)
{
    struct append *append = work->append;
    struct mailbox_upload *upload = &append->messages[append->count - 1].upload;
    struct bytes piece = buf_bytes(&append->piece);

    for (size_t i = 0; i < piece.len; i++) {
        uint8_t c = piece.ptr[i];

        upload->lines_lf += c == '\n' && !append->in_cr;
        append->has_nul |= c == '\0';
        append->in_cr = c == '\r';
        if (append->in_header)
            watch_header(append, c);
    }
    bool is_refused = append->has_8bit && !work_tells_utf8(work);
    int error = mailbox_upload_write(upload, piece);

    buf_clear(&append->piece);
    if (append->left == 0)
        buf_free(&append->piece);
    if (error < 0 || append->has_nul || is_refused) {
        append->is_dropping = true;
        if (error < 0)
            (void)work_fail(work, error);
        else if (append->has_nul)
            (void)work_answer(work, "NO [UNKNOWN-CTE] A message has no NUL");
        else
            (void)work_answer(work, "NO [CANNOT] ENABLE UTF8=ACCEPT before headers of 8 bits");
        work->has_answer = false; /* it comes behind the rest */
    }
    return WORK_DONE;
}

static int find_flags(struct append *append)
{
    int error = 0;

    for (size_t i = 0; i < append->count && error == 0; i++)
        error = imap_flags_of(append->mailbox, &append->messages[i].flags, true,
                              &append->messages[i].upload.flags);
    return error;
}

static enum work_step run_finish(struct imap_work *work)
{
    struct append *append = work->append;
    struct mailbox_upload uploads[MESSAGES_MAX];
    struct mailbox_status status;
    struct sequence_writer writer;
    struct buf uids;

    if (append->is_dropping) {
        append_end(work);
        work->has_answer = true;
        return WORK_DONE;
    }
    int error = find_flags(append);

    if (error == -ENOSPC || error == -EINVAL) {
        append_end(work);
        return work_answer(work, IMAP_NO_KEYWORD);
    }
    for (size_t i = 0; i < append->count; i++)
        uploads[i] = append->messages[i].upload;
    if (append->replaced.is_one)
        work->own_events = NOTIFY_EXPUNGE;
    if (error == 0 && append->replaced.is_one)
        error = mailbox_replace(work->view.mailbox, append->replaced.uid, append->mailbox, uploads);
    else if (error == 0)
        error = mailbox_append(append->mailbox, uploads, append->count);
    for (size_t i = 0; i < append->count; i++)
        append->messages[i].upload = uploads[i];
    if (error < 0) {
        bool is_gone = error == -ENOENT && append->replaced.is_one;

        append_end(work);
        if (is_gone)
            return work_answer(work, "NO [NONEXISTENT] The message or the mailbox is gone");
        return work_fail(work, error);
    }
    mailbox_status(append->mailbox, &status);
    buf_init(&uids, WORK_ANSWER_MAX * 4);
    writer = (struct sequence_writer){.out = &uids};
    for (size_t i = 0; i < append->count; i++) {
        sequence_writer_add(&writer, uploads[i].uid);
        notify_note_own(work, append->mailbox, uploads[i].uid);
    }
    bool fits = sequence_writer_end(&writer) &&
                arena_printf(&work->arena, &work->answer_code, "[APPENDUID %u %.*s] ",
                             status.uidvalidity, BYTES_ARG(buf_bytes(&uids)));

    check(fits);
    buf_free(&uids);
    metric_add(METRIC_IMAP_APPENDED, (int64_t)append->count);
    bool replaces = append->replaced.is_one;

    append_end(work);
    if (!replaces)
        return work_answer(work, "OK APPEND done");
    work_put(work, BYTES("* OK ")); /* RFC 8508 section 4.3: before the old one goes */
    work_put(work, work->answer_code);
    work_put(work, BYTES("The new message is there\r\n"));
    work->answer_code = BYTES_NONE;
    return work_answer(work, "OK REPLACE done");
}

/* All that can be done with what has come: a way to the pool costs more than most of it. */
static enum work_step run_upload(struct imap_work *work)
{
    struct append *append = work->append;
    bool is_announced = append->is_announced;
    enum work_step step = WORK_DONE;

    append->is_announced = false;
    if (is_announced)
        step = run_open(work);
    if (!append->is_dropping && buf_len(&append->piece) > 0)
        step = run_write(work);
    return append->is_whole ? run_finish(work) : step;
}

/* --- on the engine ---------------------------------------------------------------------------- */

static enum step end_append(struct imap_session *session);

/* The command is over; the answer was said. */
static enum step over(struct imap_session *session)
{
    session->is_uploading = false;
    return imap_next_command(session);
}

static enum step begin_finish(struct imap_session *session)
{
    session->worked = over;
    return work_begin(imap_work_of(session), run_finish, SYNC_ALL);
}

static enum step upload_again(struct imap_session *session)
{
    session_enter(&session->access.session, IMAP_UPLOAD);
    return STEP_AGAIN;
}

/* What has come of the message, and the command's end where it stands right behind. */
static void take_piece(struct imap_session *session, struct append *append)
{
    struct conn *conn = &session->access.session.conn;
    struct bytes piece =
        bytes_slice(conn_input(conn), 0, (size_t)MIN(append->left, (uint64_t)UPLOAD_PIECE));
    bool fits = buf_append(&append->piece, piece);

    check(fits);
    conn_consume(conn, piece.len);
    append->left -= piece.len;
    struct bytes end = append->is_utf8 ? BYTES(")\r\n") : BYTES("\r\n");

    append->is_whole =
        append->left == 0 && bytes_equal(bytes_slice(conn_input(conn), 0, end.len), end);
    if (append->is_whole)
        conn_consume(conn, end.len);
}

static enum step begin_part(struct imap_session *session,
                            enum step (*worked)(struct imap_session *))
{
    struct imap_work *work = imap_work_of(session);

    session->worked = worked;
    return work_begin(work, run_upload, work->append->is_whole ? SYNC_ALL : SYNC_NOTHING);
}

/* run_upload() is done. */
static enum step wrote(struct imap_session *session)
{
    return imap_work_of(session)->append == NULL ? over(session) : upload_again(session);
}

/* run_upload() is done, or what refuses the message. */
static enum step opened(struct imap_session *session)
{
    struct append *append = imap_work_of(session)->append;

    if (append == NULL)
        return over(session);
    if (!append->is_dropping && append->mailbox == NULL)
        return imap_leave(session, "[UNAVAILABLE] The mail cannot be read or written now");
    if (append->is_dropping && append->literal.is_waiting)
        return end_append(session);
    if (append->is_dropping && append->left > DROPPED_MAX)
        return imap_leave(session, "[TOOBIG] The message is too large");
    if (append->literal.is_waiting && imap_say(session, "+ OK\r\n") == STEP_CLOSE)
        return STEP_CLOSE;
    return upload_again(session);
}

static enum work_step run_give_up(struct imap_work *work)
{
    append_end(work);
    return WORK_DONE;
}

/* The answer was said: what is open is closed. */
static enum step end_append(struct imap_session *session)
{
    session->worked = over;
    if (session->access.session.state != ACCESS_COMMAND)
        session_enter(&session->access.session, ACCESS_COMMAND);
    work_reset(imap_work_of(session), session->tag);
    return work_begin(imap_work_of(session), run_give_up, SYNC_NOTHING);
}

static struct append_message *add_message(struct append *append)
{
    struct append_message *messages =
        realloc(append->messages, (append->count + 1) * sizeof(*messages));

    check(messages != NULL);
    append->messages = messages;
    messages[append->count] = (struct append_message){.upload.fd = -1};
    return &messages[append->count++];
}

/* Flags live in the frame, which goes. */
static void keep_flags(struct arena *arena, const struct imap_flag_list *from,
                       struct imap_flag_list *to)
{
    to->count = 0;
    for (size_t i = 0; i < from->count; i++)
        if (arena_copy(arena, from->flags[i], &to->flags[to->count]))
            to->count++;
}

static enum work_step run_refuse_size(struct imap_work *work)
{
    return put_off(work, work_answer(work, "NO [TOOBIG] The message is larger than %" PRIu64,
                                     work->message_size_max));
}

static enum work_step run_refuse_count(struct imap_work *work)
{
    return put_off(work, work_answer(work, "NO [LIMIT] That is more than %d messages at once",
                                     MESSAGES_MAX));
}

enum step imap_begin_upload(struct imap_session *session)
{
    struct imap_work *work = imap_work_of(session);
    struct bytes text = buf_bytes(&session->frame.text);
    struct announced announced = {0};
    enum work_step (*run)(struct imap_work * work) = run_upload;

    if (session->is_uploading) {
        struct append *append = work->append;

        if (append->replaced.is_one || (append->is_utf8 && !imap_take_byte(&text, ')')) ||
            !take_announced(&text, &announced)) {
            (void)imap_bad(session, "Behind a message stands another, or nothing");
            return imap_leave(session, "[CLIENTBUG] The end of the command is not known");
        }
        if (append->count == MESSAGES_MAX)
            run = run_refuse_count;
    } else {
        work_reset(work, session->tag);
        work->append = calloc(1, sizeof(*work->append));
        check(work->append != NULL);
        work->give_up_append = append_end;
        buf_init(&work->append->piece, UPLOAD_PIECE);
        bool is_one = take_append(work, &work->arena, text, &announced) &&
                      arena_copy(&work->arena, announced.name, &work->append->name);
        check(is_one); /* imap_expects_message() */
        work->append->replaced = announced.replaced;
        session->is_uploading = true;
    }
    struct append *append = work->append;

    append->literal = session->frame.literal;
    append->left = append->literal.size;
    append->in_cr = append->has_nul = append->has_8bit = false;
    append->is_utf8 = announced.is_utf8;
    append->in_header = true;
    append->line_so_far = 0;
    if (append->literal.size > work->message_size_max)
        run = run_refuse_size;
    append->is_announced = !append->is_dropping && run == run_upload;
    if (append->is_announced) {
        struct append_message *message = add_message(append);

        keep_flags(&work->arena, &announced.flags, &message->flags);
        message->upload.has_internal = announced.has_date;
        message->upload.internal_s = announced.date_s;
    }
    frame_begin(&session->frame, COMMAND_MAX);
    session->worked = opened;
    if (append->is_dropping) { /* it was refused before: the rest is read */
        if (append->literal.is_waiting)
            return begin_finish(session);
        session_enter(&session->access.session, ACCESS_WORK);
        session->worked = NULL;
        return append->left > DROPPED_MAX ? imap_leave(session, "[TOOBIG] The message is too large")
                                          : upload_again(session);
    }
    if (!append->is_announced)
        return work_begin(work, run, SYNC_NOTHING);
    if (!append->literal.is_waiting)
        take_piece(session, append);
    return begin_part(session, opened);
}

enum step imap_upload_step(struct session *session)
{
    struct imap_session *imap = imap_session_of(session);
    struct append *append = imap_work_of(imap)->append;
    struct conn *conn = &session->conn;
    struct bytes input = conn_input(conn);
    struct bytes piece = bytes_slice(input, 0, MIN(append->left, (uint64_t)UPLOAD_PIECE));

    if (append->left == 0) {
        session_enter(session, ACCESS_COMMAND);
        return STEP_AGAIN;
    }
    if (piece.len == 0)
        return conn->eof ? STEP_CLOSE : STEP_WAIT;
    if (append->is_dropping) {
        append->left -= piece.len;
        conn_consume(conn, piece.len);
        return STEP_AGAIN;
    }
    take_piece(imap, append);
    return begin_part(imap, wrote);
}

enum step imap_end_of_append(struct imap_session *session, struct bytes line)
{
    if (bytes_equal(line, imap_work_of(session)->append->is_utf8 ? BYTES(")") : BYTES_NONE))
        return begin_finish(session);
    if (imap_bad(session, "Behind a message stands another, or nothing") == STEP_CLOSE)
        return STEP_CLOSE;
    return end_append(session);
}

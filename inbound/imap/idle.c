/* idle.c - waits for news of the selected mailbox, or for DONE. */
#include "inbound/imap/idle.h"

#include "inbound/imap/notify.h"
#include "inbound/imap/work.h"
#include "io/deflate.h"

enum { DONE_LINE_MAX = 64, NEWS_TURNS_MAX = 4 };

static enum work_step run_nothing(struct imap_work *work)
{
    (void)work;
    return WORK_DONE;
}

static enum step idle_again(struct imap_session *session)
{
    session->worked = NULL;
    session_enter(&session->access.session, IMAP_IDLE);
    session_arm(&session->access.session);
    return STEP_AGAIN;
}

/* Who tells of a change has the mailbox until all are told: by the next turn it is free, and the
 * pool's threads of a hundred sessions need not stand in line for it. */
static bool waits_for_mailbox(struct imap_work *work)
{
    if (work->news_turns < NEWS_TURNS_MAX && !mailbox_is_free(work->view.mailbox)) {
        work->news_turns++;
        return true;
    }
    work->news_turns = 0;
    return false;
}

static enum step tell_news(struct imap_session *session)
{
    struct imap_work *work = imap_work_of(session);

    work_reset(work, session->tag);
    work->is_quick = work->is_news = true;
    session->worked = idle_again;
    return work_begin(work, run_nothing, SYNC_ALL);
}

enum step imap_handle_idle(struct imap_session *session, struct bytes arguments)
{
    if (arguments.len > 0)
        return imap_bad(session, "Syntax is IDLE");
    if (imap_say(session, "+ idling\r\n") == STEP_CLOSE)
        return STEP_CLOSE;
    frame_begin(&session->frame, COMMAND_MAX);
    work_reset(imap_work_of(session), session->tag);
    session_enter(&session->access.session, IMAP_IDLE);
    return STEP_AGAIN;
}

enum step imap_idle_step(struct session *session)
{
    struct imap_session *imap = imap_session_of(session);
    struct conn *conn = &session->conn;
    struct bytes input = conn_input(conn);
    size_t end = bytes_find_bytes(input, BYTES("\r\n"), 0);

    if (conn_output_room(conn) < ACCESS_REPLY_MAX)
        return STEP_WAIT;
    if (end == input.len) {
        if (input.len > DONE_LINE_MAX)
            return imap_leave(imap, "[CLIENTBUG] DONE was expected");
        if (conn->eof)
            return STEP_CLOSE;
        struct imap_work *work = imap_work_of(imap);
        bool has_notice = notify_has_news(work);
        enum step step;

        if (has_notice || (work_is_selected(work) && atomic_load(&work->has_news))) {
            if (!imap_may_go_on(imap, &step))
                return step;
            if (!has_notice && waits_for_mailbox(work))
                return STEP_LATER;
            return has_notice ? notify_tell(imap, idle_again, true) : tell_news(imap);
        }
        if (conn_output_len(conn) == 0)
            deflate_rest(conn); /* it may be for hours */
        return STEP_WAIT;
    }
    bool is_done = bytes_equal_nocase(bytes_slice(input, 0, end), BYTES("DONE"));

    conn_consume(conn, end + 2);
    access_note_life(&imap->access);
    if ((is_done ? imap_answer(imap, "OK IDLE done") : imap_bad(imap, "DONE was expected")) ==
        STEP_CLOSE)
        return STEP_CLOSE;
    return imap_next_command(imap);
}

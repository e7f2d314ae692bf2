/*
 * command.h - the commands that touch mailboxes, as command.c's table has them. Private to the
 * folder.
 *
 * parse_x(): on the engine; `arguments` is what stands behind the command's name, copied to the
 * work's arena. False: it stands where it could not be read, or imap_refuse() said what is to be
 * answered. run_x(): on the pool (work.h).
 */
#pragma once

#include "inbound/imap/mailbox_name.h"
#include "inbound/imap/work.h"

bool imap_parse_select(struct imap_work *work, struct bytes *arguments);
bool imap_parse_examine(struct imap_work *work, struct bytes *arguments);
enum work_step imap_run_select(struct imap_work *work);
enum work_step imap_run_close(struct imap_work *work);
enum work_step imap_run_unselect(struct imap_work *work);

bool imap_parse_create(struct imap_work *work, struct bytes *arguments);
enum work_step imap_run_create(struct imap_work *work);
bool imap_parse_name(struct imap_work *work, struct bytes *arguments);
enum work_step imap_run_delete(struct imap_work *work);
bool imap_parse_rename(struct imap_work *work, struct bytes *arguments);
enum work_step imap_run_rename(struct imap_work *work);
enum work_step imap_run_subscribe(struct imap_work *work);
enum work_step imap_run_unsubscribe(struct imap_work *work);
bool imap_parse_list(struct imap_work *work, struct bytes *arguments);
bool imap_parse_lsub(struct imap_work *work, struct bytes *arguments);
enum work_step imap_run_list(struct imap_work *work);
bool imap_parse_status(struct imap_work *work, struct bytes *arguments);
enum work_step imap_run_status(struct imap_work *work);
bool imap_parse_quota(struct imap_work *work, struct bytes *arguments);
enum work_step imap_run_quota(struct imap_work *work);
enum work_step imap_run_quotaroot(struct imap_work *work);
bool imap_parse_getmetadata(struct imap_work *work, struct bytes *arguments);
enum work_step imap_run_getmetadata(struct imap_work *work);
bool imap_parse_setmetadata(struct imap_work *work, struct bytes *arguments);
enum work_step imap_run_setmetadata(struct imap_work *work);

bool imap_parse_notify(struct imap_work *work, struct bytes *arguments);
enum work_step imap_run_notify(struct imap_work *work);

bool imap_parse_fetch(struct imap_work *work, struct bytes *arguments);
enum work_step imap_run_fetch(struct imap_work *work);
/* Not by a command: these items of what has these UIDs. imap_run_fetch() follows. */
struct fetch_program;
must_use bool imap_begin_fetch(struct imap_work *work, const struct fetch_program *program,
                               const struct sequence_range *ranges, size_t count);
bool imap_parse_store(struct imap_work *work, struct bytes *arguments);
enum work_step imap_run_store(struct imap_work *work);
bool imap_parse_search(struct imap_work *work, struct bytes *arguments);
enum work_step imap_run_search(struct imap_work *work);
bool imap_parse_sort(struct imap_work *work, struct bytes *arguments);
bool imap_parse_thread(struct imap_work *work, struct bytes *arguments);
enum work_step imap_run_sort(struct imap_work *work);
bool imap_parse_copy(struct imap_work *work, struct bytes *arguments);
enum work_step imap_run_copy(struct imap_work *work);
enum work_step imap_run_move(struct imap_work *work);
bool imap_parse_expunge(struct imap_work *work, struct bytes *arguments);
enum work_step imap_run_expunge(struct imap_work *work);

/* For several: command_parts.c. */
/* The answer to a command that cannot be done as it was said: "NO [CODE] text". Is false. */
bool imap_refuse(struct imap_work *work, const char *status_and_text);
/* The messages that a command's set names. False: it was refused, one of the numbers is none. */
must_use bool imap_resolve(struct imap_work *work, struct sequence_set *set);
/* What a client may call a mailbox, as it is kept; `arena`'s. */
must_use bool imap_read_mailbox(const struct imap_work *work, struct arena *arena,
                                struct bytes text, struct bytes *name_out);
#define IMAP_NO_MAILBOX_NAME "NO [CANNOT] No mailbox can have that name"
/* A mailbox's name in a work's command, in the form that the session uses. One that cannot be is
 * refused. */
must_use bool imap_take_mailbox(struct imap_work *work, struct bytes *input,
                                struct bytes *name_out);
/* Flags of a list as bits; keywords that the mailbox has not are made, or passed over. 0 or -errno:
 * -ENOSPC or -EINVAL where one cannot be made. */
must_use int imap_flags_of(struct mailbox *mailbox, const struct imap_flag_list *list,
                           bool makes_keywords, uint64_t *flags_out);
#define IMAP_NO_KEYWORD "NO [LIMIT] There is no room for another keyword"
/* MAILBOXID's text (RFC 8474). */
void imap_put_mailbox_id(struct imap_work *work, const uint8_t id[static 16]);
/* Closes the selected mailbox. On the pool. */
void imap_deselect(struct imap_work *work);
/* On the engine, which holds it no more then. False: to be done on the pool. */
must_use bool imap_try_deselect(struct imap_work *work);
/* CONDSTORE is on from now (RFC 7162 section 3.1): HIGHESTMODSEQ is told once. */
void imap_enable_condstore(struct imap_work *work);

/*
 * command.h - the commands that touch mailboxes, as command.c's table has them. Private to the
 * folder.
 *
 * parse_x(): on the engine; `arguments` is what stands behind the command's name, copied to the
 * work's arena. False: BAD. run_x(): on the pool (work.h).
 */
#pragma once

#include "inbound/imap/mailbox_name.h"
#include "inbound/imap/work.h"

bool imap_parse_select(struct imap_work *work, struct bytes arguments);
bool imap_parse_examine(struct imap_work *work, struct bytes arguments);
enum work_step imap_run_select(struct imap_work *work);
enum work_step imap_run_close(struct imap_work *work);
enum work_step imap_run_unselect(struct imap_work *work);

bool imap_parse_create(struct imap_work *work, struct bytes arguments);
enum work_step imap_run_create(struct imap_work *work);
bool imap_parse_name(struct imap_work *work, struct bytes arguments);
enum work_step imap_run_delete(struct imap_work *work);
bool imap_parse_rename(struct imap_work *work, struct bytes arguments);
enum work_step imap_run_rename(struct imap_work *work);
enum work_step imap_run_subscribe(struct imap_work *work);
enum work_step imap_run_unsubscribe(struct imap_work *work);
bool imap_parse_list(struct imap_work *work, struct bytes arguments);
bool imap_parse_lsub(struct imap_work *work, struct bytes arguments);
enum work_step imap_run_list(struct imap_work *work);
bool imap_parse_status(struct imap_work *work, struct bytes arguments);
enum work_step imap_run_status(struct imap_work *work);
bool imap_parse_quota(struct imap_work *work, struct bytes arguments);
enum work_step imap_run_quota(struct imap_work *work);
enum work_step imap_run_quotaroot(struct imap_work *work);
bool imap_parse_getmetadata(struct imap_work *work, struct bytes arguments);
enum work_step imap_run_getmetadata(struct imap_work *work);
bool imap_parse_setmetadata(struct imap_work *work, struct bytes arguments);
enum work_step imap_run_setmetadata(struct imap_work *work);

bool imap_parse_notify(struct imap_work *work, struct bytes arguments);
enum work_step imap_run_notify(struct imap_work *work);

bool imap_parse_fetch(struct imap_work *work, struct bytes arguments);
enum work_step imap_run_fetch(struct imap_work *work);
/* Not by a command: these items of what has these UIDs. imap_run_fetch() follows. */
struct fetch_program;
must_use bool imap_begin_fetch(struct imap_work *work, const struct fetch_program *program,
                               const struct sequence_range *ranges, size_t count);
bool imap_parse_store(struct imap_work *work, struct bytes arguments);
enum work_step imap_run_store(struct imap_work *work);
bool imap_parse_search(struct imap_work *work, struct bytes arguments);
enum work_step imap_run_search(struct imap_work *work);
bool imap_parse_sort(struct imap_work *work, struct bytes arguments);
bool imap_parse_thread(struct imap_work *work, struct bytes arguments);
enum work_step imap_run_sort(struct imap_work *work);
bool imap_parse_copy(struct imap_work *work, struct bytes arguments);
enum work_step imap_run_copy(struct imap_work *work);
enum work_step imap_run_move(struct imap_work *work);
bool imap_parse_expunge(struct imap_work *work, struct bytes arguments);
enum work_step imap_run_expunge(struct imap_work *work);

/* For several: command_parts.c. */
/* A mailbox's name in a work's command, in the form that the session uses. */
must_use bool imap_take_mailbox(struct imap_work *work, struct bytes *input,
                                struct bytes *name_out);
/* Flags of a list as bits; keywords are made. 0 or -errno. */
must_use int imap_flags_of(struct mailbox *mailbox, const struct imap_flag_list *list,
                           uint64_t *flags_out);
/* MAILBOXID's text (RFC 8474). */
void imap_put_mailbox_id(struct imap_work *work, const uint8_t id[static 16]);
/* Closes the selected mailbox. On the pool. */
void imap_deselect(struct imap_work *work);
/* On the engine, which holds it no more then. False: to be done on the pool. */
must_use bool imap_try_deselect(struct imap_work *work);
/* CONDSTORE is on from now (RFC 7162 section 3.1): HIGHESTMODSEQ is told once. */
void imap_enable_condstore(struct imap_work *work);

/*
 * message_table.h - what memory keeps of a mailbox's messages: 64 bytes each, and the file's name.
 *
 * In order of UIDs. Those that went leave their place behind until there are many, so an expunge
 * does not move what follows it. By name there is a table of UIDs, made when it is first asked for
 * (8 to 16 bytes a message).
 *
 * One thread, or the mailbox's lock. Private to this folder.
 */
#pragma once

#include "inbound/mailbox/index_format.h"

enum {
    MESSAGE_IN_NEW = 1 << 0,
    MESSAGE_IS_GONE = 1 << 1,
    MESSAGE_IS_DIRTY = 1 << 2,  /* waits for its rename */
    MESSAGE_IS_LISTED = 1 << 3, /* of a scan */
};
#define LINES_UNKNOWN UINT32_MAX

struct message {
    uint64_t flags, modseq, email_id, file_size;
    uint32_t uid;
    uint32_t name;    /* where its name begins */
    uint32_t letters; /* that its file has */
    uint32_t internal_s, saved_s;
    uint32_t lines_lf;
    uint32_t cache; /* in units of 8 bytes; 0: none */
    uint32_t bits;
};
_Static_assert(sizeof(struct message) == 64, "what a message costs");

struct message_table {
    struct message *of;
    size_t count, capacity, gone_count;
    char *names; /* each: length, bytes */
    size_t names_len, names_capacity, names_dead;
    uint32_t *by_name; /* UIDs, or 0; NULL: not made */
    size_t by_name_capacity, by_name_count;
    /* of those that are there */
    uint32_t exists, unseen, deleted;
    uint64_t size, deleted_size;
};
enum { MESSAGES_MAX = 8000000 };

void messages_clear(struct message_table *table); /* and frees */
/* Room for so many, with so many bytes of names, in an empty one. */
void messages_reserve(struct message_table *table, size_t count, size_t names);
/* At the end, above all UIDs there. The pointer lives until the next add. */
struct message *messages_add(struct message_table *table, const struct message *from,
                             struct bytes base);
/* NULL: not there. */
struct message *messages_find(const struct message_table *table, uint32_t uid);
struct message *messages_find_name(struct message_table *table, struct bytes base);
/* The place of the first with a UID of at least `uid`, gone ones included. */
size_t messages_place(const struct message_table *table, uint32_t uid);
struct bytes messages_base(const struct message_table *table, const struct message *message);
/* What its file is called now. */
void messages_file(const struct message_table *table, const struct message *message,
                   char out[static MAIL_NAME_MAX + 1]);
void messages_set_flags(struct message_table *table, struct message *message, uint64_t flags);
void messages_set_lines(struct message_table *table, struct message *message, uint32_t lines_lf);
void messages_remove(struct message_table *table, struct message *message);
/* Where many are gone, their places too: pointers die. */
void messages_tidy(struct message_table *table);
/* MAILBOX_SIZE_UNKNOWN */
static inline uint64_t message_size(const struct message *message)
{
    return message->lines_lf == LINES_UNKNOWN ? MAILBOX_SIZE_UNKNOWN
                                              : message->file_size + message->lines_lf;
}

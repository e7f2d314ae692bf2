/*
 * uidlist.h - dovecot-uidlist, version 3: who keeps UIDs beside us.
 *
 *   3 V<uidvalidity> N<uidnext> G<32 hexadecimal digits: the mailbox>
 *   <uid> [<letter><value> ...] :<file name, with or without its flags>
 *
 * UIDs ascend. A line may be of a file that is gone; its UID was used. Of the values only G, the
 * message's identity where it is not its file's name, is ours. Pure, any thread.
 */
#pragma once

#include "base/buf.h"
#include "inbound/mailbox/file_name.h"

struct uidlist_header {
    uint32_t uidvalidity, uidnext;
    bool has_id;
    uint8_t id[16];
};

struct uidlist_line {
    uint32_t uid;
    struct bytes base;
    uint64_t email_id; /* of G; else of the name */
};
/* Of a message whose file has this name. */
uint64_t email_id_of(struct bytes base);

/* Calls visit for each line; stops at the first that is none, which ends a list that was cut off.
 * header_out->uidnext is above each UID then. False: it is no list at all. */
must_use bool uidlist_parse(struct bytes text, struct uidlist_header *header_out,
                            void (*visit)(void *context, const struct uidlist_line *line),
                            void *context);
void uidlist_put_header(struct buf *out, const struct uidlist_header *header);
void uidlist_put_line(struct buf *out, const struct uidlist_line *line);

/*
 * annotation.h - what clients note of a mailbox, or of the account as a whole (RFC 5464): names
 * with values. A mailbox's go with it: they are renamed and deleted as it is.
 *
 * Names are in lower case here. Functions of accounts block, any thread but an engine's; the
 * others are pure.
 */
#pragma once

#include "base/buf.h"
#include "inbound/mailbox/account.h"

enum {
    ANNOTATIONS_MAX = 64, /* of a mailbox, or of the account */
    ANNOTATION_NAME_MAX = 256,
    ANNOTATION_VALUE_MAX = 16 << 10,
    ANNOTATIONS_SIZE_MAX = 128 << 10, /* names and values of one mailbox */
};

struct annotation {
    struct bytes name;
    struct bytes value; /* ptr NULL: it is to go */
};

struct annotation_list {
    size_t count;
    struct annotation of[ANNOTATIONS_MAX]; /* by name, bytes compared */
    enum special_use use;                  /* of the mailbox */
    struct buf text;                       /* what they point into */
};

/* Is "/private" or "/shared" or begins with one of them and "/", has no control, "*", "%" nor 8-bit
 * byte, no part of it is empty (RFC 5464 section 3.2), and all is in lower case. */
bool annotation_name_is_valid(struct bytes name);

/* `name`: the mailbox, empty: the account. -ENOENT: there is no such mailbox; -EBADMSG: its file is
 * damaged. To be freed where it is 0. */
must_use int mail_account_annotations(struct mail_account *account, struct bytes name,
                                      struct annotation_list *list_out);
void annotation_list_free(struct annotation_list *list);
/* All of them or, on an error, none; durable. -EFBIG: a value is too large; -EMFILE: there would be
 * too many, or too much in all. */
must_use int mail_account_annotate(struct mail_account *account, struct bytes name,
                                   const struct annotation *changes, size_t count);

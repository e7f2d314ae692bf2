/*
 * mail_name.h - names of the store's files: of accounts, of folders, of messages.
 *
 * A name that came from outside never becomes a path as it is. Pure functions, any thread.
 */
#pragma once

#include "base/bytes.h"

enum { MAIL_NAME_MAX = 255 }; /* bytes of a name in any directory */

/*
 * A domain or a local part as the name of a directory: a-z, 0-9, "-", "_", "+", "=", "," and "."
 * that is not the first stand for themselves, every other byte is "%" and two upper-case digits.
 * So names are one to one, none is "." or ".." or holds "/" or NUL, and none differs from another
 * in its case alone. NUL-terminated. False where it is empty or would be longer than
 * MAIL_NAME_MAX.
 */
must_use bool mail_name_encode(struct bytes text, char out[static MAIL_NAME_MAX + 1]);
/* Of a name that mail_name_encode() makes, and no other. */
must_use bool mail_name_decode(struct bytes name, uint8_t out[static MAIL_NAME_MAX],
                               size_t *len_out);

/*
 * A mailbox's name as Maildir++ has it: "." before each part, UTF-7 as IMAP has it (RFC 3501
 * section 5.1.3) for what is not ASCII: "Lists/Größe" is ".Lists.Gr&APYA3w-e". Empty and "INBOX"
 * (any case): the account's own directory, "". Parts end at "/". False: a part is empty or holds
 * "." or a control character, it is no UTF-8, or longer than MAIL_FOLDER_MAX bytes.
 */
enum { MAIL_FOLDER_MAX = 240 };
must_use bool mail_folder_encode(struct bytes mailbox, char out[static MAIL_FOLDER_MAX + 1]);

/* What a message's file is called after. The same every time it is filed. */
struct mail_file_name {
    int64_t time_s;     /* wall, of its acceptance */
    uint16_t node;      /* of this host's ids */
    uint64_t message;   /* its id */
    uint32_t recipient; /* which of its recipients */
    const char *host;
    uint64_t size; /* of the file */
};
/* "1780000000.R00a1000c0ffee12345N0.mta1,S=2048,W=2048": what stands before "," tells it from all
 * others. Lines end in CRLF in the file, so both sizes are one. NUL-terminated. */
void mail_file_name_format(const struct mail_file_name *name, char out[static MAIL_NAME_MAX + 1]);
/* The S= of a name, of whatever program; false: it has none. */
must_use bool mail_file_name_size(struct bytes name, uint64_t *size_out);

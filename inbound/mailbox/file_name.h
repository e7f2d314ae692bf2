/*
 * file_name.h - a message's file: what tells it from others, and the letters of its flags.
 *
 * "BASE:2,FS" in cur/, "BASE" in new/. Letters are kept as bits: D F P R S T, then a to z, which
 * stand for the keywords that dovecot-keywords names (keyword_list.h). Pure, any thread.
 */
#pragma once

#include "inbound/mailbox/mailbox.h"

enum {
    LETTER_D = 1 << 0,   /* \Draft */
    LETTER_F = 1 << 1,   /* \Flagged */
    LETTER_P = 1 << 2,   /* passed: no flag of IMAP, it stays as it is */
    LETTER_R = 1 << 3,   /* \Answered */
    LETTER_S = 1 << 4,   /* \Seen */
    LETTER_T = 1 << 5,   /* \Deleted */
    LETTER_KEYWORDS = 6, /* the bit of "a" */
    LETTER_KEYWORD_COUNT = 26,
    FILE_BASE_MAX = MAIL_NAME_MAX - 3 - 32, /* all letters find room behind it */
};

struct file_name {
    struct bytes base;
    uint32_t letters;
    bool is_plain; /* file_name_format() makes the same of them, whatever its letters will be */
};

/* False: nothing of ours lies under such a name (it is hidden, or holds control characters). */
must_use bool file_name_split(struct bytes name, bool is_in_new, struct file_name *out);
/* Whether such a file can be called so, but for its letters: what stands in an index. */
must_use bool file_name_is_base(struct bytes name);
/* NUL-terminated; false: it would be too long. */
must_use bool file_name_format(struct bytes base, uint32_t letters, bool is_in_new,
                               char out[static MAIL_NAME_MAX + 1]);
/* The five letters that are system flags, and back. */
uint32_t file_letters_of_flags(uint64_t flags);
uint64_t file_flags_of_letters(uint32_t letters);
/* Lines that lack a CR, by S= and W= of the name and the file's size; false: it does not say. */
must_use bool file_name_lines_lf(struct bytes base, uint64_t file_size, uint32_t *lines_out);

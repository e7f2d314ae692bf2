/*
 * keyword_list.h - a mailbox's keywords: numbers and names, and dovecot-keywords, which says what
 * the letters a to z in names of files stand for ("0 $Forwarded" is a). Pure, one thread.
 */
#pragma once

#include "base/buf.h"
#include "inbound/mailbox/file_name.h"

struct keyword_list {
    unsigned count;
    char names[MAILBOX_KEYWORDS_MAX][MAILBOX_KEYWORD_LEN_MAX + 1];
    uint8_t of_letter[LETTER_KEYWORD_COUNT]; /* its keyword's number plus one; 0: none */
};

/* An atom of IMAP without "]" that is not a flag of the system's kind. */
must_use bool keyword_is_valid(struct bytes name);
/* Its number, case ignored; -1: none. */
int keyword_find(const struct keyword_list *list, struct bytes name);
/* Its number, new or not, with a letter if one is free; -ENOSPC, -EINVAL. */
must_use int keyword_make(struct keyword_list *list, struct bytes name);
/* What the letters mean by the file, which others may have added to since it was read; ours keep
 * their letters where those are free, and get others where not. */
void keyword_merge(struct keyword_list *list, struct bytes text);
/* What the letters mean by the file; lines that say nothing are passed over. */
void keyword_parse(struct keyword_list *list, struct bytes text);
void keyword_format(const struct keyword_list *list, struct buf *out);

/* Letters of flags. Those in `before` that mean nothing to us stay. */
uint32_t keyword_letters(const struct keyword_list *list, uint64_t flags, uint32_t before);
uint64_t keyword_flags(const struct keyword_list *list, uint32_t letters);

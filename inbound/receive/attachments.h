/*
 * attachments.h - names and types of what a message carries, looked at while it arrives.
 *
 *   HEADER --empty line--> BODY --delimiter--> HEADER ...
 *      ^                     '-- of message/rfc822 the header of the message in it
 *
 * A rule is a pattern of a file name ("*.exe") or of a media type ("application/x-ms*"), in lower
 * case, where "*" stands for anything. Names are those of Content-Disposition and Content-Type, put
 * together and decoded (RFC 2231, RFC 2047); what Windows passes over behind them, dots and spaces,
 * counts to no name. All of them are compared: readers disagree about which one is meant, and also
 * about lines that are no fields and fields that are not of their form, which are read loosely.
 *
 * Bounded, and without a way around the bounds: of a header HEADER_MAX bytes are read, which is
 * refused where more come (is_cut); behind the eighth boundary every line that begins with "--" may
 * begin a part. The body before such a line goes on beside what may begin there, up to the next
 * delimiter of a known boundary; so it does where more than a boundary stands in the line, which
 * most readers take for no delimiter.
 *
 * Of archives the names of members are compared too, as those of parts are: of zip archives while
 * they go by (zip_names.h); of others, and of what lies in archives in zip archives, when the
 * message is whole, by who owns this: it has each of attachments_archive_count() read
 * (archive_reader.h) and gives the answer back. Of "a.exe.gz" that of "a.exe" is compared too.
 *
 * Besides, an archive that holds another is of the type "archive/nested", one with a member that is
 * encrypted of "archive/encrypted", and one that could not be read to its end, or is more than is
 * read, of "archive/unread", which is told even where no rule asks for it. More than members_max
 * names in a message are refused, a long one counted once more for every 256 bytes, and names that
 * are longer than is read (is_crowded).
 *
 * Thread: the engine's. Pure.
 */
#pragma once

#include "base/buf.h"
#include "inbound/archives/archive_names.h"

enum { ATTACHMENT_NAME_MAX = 161, ATTACHMENT_RULES_MAX = 200, ATTACHMENT_PATTERN_MAX = 127 };

struct attachment_rule {
    const char *pattern;
    int action; /* enum decision_action: tag or refuse */
};

struct attachment_rules {
    size_t count;
    const struct attachment_rule *rules;
    uint64_t size_max;    /* of one with a name, decoded; 0: any */
    unsigned members_max; /* names in archives of a message; 0: they are not looked into */
};

struct attachments;

/* What counts of all that was found. */
struct attachment_found {
    bool is_found; /* a rule: the first that refuses, else the first that tags */
    bool refuses;  /* by that, or because: */
    bool is_too_large, is_cut, is_crowded, is_put_off;
    bool is_unread; /* an archive, whatever the rules say: */
    char unread[ATTACHMENT_NAME_MAX + 1];
    char pattern[ATTACHMENT_PATTERN_MAX + 1]; /* the rule's */
    char name[ATTACHMENT_NAME_MAX + 1];       /* printable ASCII: what it is about; "a.zip/b" */
};

static inline bool attachment_rules_any(const struct attachment_rules *rules)
{
    return rules->count > 0 || rules->size_max > 0;
}

/* NULL: no memory. */
must_use struct attachments *attachments_open(void);
/* The message, header first, in any pieces; by the rules of the moment. */
void attachments_feed(struct attachments *attachments, const struct attachment_rules *rules,
                      struct bytes run);
const struct attachment_found *attachments_end(struct attachments *attachments,
                                               const struct attachment_rules *rules);
const struct attachment_found *attachments_found(const struct attachments *attachments);
/* Of what is to be read; after the end. */
size_t attachments_archive_count(const struct attachments *attachments);
struct bytes attachments_archive(const struct attachments *attachments, size_t i);
/* What came of it: the answer of archive_reader.h. */
void attachments_take_answer(struct attachments *attachments, const struct attachment_rules *rules,
                             size_t i, struct bytes members, enum archive_result result);
/* They cannot be read now, for reasons of ours. */
void attachments_put_off(struct attachments *attachments);
size_t attachments_memory(const struct attachments *attachments); /* NULL: 0 */
void attachments_free(struct attachments **attachments);

/* Whether all of `text` is as the pattern says; ASCII case ignored. In time linear to both but for
 * each "*" of the pattern. */
bool attachment_matches(const char *pattern, struct bytes text);

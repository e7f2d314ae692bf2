/*
 * search.h - which messages a search program is of. Private to the folder; in slices (work.h).
 */
#pragma once

#include "inbound/imap/kept.h"
#include "inbound/imap/search_program.h"
#include "inbound/imap/source.h"

struct imap_work;

enum search_ready {
    SEARCH_READY,
    SEARCH_BAD,         /* a text is not of the charset */
    SEARCH_NUMBER,      /* BAD: it is not in the view */
    SEARCH_UIDREQUIRED, /* BAD: numbers of messages under UIDONLY (RFC 9586) */
    SEARCH_CHARSET,     /* NO [BADCHARSET] */
};
/* Resolves sets, reads texts. search_free() is to follow, whatever comes out. */
enum search_ready search_prepare(struct imap_work *work, struct search_program *program);
/* The answer to a search that is not ready. */
enum work_step search_refuse(struct imap_work *work, enum search_ready why);
void search_free(struct search_program *program);

struct searched {
    struct imap_work *work;
    uint32_t number; /* in the view */
    struct source *source;
    int64_t now_s;
    bool has_failed;   /* the message could not be read */
    bool has_read;     /* more of it than memory has */
    bool is_blocked;   /* it can be, on the pool: what search_matches() said is to be forgotten */
    bool wants_kept;   /* to be opened with the next lock */
    struct kept *kept; /* locked; NULL: nothing is kept */
    uint32_t row, row_uid; /* of the message that was looked up last */
};
/* After a message: has the slice time for the next? The clock is asked once a message that was
 * read, of others less often. */
bool searched_may_go_on(const struct searched *searched);
/* What is kept, for a slice. False: the engine cannot have it at once, the pool was asked for. */
must_use bool searched_lock(struct searched *searched);
void searched_unlock(struct searched *searched);
/* The message could not be read. */
void searched_note_error(struct searched *searched, int error);
/* Of the message that is looked at; KEPT_NO_ROW. */
uint32_t searched_row(struct searched *searched);
/* No message need be read for it. */
bool search_is_quick(const struct search_key *key);
/* Is every message found? */
bool search_is_all(const struct search_key *key);
/* Would it look into what is kept? */
bool search_asks_kept(const struct search_key *key);
bool search_matches(struct searched *searched, const struct search_key *key);

/*
 * intake_private.h - an intake, for the files that it is made of. Private to the folder.
 *
 * intake.c has what is asked of it while it arrives, intake_commit.c how it gets into the spool,
 * intake_sign.c its signatures.
 * A circle of intake.c, intake_commit.c and intake_sign.c: content that arrives starts a write, a
 * write that is done makes room; what is whole is signed, what is signed is committed.
 */
#pragma once

#include "intake/intake.h"

/* What ends an intake beside a -errno of the shard. */
enum {
    INTAKE_LOOP = -1000,   /* more Received fields than received_max */
    INTAKE_HEADER = -1001, /* a line before the empty one is no header field */
};

struct intake {
    struct intake_home *home;
    struct intake_answer answer; /* context NULL: let go */
    struct message *message;
    struct intake_client client; /* in the message's arena */
    size_t recipient_capacity, extent_capacity;
    struct header_scan scan;
    struct buf content; /* neither written nor in the message yet */
    bool is_utf8;       /* an address is */
    bool has_8bit;      /* the content, or a field that the service added */
    bool has_ended;     /* all content is here */
    bool is_whole;      /* and nothing is added any more: it may be committed */
    bool is_writing, is_committing;
    int error; /* of a write, or INTAKE_*: content is dropped from then on */
    int64_t opened_ms;
    size_t counted; /* bytes that the budget knows of */
    struct content_write write;
    struct commit commit;
    struct claim claim;
    bool has_claim;             /* and neither kept nor dropped it yet */
    struct admission admission; /* kind NONE: it is not limited, or is accepted */
    struct buf fields;          /* of the service, for the prefix */
    struct signing *signing;    /* NULL: it is not to be signed, or was */
    uint8_t captured[];         /* home->fields->capture_size bytes */
};

/* intake.c */
void intake_count_memory(struct intake *intake); /* after whatever may have changed what it takes */
/* An array in the arena that doubles; the old one is dead weight until the message goes. NULL: no
 * memory. */
void *intake_grow(struct arena *arena, void *old, size_t count, size_t *capacity, size_t size,
                  size_t capacity_min);
void intake_free(struct intake *intake); /* nothing of it is in flight */

/* intake_commit.c */
void intake_write(struct intake *intake);  /* one chunk, which is there; none is being written */
void intake_finish(struct intake *intake); /* it is whole, and no write under way */
struct verdict intake_verdict(int result); /* 0, -errno, INTAKE_* */
void intake_give(struct intake *intake);   /* to the shard: nothing is added to it any more */
void intake_refuse(struct intake *intake, struct verdict verdict); /* instead */

/* intake_sign.c */
must_use bool intake_sign_begin(struct intake *intake); /* false: no memory */
/* What stands in the buffer of content behind its first `before` bytes is new. */
void intake_sign_content(struct intake *intake, size_t before);
void intake_sign(struct intake *intake); /* it has its prefix; ends in one of the two above */

/*
 * intake.h - one message on its way from whoever hands it in into the spool.
 *
 *   OPEN --content--> FILLING --end of content--> [WRITING] --> COMMITTING --> answered, gone
 *     \                  \                            \              \
 *      '------------------'-- intake_let_go() ---------'--------------'--> gone when nothing of it
 *                                                                          is in flight
 *
 * Content goes through a header_scan, which takes Return-Path and Bcc out, and is kept in memory up
 * to CONTENT_CHUNK_MAX: then it is one record, written with the accept. What is larger is written
 * to the shard piece by piece while it arrives, never more than two pieces in memory.
 *
 * A header section ends with an empty line or with the content. Were it ended by us, before a line
 * that is no field, fields behind that line would be text that every recipient reads, Bcc among
 * them: such a message is refused.
 *
 * 8-bit content is taken with or without BODY=8BITMIME, and the message marked by what it holds,
 * not by what was said: too many applications do not say it, and a 7-bit message that was
 * announced as 8BITMIME need not fail at a next hop without it. Header fields with bytes above 127
 * need SMTPUTF8 of the next hop only if the client used it (RFC 6531 section 3.4): without, they
 * are the raw 8-bit fields that have always been passed on.
 *
 * Thread: the engine's.
 */
#pragma once

#include "base/metric.h"
#include "base/slab.h"
#include "queue/shard.h"
#include "smtp/command.h"
#include "smtp/header.h"
#include "smtp/verdict.h"

struct intake;

/* Where intakes come from; one an engine. */
struct intake_home {
    struct engine *engine;
    struct shard *shard;
    struct slab *intakes;
    /* Where the service counts what became durable. */
    enum metric messages, recipients, bytes;
    /* Commits and writes that no session waits for any more count too. */
    unsigned count;
    void (*gone)(struct intake_home *home); /* after count went down; may be NULL */
};

/* Who hands it in, for Received and events; copied. */
struct intake_client {
    struct bytes ip, ehlo, service, hostname;
    bool is_esmtp;
    uint64_t session; /* its serial: "session=" in the log */
};

struct intake_answer {
    void *context;
    void (*resume)(void *context); /* there is room for content again */
    /* OK: durable, and known by `id`. Else nothing was kept of it; id may be NULL. */
    void (*done)(void *context, struct verdict verdict, const char *id);
};

size_t intake_size(void); /* of the objects in intake_home.intakes */

/* No memory for mail: 452, here and wherever a service finds the same. */
struct verdict intake_out_of_memory(void);
/* Refuses without memory, and with a full spool: before the content comes for nothing. */
must_use struct verdict intake_open(struct intake_home *home, const struct smtp_mail *mail,
                                    const struct intake_client *client,
                                    const struct intake_answer *answer, struct intake **intake_out);
/* Refuses without memory, more than MESSAGE_RECIPIENTS_MAX, and what has no domain to route to. */
must_use struct verdict intake_add_recipient(struct intake *intake, const struct smtp_rcpt *rcpt);
/* Bytes that ending it gives back: 0 while it is being committed. Counted in base/budget.h. */
size_t intake_memory(const struct intake *intake);
struct bytes intake_reverse_path(const struct intake *intake);
/* The only recipient; empty when there are more or none. */
struct bytes intake_recipient(const struct intake *intake);
size_t intake_room(const struct intake *intake);
void intake_content(struct intake *intake, struct bytes run); /* at most intake_room() bytes */
/*
 * All content was given; has_8bit: bytes above 127 were among it. More Received fields than
 * received_max are a loop (RFC 5321 section 6.3). Ends in done(), later or before it returns.
 */
void intake_end(struct intake *intake, bool has_8bit, unsigned received_max);
/* Nobody asks after it any more, also after done(). What is in flight completes. */
void intake_let_go(struct intake **intake);

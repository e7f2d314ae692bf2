/*
 * intake.h - one message on its way from whoever hands it in into the spool.
 *
 *   OPEN -content-> FILLING -end-> ENDED -commit-> [WRITING, SIGNING] -> COMMITTING -> answered
 *     \               \            \                 \                    \
 *      '---------------'------------'- intake_let_go() '--------------------'--> gone when nothing
 *                                                                                is in flight
 *
 * Content goes through a header_scan, which takes out and captures the fields that the service's
 * table says, and is kept in memory up to CONTENT_CHUNK_MAX: then it is one record, written with
 * the accept. What is larger is written to the shard piece by piece while it arrives, never more
 * than two pieces in memory.
 *
 * The service may ask for fields as soon as the header is complete, while the body still arrives,
 * and may take its time between the end of the content and the commit. Until then it adds fields
 * of its own: they go before the message.
 *
 * A header section ends with an empty line or with the content. Were it ended by us, before a line
 * that is no field, fields behind that line would be text that every recipient reads, Bcc among
 * them: such a message is refused.
 *
 * A tenant's mail is signed where the home has a signer (signing/signing.h): its content as it is
 * stored, its header with what is put before it. Signatures are the first of these fields.
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
#include "intake/claims.h"
#include "queue/allowance.h"
#include "queue/shard.h"
#include "signing/signing.h"
#include "smtp/command.h"
#include "smtp/header.h"
#include "smtp/verdict.h"

struct intake;

/* Where intakes come from; one an engine. */
struct intake_home {
    struct engine *engine;
    struct shard *shard;
    struct slab *intakes;
    const struct header_table *fields; /* from intake_fields_init(); as long as intakes live */
    struct signer *signer;             /* of tenants' mail; NULL: nothing is signed */
    /* Where the service counts what became durable. */
    enum metric messages, recipients, bytes;
    /* Commits and writes that no session waits for any more count too. */
    unsigned count;
    void (*gone)(struct intake_home *home); /* after count went down; may be NULL */
};

/* Who hands it in, for Received and events; copied. */
struct intake_client {
    struct bytes ip, ehlo, service, hostname;
    struct bytes tenant; /* whose mail it is; empty: nobody's */
    bool is_esmtp, is_authenticated;
    bool is_finished; /* somebody else's message: what it lacks is not added (RFC 6409 section 8 is
                         about submissions) */
    struct bytes tls_cipher; /* as the IANA calls it; empty: it came in plain text */
    uint8_t class;           /* enum mail_class */
    uint64_t credential;     /* that it logged in with; 0: none */
    uint64_t session;        /* its serial: "session=" in the log */
    int64_t connected_ms;    /* wall: when that began */
};

/* What the submitter says of a message, as the service found it in header fields; copied. */
struct intake_labels {
    uint8_t class; /* enum mail_class */
    struct bytes campaign;
    struct bytes tags;     /* JSON array of text; empty: none */
    struct bytes metadata; /* JSON object; empty: none */
};

struct intake_answer {
    void *context;
    void (*resume)(void *context); /* there is room for content again */
    /* OK: durable, and known by `id`. Else nothing was kept of it; id may be NULL. */
    void (*done)(void *context, struct verdict verdict, const char *id);
};

/* The rows that every intake needs come first; a service's own follow. */
enum intake_field {
    INTAKE_RECEIVED,     /* loop detection, RFC 5321 section 6.3 */
    INTAKE_MESSAGE_ID,   /* the first one is captured; added where there is none */
    INTAKE_DATE,         /* added where there is none */
    INTAKE_RETURN_PATH,  /* taken out */
    INTAKE_TLS_REQUIRED, /* "No": RFC 8689 section 3 */
    INTAKE_FIELDS,       /* so many: a service's own begin here */
};
enum { INTAKE_FIELDS_MAX = 32768 /* bytes of fields that a service adds */ };

void intake_fields_init(struct header_table *fields);  /* these rows */
size_t intake_size(const struct header_table *fields); /* of the objects in intake_home.intakes */

/* No memory for mail: 452, here and wherever a service finds the same. */
struct verdict intake_out_of_memory(void);
/* Refuses without memory, and with a full spool: before the content comes for nothing. */
must_use struct verdict intake_open(struct intake_home *home, const struct smtp_mail *mail,
                                    const struct intake_client *client,
                                    const struct intake_answer *answer, struct intake **intake_out);
/* Refuses without memory, more than MESSAGE_RECIPIENTS_MAX, and what has no domain to route to. */
must_use struct verdict intake_add_recipient(struct intake *intake, const struct smtp_rcpt *rcpt);
/* Its sender's own account, as a recipient more: the message is filed in its Sent, and nobody is
 * told of it by DSN (TAIL_SENT). Once; a second time nothing is done. */
must_use struct verdict intake_add_sent(struct intake *intake, struct bytes address);
/* An account, as a recipient more, that is shown what the report is which came to recipient `of`
 * (TAIL_SHOWN); nobody is told of it by DSN. */
must_use struct verdict intake_add_shown(struct intake *intake, struct bytes address, uint32_t of);
bool intake_has_shown(const struct intake *intake);
/* Whose mail it is, as long as nobody's. False: no memory. */
must_use bool intake_set_tenant(struct intake *intake, struct bytes tenant);
struct bytes intake_tenant(const struct intake *intake);
/* What it carries besides (queue/tail.h). Before the commit. False: no memory, or too much. */
/* The rates of that account: TAIL_ACCOUNT. */
must_use bool intake_count_to(struct intake *intake, uint32_t account);
must_use bool intake_add_tail(struct intake *intake, uint32_t tag, struct bytes value);
/* Bytes that ending it gives back: 0 while it is being committed. Counted in base/budget.h. */
size_t intake_memory(const struct intake *intake);
struct bytes intake_reverse_path(const struct intake *intake);
/* The only recipient but copies for accounts; empty when there are more or none. */
struct bytes intake_recipient(const struct intake *intake);
/* Of those that were named; copies for accounts stand behind them. */
size_t intake_recipient_count(const struct intake *intake);
struct bytes intake_recipient_at(const struct intake *intake, size_t number); /* as given */
size_t intake_room(const struct intake *intake);
void intake_content(struct intake *intake, struct bytes run); /* at most intake_room() bytes */
/* Has every field come? Also once content ended: a message may have no body. What was refused
 * or failed meanwhile may lack some; its commit says so. */
bool intake_header_is_complete(const struct intake *intake);
/* Fields by row of intake_home.fields, as header_scan_count() and header_scan_value() say. */
uint32_t intake_field_count(const struct intake *intake, unsigned row);
must_use bool intake_field_value(const struct intake *intake, unsigned row, unsigned occurrence,
                                 struct header_value *value_out);
/*
 * Adds "name: value" before the message, above our Received and below what was added before; any
 * time before the commit. 0; -EINVAL: not one field (a line end that is no fold, a control
 * character, bytes above 127 in a message without SMTPUTF8); -ENOBUFS: more than INTAKE_FIELDS_MAX
 * bytes in all.
 */
must_use int intake_add_field(struct intake *intake, struct bytes name, struct bytes value);
/* Once the header is complete, before the commit. False: no memory. */
must_use bool intake_label(struct intake *intake, const struct intake_labels *labels);
/* Sender and recipients into the claim. */
void intake_claim_envelope(const struct intake *intake, struct claim *claim);
/* It has this claim, which was taken for it: kept with its id once it is durable, else dropped.
 * False: no memory. */
must_use bool intake_hold_claim(struct intake *intake, const struct claim *claim);
/* It counts against its tenant's limits, and is given back there if it is not accepted after all.
 * What waits is accepted as throttled by `rule` until about until_ms (wall). False: no memory. */
must_use bool intake_admit(struct intake *intake, const struct admission *admission,
                           int64_t until_ms, struct bytes rule);
/* All content was given; has_8bit: bytes above 127 were among it. */
void intake_content_end(struct intake *intake, bool has_8bit);
/* After the end of content: makes it durable. More Received fields than received_max are a loop
 * (RFC 5321 section 6.3). Ends in done(), later or before it returns. */
void intake_commit(struct intake *intake, unsigned received_max);
/* Nobody asks after it any more, also after done(). What is in flight completes. */
void intake_let_go(struct intake **intake);

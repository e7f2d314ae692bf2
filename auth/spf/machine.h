/*
 * machine.h - what the files of a check share: its state, and the ways a question and an end come
 * about. Private to auth/spf.
 */
#pragma once

#include "auth/spf/record.h"

/* What run does next. A phase that asks is entered again, or left, by the answer. */
enum machine_phase {
    PHASE_RECORD,   /* the frame's record is to be asked for */
    PHASE_NEXT,     /* the next term */
    PHASE_TARGET,   /* the term's domain-spec is to be expanded */
    PHASE_HOST,     /* the next exchange of an mx */
    PHASE_CLIENT,   /* ptr: a name of the client in the target */
    PHASE_REDIRECT, /* no term matched */
    PHASE_EXP,      /* failed: the domain-spec of exp= is to be expanded */
    PHASE_EXPLAIN,  /* its text is to be expanded */
    PHASE_DONE,
};

/* Why the question that is out was asked. */
enum machine_asked {
    ASKED_NOTHING,
    ASKED_RECORD,
    ASKED_ADDRESS, /* of a's or exists' target */
    ASKED_EXCHANGES,
    ASKED_HOST_ADDRESS,
    ASKED_CLIENT_NAMES,
    ASKED_CLIENT_ADDRESS,
    ASKED_EXPLANATION,
};

struct machine_name {
    size_t len;
    uint8_t text[SPF_NAME_MAX];
};

/* One record under evaluation; an include adds one. */
struct machine_frame {
    struct bytes domain;
    struct spf_record record;
    struct bytes rest; /* terms not yet evaluated */
    struct spf_term term;
    bool is_redirected;
};

enum machine_confirmed { CLIENT_UNKNOWN, CLIENT_CONFIRMED, CLIENT_REFUTED };

/* The names of the client's address, asked once a check, confirmed as needed (section 5.5). */
struct machine_client {
    bool is_asked;
    size_t count;
    size_t asked; /* whose address is asked */
    struct machine_name names[SPF_HOSTS_MAX];
    enum machine_confirmed confirmed[SPF_HOSTS_MAX];
};

struct spf_check {
    struct arena arena;
    uint8_t address[16];
    bool is_ip6;
    struct bytes sender, local, sender_domain, helo, receiver, time;
    char readable[46], dotted[64];
    void (*trace)(void *context, const struct spf_trace *trace);
    void *trace_context;

    enum machine_phase phase;
    enum machine_asked asked;
    struct lookup question;
    struct machine_name question_name;
    struct machine_name target; /* of the term */
    struct machine_frame frames[SPF_TERMS_MAX + 1];
    unsigned depth;
    size_t host_count, host; /* exchanges, and the next */
    struct machine_name hosts[SPF_HOSTS_MAX];
    struct machine_client client;
    struct bytes explanation; /* as published */
    struct spf_result result;
    char reason[SPF_REASON_MAX];
};

static inline struct bytes machine_name_bytes(const struct machine_name *name)
{
    return bytes_range(name->text, name->len);
}

static inline struct machine_frame *machine_frame(struct spf_check *check)
{
    return &check->frames[check->depth];
}

/* A name that DNS can be asked for: labels of 1 to 63 octets, 253 in all. */
bool machine_name_is_askable(struct bytes name);
/* Lower case, no final dot; false where it is not askable. */
must_use bool machine_name_set(struct machine_name *out, struct bytes name);
/* Puts a question out. */
void machine_ask(struct spf_check *check, enum machine_asked why, enum lookup_type type,
                 struct bytes name);
/* The check is over: for the reason, which may hold bytes from outside. */
void machine_end(struct spf_check *check, enum spf_verdict verdict, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The record of the frame came to this; leads to the next term, to exp= or to the end. A temperror
 * or permerror anywhere is the whole check's (section 5.2). */
void machine_return(struct spf_check *check, enum spf_verdict verdict);
/* There is no record for the frame's domain, or it is no domain. */
void machine_no_record(struct spf_check *check, const char *why);
/* Whether the address is the client's, as far as the bits of the term go. */
bool machine_is_client(const struct spf_check *check, struct bytes address, unsigned prefix4,
                       unsigned prefix6);

/*
 * session.h - an inbound session, and one engine's part of the service. Private to the folder.
 *
 * Thread: the engine's.
 */
#pragma once

#include "base/slab.h"
#include "inbound/receive/receive.h"
#include "intake/intake.h"
#include "serve/note_budget.h"
#include "serve/service.h"

enum {
    /* The client waits 10 minutes: RFC 5321 section 4.5.3.2.6. */
    COMMIT_MS = 600 * 1000,
};

/* Settings, as the sessions that began under them use them. */
struct receive_generation {
    struct generation generation; /* serve/generation.h */
    struct receive *receive;
    struct receive_settings settings;
    struct smtp_service service;
    char hostname[256];
    char postmaster[512];
};

struct receive_session {
    struct smtp_server server;
    const struct receive_listener *listener;
    struct address client; /* as a proxy said it, where one did */
    struct door *door;     /* while it is asked about */
    uint64_t greeting;     /* the token of that question */
    bool is_too_many;      /* of a client that a proxy told of */
    bool has_network;
    struct admission_key network; /* that it counts for */
    char list[DOOR_ZONE_MAX + 1]; /* that has its address, and only marks; "": none */
    uint64_t content;             /* the token of its content's question */
    unsigned unknown_count;       /* recipients that nobody is */
};

struct receive {
    struct service service;
    struct receive_setup setup;
    struct slab arrivals, intakes;
    struct header_table fields;
    struct intake_home home;
    struct note_budget notes, notes_of_nobody;
    struct rspamd *rspamd;
    size_t inspection_count; /* under way */
};

extern const struct smtp_policy receive_policy; /* context: the settings' generation */

static inline struct receive_generation *receive_generation_of(
    const struct receive_session *session)
{
    return container_of(session->server.session.generation, struct receive_generation, generation);
}

/* The newest: lists in it go with the configuration that they are of, also while sessions of older
 * settings run. */
static inline const struct receive_settings *receive_newest(const struct receive *receive)
{
    return &container_of(receive->service.generation, struct receive_generation, generation)
                ->settings;
}

/* What ending the session would give back; 0 while it ends or its content is being answered. */
size_t receive_held(const struct session *session);

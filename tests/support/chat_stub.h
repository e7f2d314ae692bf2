/*
 * chat_stub.h - a service of no use but to test SMTP sessions: it takes what it is told to take.
 *
 * It records what it is asked as facts: "connected", "login PLAIN user", "login_done user",
 * "login_failed user", "mail a@b size=..", "rcpt ..", "begin", "message from=.. to=a,b size=..",
 * "content ..", "refused 552 5.3.4 rule=.. verb=MAIL address=..", "cancel mail", "reset", "closed".
 * Sessions are a slab's, which AddressSanitizer knows of.
 */
#pragma once

#include "serve/service.h"
#include "smtpd/smtp_server.h"

/* What the stub does; a test may change it at any time. */
struct chat_stub_rules {
    struct verdict connected, mail, rcpt, begin, commit; /* code 0: yes */
    unsigned later;           /* questions answered by chat_stub_answer(): 1 << ASKS_... */
    int64_t later_ms;         /* their time; 0: a minute; then 451 4.3.0, the session goes on */
    const char *rcpt_refused; /* glob of forward-paths that `rcpt` is for; NULL: all */
    size_t room;              /* bytes taken until chat_stub_room() is called again */
    bool holds_commits;       /* answered by chat_stub_release() */
    bool is_stranger;         /* clients are nobody's */
    bool needs_tls;           /* and have to be under TLS */
    /* Logins; mechanisms 0 where why_not.code is: refused so; both 0: AUTH is not known. */
    unsigned mechanisms; /* 1 << enum sasl_mechanism */
    struct verdict why_not, login, login_begin, login_done, login_failed; /* failed.code 0: 535 */
    const char *user, *secret; /* who is right; NULL: nobody */
    bool answers_at_once;      /* from inside content_end, else at the end of the turn */
};

struct chat_stub {
    struct engine *engine;
    struct smtp_service service; /* policy and context are set; the rest is the test's */
    struct chat_stub_rules rules;
    enum smtp_tls tls; /* of the listener */
    struct buf *facts; /* NULL: none are recorded */
    struct service serving;
    struct generation generation;
    _Atomic int load;
    struct turn_end answer;
};

void chat_stub_init(struct chat_stub *stub, struct engine *engine);
void chat_stub_accept(struct chat_stub *stub, int fd);
void chat_stub_room(struct chat_stub *stub, size_t room); /* resumes sessions */
void chat_stub_release(struct chat_stub *stub);           /* answers held commits */
/* Answers what is to be answered later; NULL: by the rules. */
void chat_stub_answer(struct chat_stub *stub, const struct verdict *verdict);
bool chat_stub_is_asked(const struct chat_stub *stub); /* anything of that */
/* Answers questions that are over: nothing happens. How many there were. */
unsigned chat_stub_answer_late(struct chat_stub *stub);
void chat_stub_stop(struct chat_stub *stub);
void chat_stub_abort(struct chat_stub *stub);
size_t chat_stub_sessions(const struct chat_stub *stub);
void chat_stub_free(struct chat_stub *stub); /* no session may be left; before the engine ends */

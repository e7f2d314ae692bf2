/*
 * login_guard.h - who guesses secrets is slowed down, then kept from logging in for a while: by
 * network, in the whole process.
 *
 * A network is an IPv4 address or a /64 of IPv6 (serve/admission.h). Each failed login of one makes
 * the next refusal take longer: 0.25 s, doubled each time, 8 s at most. LOGIN_GUARD_FORGET_MS after
 * the last one they are forgotten, and half of them by each login that is right. failures_max of
 * them block the network for block_ms.
 *
 * Of a network that many users share, such as a webmail's, each user is counted by himself: who
 * guesses there keeps nobody else out.
 *
 * The table is bounded: 16,384 networks. Where a new one finds no room it takes that of the one
 * that failed longest ago, one that is blocked last; which ones share room nobody outside can know.
 *
 * Any thread.
 */
#pragma once

#include "base/bytes.h"
#include "serve/admission.h"

enum { LOGIN_GUARD_FORGET_MS = 10 * 60 * 1000, LOGIN_GUARD_DELAY_MS_MAX = 8000 };

struct login_guard_rule {
    unsigned failures_max; /* 0: never blocked */
    int64_t block_ms;
};

/* Who is counted instead of a network that is shared: its user, whatever the case of his name. */
struct admission_key login_guard_user(const struct admission_key *network, struct bytes user);

/* Times are monotonic. */
bool login_guard_blocks(const struct admission_key *network, int64_t now_ms);
/* One more failed: how long to wait before that is said. *begins_block_out: it was one too many. */
int64_t login_guard_failed(const struct admission_key *network, const struct login_guard_rule *rule,
                           int64_t now_ms, bool *begins_block_out);
void login_guard_passed(const struct admission_key *network, int64_t now_ms);
/* Of tests: as after a start. */
void login_guard_forget_all(void);

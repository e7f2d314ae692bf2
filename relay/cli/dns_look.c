/* dns_look.c - c-ares with poll(). */
#include "relay/cli/dns_look.h"

#include <ares.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "dns/name.h"
#include "dns/packet.h"

enum { CLASS_IN = 1, EDNS_SIZE = 1232, TIMEOUT_MS = 2000, TRIES = 3, WAIT_MS = 200 };

struct dns_look {
    ares_channel ares;
    /* Of the question that is waited for. */
    const struct dns_name *name;
    enum dns_type type;
    struct arena *arena;
    struct dns_packet packet;
    bool is_done;
};

struct dns_look *dns_look_open(const struct dns_settings *settings, const char **why_out)
{
    struct dns_look *look = calloc(1, sizeof(*look));
    struct ares_options options = {
        .flags = ARES_FLAG_EDNS | ARES_FLAG_NOSEARCH | ARES_FLAG_NOCHECKRESP,
        .timeout = settings->timeout_ms != 0 ? (int)settings->timeout_ms : TIMEOUT_MS,
        .tries = settings->tries != 0 ? (int)settings->tries : TRIES,
        .lookups = (char[]){"b"},
        .ednspsz = EDNS_SIZE,
    };

    check(look != NULL);
    int code = ares_library_init(ARES_LIB_INIT_ALL);
    if (code == ARES_SUCCESS)
        code = ares_init_options(&look->ares, &options,
                                 ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                                     ARES_OPT_LOOKUPS | ARES_OPT_EDNSPSZ);
    if (code == ARES_SUCCESS && settings->servers != NULL)
        code = ares_set_servers_ports_csv(look->ares, settings->servers);
    if (code == ARES_SUCCESS)
        return look;
    *why_out = ares_strerror(code);
    if (look->ares != NULL)
        ares_destroy(look->ares);
    free(look);
    return NULL;
}

static void on_answer(void *context, int status, int timeouts, unsigned char *packet, int len)
{
    struct dns_look *look = context;

    (void)timeouts;
    look->is_done = true;
    if (packet == NULL) {
        look->packet = (struct dns_packet){.status = DNS_FAILED, .why = ares_strerror(status)};
        return;
    }
    struct bytes copy;
    check(arena_copy(look->arena, bytes_range(packet, (size_t)len), &copy));
    dns_packet_parse(&look->packet, copy, dns_name_bytes(look->name), look->type,
                     DNS_CNAME_CHAIN_MAX, look->arena);
}

/* c-ares' macros shift into the sign at its sixteenth socket. */
enum { SOCKETS_MAX = ARES_GETSOCK_MAXNUM - 1 };

static void wait_for_sockets(struct dns_look *look)
{
    ares_socket_t sockets[SOCKETS_MAX];
    struct pollfd polled[SOCKETS_MAX];
    int bits = ares_getsock(look->ares, sockets, SOCKETS_MAX);
    nfds_t count = 0;

    for (int i = 0; i < SOCKETS_MAX; i++) {
        short events = (short)((ARES_GETSOCK_READABLE(bits, i) ? POLLIN : 0) |
                               (ARES_GETSOCK_WRITABLE(bits, i) ? POLLOUT : 0));

        if (events != 0)
            polled[count++] = (struct pollfd){.fd = sockets[i], .events = events};
    }
    int ready = poll(polled, count, WAIT_MS);
    if (ready <= 0)
        ares_process_fd(look->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* its time-outs */
    for (nfds_t i = 0; ready > 0 && i < count; i++)
        if (polled[i].revents != 0)
            ares_process_fd(look->ares,
                            polled[i].revents & ~POLLOUT ? polled[i].fd : ARES_SOCKET_BAD,
                            polled[i].revents & POLLOUT ? polled[i].fd : ARES_SOCKET_BAD);
}

/* One question; the parser says where the chain of CNAMEs goes on when the servers do not. */
static void ask(struct dns_look *look, const struct dns_name *name, enum dns_type type,
                struct arena *arena)
{
    char text[DNS_NAME_ESCAPED_MAX + 1];

    look->name = name;
    look->type = type;
    look->arena = arena;
    look->is_done = false;
    dns_name_escape(name, text);
    ares_query(look->ares, text, CLASS_IN, (int)type, on_answer, look);
    while (!look->is_done)
        wait_for_sockets(look);
}

void dns_look(struct dns_look *look, struct bytes text, enum dns_type type, struct arena *arena,
              struct dns_look_answer *out)
{
    struct dns_name name;
    struct bytes canonical;
    unsigned asked = 0;

    *out = (struct dns_look_answer){.status = DNS_BAD_NAME, .canonical = text};
    if (!dns_name_parse(text, &name))
        return;
    do {
        ask(look, &name, type, arena);
        if (look->packet.status != DNS_FAILED)
            name = look->packet.owner;
    } while (look->packet.is_unfinished && ++asked < DNS_CNAME_CHAIN_MAX);
    out->status = look->packet.status;
    out->why = look->packet.why;
    if (out->status == DNS_FAILED)
        return;
    check(arena_copy(arena, dns_name_bytes(&name), &canonical));
    out->canonical = canonical;
    out->count = out->status == DNS_OK ? look->packet.record_count : 0;
    if (out->count > 0)
        memcpy(out->records, look->packet.records, out->count * sizeof(*out->records));
}

void dns_look_close(struct dns_look **look)
{
    ares_destroy((*look)->ares);
    ares_library_cleanup();
    free(*look);
    *look = NULL;
}

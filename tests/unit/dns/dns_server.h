/*
 * dns_server.h - a DNS server on 127.0.0.1 that tests script, stepped on the test's own thread.
 *
 * It knows the records it was given, follows CNAMEs among them, adds a SOA to negative answers, and
 * misbehaves for names it was told to misbehave for. Everything it was asked is counted.
 */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit/dns/wire.h"

enum behaviour {
    BEHAVES,
    SAYS_SERVFAIL,
    SAYS_REFUSED,
    SAYS_FORMERR, /* as old servers do to EDNS */
    IS_SILENT,
    SAYS_WRONG_ID,         /* then the truth */
    SAYS_WRONG_NAME,       /* another question's answer, then nothing */
    SAYS_TRUNCATED,        /* over UDP */
    SAYS_GARBAGE,          /* a record that ends past the packet */
    SAYS_BARE_CNAME,       /* only the first CNAME, no SOA */
    SAYS_NO_SOA,           /* negative answers without SOA */
    LOWERS_CASE,           /* of the question, over UDP and TCP */
    LOWERS_CASE_OF_CNAME,  /* only the first one, as SAYS_BARE_CNAME */
    SAYS_WRONG_CASE,       /* over UDP: a forged answer that has one letter wrong; TCP: the truth */
    SAYS_WRONG_CASE_ONCE,  /* then the truth */
    SAYS_SERVFAIL_FORGED,  /* over UDP, one letter wrong; TCP: the truth */
    SAYS_SERVFAIL_LOWERED, /* over UDP and TCP */
    SAYS_ANOTHER_EACH_TIME, /* address, in lower case */
};

enum {
    SERVER_RECORDS_MAX = 1024,
    SERVER_RULES_MAX = 32,
    SERVER_SIGNED_MAX = 16,
    SERVER_NAME_MAX = 256,
    TCP_MAX = 16
};

struct server_record {
    char owner[SERVER_NAME_MAX];
    unsigned type;
    uint32_t ttl_s;
    unsigned preference;
    char value[SERVER_NAME_MAX];
};

struct server_rule {
    char name[SERVER_NAME_MAX];
    unsigned type; /* 0: any */
    enum behaviour behaviour;
};

struct dns_server {
    int udp;
    int listener;
    int tcp[TCP_MAX];
    unsigned port;
    size_t record_count;
    struct server_record records[SERVER_RECORDS_MAX];
    size_t rule_count;
    struct server_rule rules[SERVER_RULES_MAX];
    size_t signed_count;
    char signed_names[SERVER_SIGNED_MAX][SERVER_NAME_MAX];
    unsigned ad_queries; /* that ask to be told what is authentic */
    unsigned queries;
    unsigned tcp_queries;
    unsigned edns_queries;
    unsigned upper_letters; /* in all names asked for */
    unsigned forged;        /* answers */
    unsigned others;        /* queries for names that it never heard of */
    char last_name[SERVER_NAME_MAX];
    struct wire query;
    struct wire reply;
};

static inline int server_bind(int type, unsigned *port)
{
    int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
    socklen_t len = sizeof(address);

    check(fd >= 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)&address, len) < 0) {
        close(fd);
        return -1;
    }
    check(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static inline void server_open(struct dns_server *server)
{
    memset(server, 0, sizeof(*server));
    for (size_t i = 0; i < TCP_MAX; i++)
        server->tcp[i] = -1;
    for (;;) { /* until both protocols have the same port */
        server->port = 0;
        server->udp = server_bind(SOCK_DGRAM, &server->port);
        check(server->udp >= 0);
        server->listener = server_bind(SOCK_STREAM, &server->port);
        if (server->listener >= 0)
            break;
        close(server->udp);
    }
    check(listen(server->listener, 16) == 0);
}

static inline void server_close(struct dns_server *server)
{
    for (size_t i = 0; i < TCP_MAX; i++)
        if (server->tcp[i] >= 0)
            close(server->tcp[i]);
    close(server->udp);
    if (server->listener >= 0)
        close(server->listener);
}

/* From now on it answers over UDP alone. */
static inline void server_close_tcp(struct dns_server *server)
{
    close(server->listener);
    server->listener = -1;
}

static inline unsigned server_type(const char *name)
{
    static const struct {
        const char *name;
        unsigned type;
    } types[] = {{"TLSA", 52}, {"A", 1},    {"CNAME", 5}, {"PTR", 12},
                 {"MX", 15},   {"TXT", 16}, {"AAAA", 28}};

    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (strcmp(types[i].name, name) == 0)
            return types[i].type;
    check_failed("a type the server knows", __FILE__, __LINE__, __func__);
}

/* "mail.example 300 A 192.0.2.1", "example 300 MX 10 mail.example" ("." as exchange: null MX). */
static inline void server_add(struct dns_server *server, const char *line)
{
    check(server->record_count < SERVER_RECORDS_MAX);
    struct server_record *record = &server->records[server->record_count++];
    char type[8];
    int used = 0;

    check(sscanf(line, "%255s %u %7s %n", record->owner, &record->ttl_s, type, &used) == 3);
    record->type = server_type(type);
    if (record->type == 15) {
        int more = 0;

        check(sscanf(line + used, "%u %n", &record->preference, &more) == 1);
        used += more;
    }
    snprintf(record->value, sizeof(record->value), "%s", line + used);
    if (strcmp(record->value, ".") == 0)
        record->value[0] = '\0';
}

/* Answers to questions for it are authentic, as a validating server says that is asked with AD. */
static inline void server_sign(struct dns_server *server, const char *name)
{
    check(server->signed_count < SERVER_SIGNED_MAX);
    snprintf(server->signed_names[server->signed_count++], SERVER_NAME_MAX, "%s", name);
}

static inline bool server_is_signed(const struct dns_server *server, const char *name)
{
    for (size_t i = 0; i < server->signed_count; i++)
        if (strcmp(server->signed_names[i], name) == 0)
            return true;
    return false;
}

/* The last word on a name counts. */
static inline void server_behave(struct dns_server *server, const char *name, unsigned type,
                                 enum behaviour behaviour)
{
    check(server->rule_count < SERVER_RULES_MAX);
    struct server_rule *rule = &server->rules[server->rule_count++];

    snprintf(rule->name, sizeof(rule->name), "%s", name);
    rule->type = type;
    rule->behaviour = behaviour;
}

static inline enum behaviour server_behaviour(const struct dns_server *server, const char *name,
                                              unsigned type)
{
    for (size_t i = server->rule_count; i > 0; i--) {
        const struct server_rule *rule = &server->rules[i - 1];

        if (strcmp(rule->name, name) == 0 && (rule->type == 0 || rule->type == type))
            return rule->behaviour;
    }
    return BEHAVES;
}

static inline void server_write_record(struct wire *wire, const struct server_record *record)
{
    size_t start;

    switch (record->type) {
    case 1:
        wire_a(wire, record->owner, record->ttl_s, record->value);
        break;
    case 5:
        wire_cname(wire, record->owner, record->ttl_s, record->value);
        break;
    case 12:
        start = wire_begin_record(wire, WIRE_ANSWERS, record->owner, 12, record->ttl_s);
        wire_name(wire, record->value);
        wire_end_record(wire, start);
        break;
    case 15:
        wire_mx(wire, record->owner, record->ttl_s, record->preference, record->value);
        break;
    case 52: /* in hexadecimal */
        start = wire_begin_record(wire, WIRE_ANSWERS, record->owner, 52, record->ttl_s);
        for (const char *c = record->value; c[0] != '\0' && c[1] != '\0'; c += 2) {
            unsigned byte = 0;

            check(sscanf(c, "%2x", &byte) == 1);
            wire_u8(wire, byte);
        }
        wire_end_record(wire, start);
        break;
    case 16:
        start = wire_begin_record(wire, WIRE_ANSWERS, record->owner, 16, record->ttl_s);
        wire_u8(wire, (unsigned)strlen(record->value));
        wire_bytes(wire, record->value, strlen(record->value));
        wire_end_record(wire, start);
        break;
    default:
        wire_aaaa(wire, record->owner, record->ttl_s, record->value);
        break;
    }
}

/* Writes records of `name`; *alias_out: where a CNAME leads, or NULL. Returns how many there are,
 * and in *is_known_out whether the name exists at all. */
static inline size_t server_write_records(struct dns_server *server, const char *name,
                                          unsigned type, const char **alias_out, bool *is_known_out)
{
    size_t count = 0;

    *alias_out = NULL;
    *is_known_out = false;
    for (size_t i = 0; i < server->record_count; i++) {
        const struct server_record *record = &server->records[i];

        if (strcmp(record->owner, name) != 0)
            continue;
        *is_known_out = true;
        if (record->type == type) {
            server_write_record(&server->reply, record);
            count++;
        } else if (record->type == 5) {
            server_write_record(&server->reply, record);
            *alias_out = record->value;
        }
    }
    return count;
}

static inline void server_write_truth(struct dns_server *server, const char *name, unsigned type,
                                      enum behaviour behaviour)
{
    const char *alias = name;
    bool is_known = false;

    for (unsigned i = 0; i < 20 && alias != NULL; i++) {
        if (server_write_records(server, alias, type, &alias, &is_known) > 0)
            return;
        if ((behaviour == SAYS_BARE_CNAME || behaviour == LOWERS_CASE_OF_CNAME) && alias != NULL)
            return;
    }
    if (!is_known) {
        server->others++;
        server->reply.bytes[3] |= 3; /* NXDOMAIN */
    }
    if (behaviour != SAYS_NO_SOA)
        wire_soa(&server->reply, "", 60, 60);
}

/* Reads name, as it was sent, and type of the query. */
static inline unsigned server_read_sent(const struct wire *query, char *name)
{
    size_t at = 12;
    size_t len = 0;

    while (query->bytes[at] != 0 && at < query->len && len < SERVER_NAME_MAX - 64) {
        if (len > 0)
            name[len++] = '.';
        memcpy(name + len, query->bytes + at + 1, query->bytes[at]);
        len += query->bytes[at];
        at += (size_t)query->bytes[at] + 1;
    }
    name[len] = '\0';
    return wire_get_u16(query, at + 1);
}

/* The name is in lower case, as those of records and rules are. */
static inline unsigned server_read_question(const struct wire *query, char *name)
{
    unsigned type = server_read_sent(query, name);

    for (char *c = name; *c != '\0'; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c | 0x20 : *c);
    return type;
}

/* What to send for server->query, in server->reply. False: nothing. */
static inline bool server_answer(struct dns_server *server, bool is_tcp)
{
    char name[SERVER_NAME_MAX];
    unsigned type = server_read_question(&server->query, name);
    enum behaviour behaviour = server_behaviour(server, name, type);
    unsigned id = wire_get_u16(&server->query, 0);
    char sent[SERVER_NAME_MAX];
    char forged[32];

    server_read_sent(&server->query, sent);
    for (const char *c = sent; *c != '\0'; c++)
        server->upper_letters += *c >= 'A' && *c <= 'Z';
    snprintf(server->last_name, sizeof(server->last_name), "%s", name);
    server->queries++;
    server->tcp_queries += is_tcp;
    server->ad_queries += (server->query.bytes[3] & 0x20) != 0;
    server->edns_queries += wire_get_u16(&server->query, WIRE_ADDITIONAL) > 0;
    switch (behaviour) {
    case IS_SILENT:
        return false;
    case SAYS_SERVFAIL:
    case SAYS_REFUSED:
        wire_begin(&server->reply, id, WIRE_ANSWER | (behaviour == SAYS_SERVFAIL ? 2 : 5), sent,
                   type);
        return true;
    case SAYS_FORMERR:
        if (wire_get_u16(&server->query, WIRE_ADDITIONAL) == 0)
            break;
        wire_begin(&server->reply, id, WIRE_ANSWER | 1, name, type);
        return true;
    case SAYS_WRONG_NAME:
        wire_begin(&server->reply, id, WIRE_ANSWER, "wrong.example", type);
        wire_a(&server->reply, "wrong.example", 300, "192.0.2.66");
        return true;
    case SAYS_GARBAGE:
        wire_begin(&server->reply, id, WIRE_ANSWER, sent, type);
        wire_a(&server->reply, name, 300, "192.0.2.66");
        server->reply.len -= 2;
        return true;
    case SAYS_TRUNCATED:
        wire_begin(&server->reply, id, WIRE_ANSWER | (is_tcp ? 0 : 0x200), sent, type);
        if (is_tcp)
            server_write_truth(server, name, type, behaviour);
        return true;
    case LOWERS_CASE:
    case LOWERS_CASE_OF_CNAME:
        memcpy(sent, name, sizeof(sent));
        break;
    case SAYS_SERVFAIL_FORGED:
        if (is_tcp)
            break;
        sent[0] ^= 0x20;
        wire_begin(&server->reply, id, WIRE_ANSWER | 2, sent, type);
        return true;
    case SAYS_SERVFAIL_LOWERED:
        wire_begin(&server->reply, id, WIRE_ANSWER | 2, name, type);
        return true;
    case SAYS_ANOTHER_EACH_TIME:
        wire_begin(&server->reply, id, WIRE_ANSWER, name, type);
        snprintf(forged, sizeof(forged), "192.0.2.%u", 60 + server->forged++);
        wire_a(&server->reply, name, 300, forged);
        return true;
    case SAYS_WRONG_CASE:
    case SAYS_WRONG_CASE_ONCE:
        if (is_tcp || (behaviour == SAYS_WRONG_CASE_ONCE && server->forged > 0))
            break;
        server->forged++;
        sent[0] ^= 0x20;
        wire_begin(&server->reply, id, WIRE_ANSWER, sent, type);
        wire_a(&server->reply, sent, 300, "192.0.2.66");
        return true;
    case BEHAVES:
    case SAYS_WRONG_ID:
    case SAYS_BARE_CNAME:
    case SAYS_NO_SOA:
        break;
    }
    wire_begin(&server->reply, id, WIRE_ANSWER, sent, type);
    server_write_truth(server, name, type, behaviour);
    if (server_is_signed(server, name) && (server->query.bytes[3] & 0x20) != 0)
        server->reply.bytes[3] |= 0x20;
    /* As real servers do: what does not fit is asked again over TCP. */
    if (!is_tcp && server->reply.len > 1232) {
        wire_begin(&server->reply, id, WIRE_ANSWER | 0x200, sent, type);
        return true;
    }
    return true;
}

static inline void server_step_udp(struct dns_server *server)
{
    struct sockaddr_storage from;
    socklen_t from_len = sizeof(from);
    ssize_t len;

    while ((len = recvfrom(server->udp, server->query.bytes, WIRE_MAX, 0, (struct sockaddr *)&from,
                           &from_len)) > 0) {
        char name[SERVER_NAME_MAX];

        server->query.len = (size_t)len;
        if (!server_answer(server, false))
            continue;
        unsigned type = server_read_question(&server->query, name);

        if (server_behaviour(server, name, type) == SAYS_WRONG_ID) {
            server->reply.bytes[0] ^= 0x55;
            (void)sendto(server->udp, server->reply.bytes, server->reply.len, 0,
                         (struct sockaddr *)&from, from_len);
            server->reply.bytes[0] ^= 0x55;
        }
        (void)sendto(server->udp, server->reply.bytes, server->reply.len, 0,
                     (struct sockaddr *)&from, from_len);
    }
}

/* Queries come whole: they are small and c-ares sends length and query at once. */
static inline void server_step_tcp(struct dns_server *server)
{
    for (size_t i = 0; i < TCP_MAX; i++) {
        uint8_t head[2];

        if (server->tcp[i] < 0 && server->listener >= 0)
            server->tcp[i] = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (server->tcp[i] < 0)
            continue;
        ssize_t len = recv(server->tcp[i], head, 2, 0);

        if (len == 0 || (len < 0 && errno != EAGAIN)) {
            close(server->tcp[i]);
            server->tcp[i] = -1;
        }
        if (len != 2)
            continue;
        server->query.len = (size_t)head[0] << 8 | head[1];
        check(recv(server->tcp[i], server->query.bytes, server->query.len, 0) ==
              (ssize_t)server->query.len);
        if (!server_answer(server, true))
            continue;
        head[0] = (uint8_t)(server->reply.len >> 8);
        head[1] = (uint8_t)server->reply.len;
        check(send(server->tcp[i], head, 2, MSG_NOSIGNAL | MSG_MORE) == 2);
        check(send(server->tcp[i], server->reply.bytes, server->reply.len, MSG_NOSIGNAL) ==
              (ssize_t)server->reply.len);
    }
}

static inline void server_step(struct dns_server *server)
{
    server_step_udp(server);
    server_step_tcp(server);
}

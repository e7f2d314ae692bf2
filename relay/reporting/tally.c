/* tally.c - the database of reports: its file, transactions and what is counted. */
#include "reporting/tally.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/owner.h"

enum {
    BUSY_MS = 5000,
    VERSION = 1,
    PATH_LEN_MAX = 4096,
    MS_A_DAY = 86400000,
    END_S = 300, /* behind midnight: for what is late */
};

static const char schema[] =
    "CREATE TABLE place (number INTEGER NOT NULL, offset INTEGER NOT NULL,"
    " events INTEGER NOT NULL);"
    "CREATE TABLE report (kind INTEGER, day INTEGER, domain TEXT, policy TEXT NOT NULL DEFAULT '',"
    " rows INTEGER NOT NULL DEFAULT 0, total INTEGER NOT NULL DEFAULT 0,"
    " left_out INTEGER NOT NULL DEFAULT 0, state INTEGER NOT NULL DEFAULT 0,"
    " tries INTEGER NOT NULL DEFAULT 0, next_ms INTEGER NOT NULL DEFAULT 0,"
    " said TEXT NOT NULL DEFAULT '', PRIMARY KEY (kind, day, domain)) WITHOUT ROWID;"
    "CREATE TABLE counted (kind INTEGER, day INTEGER, domain TEXT,"
    " c0 TEXT, c1 TEXT, c2 TEXT, c3 TEXT, c4 TEXT, c5 TEXT, c6 TEXT, c7 TEXT,"
    " count INTEGER NOT NULL,"
    " PRIMARY KEY (kind, day, domain, c0, c1, c2, c3, c4, c5, c6, c7)) WITHOUT ROWID;"
    "CREATE TABLE target (kind INTEGER, day INTEGER, domain TEXT, address TEXT,"
    " PRIMARY KEY (kind, day, domain, address)) WITHOUT ROWID;"
    "PRAGMA user_version = 1";
/* Came later; who does not know it does without. */
static const char posting[] =
    "CREATE TABLE IF NOT EXISTS posting (kind INTEGER, day INTEGER, domain TEXT, address TEXT,"
    " unclear INTEGER NOT NULL, PRIMARY KEY (kind, day, domain, address)) WITHOUT ROWID";

#define OF_REPORT " WHERE kind = ?1 AND day = ?2 AND domain = ?3"
#define OF_ROW \
    OF_REPORT " AND c0 = ?4 AND c1 = ?5 AND c2 = ?6 AND c3 = ?7 AND c4 = ?8 AND c5 = ?9" \
              " AND c6 = ?10 AND c7 = ?11"
#define REPORT_COLUMNS \
    "SELECT kind, day, domain, policy, rows, total, left_out, state, tries, next_ms, said FROM " \
    "report"

enum statement {
    GET_PLACE,
    DROP_PLACE,
    SET_PLACE,
    GET_STATE,
    COUNT_DOMAINS,
    ADD_REPORT,
    ADD_TO_ROW,
    ADD_ROW,
    ADD_TO_REPORT,
    NEXT_DUE,
    REPORTS,
    ROWS,
    SETTLE,
    ADD_TARGET,
    HAS_TARGET,
    BEGIN_POST,
    END_POST,
    UNCLEAR,
    TRUST_AGAIN,
    HURRY,
    STATEMENT_COUNT
};

static const char *const texts[STATEMENT_COUNT] = {
    [GET_PLACE] = "SELECT number, offset, events FROM place",
    [DROP_PLACE] = "DELETE FROM place",
    [SET_PLACE] = "INSERT INTO place VALUES (?1, ?2, ?3)",
    [GET_STATE] = "SELECT state, rows FROM report" OF_REPORT,
    [COUNT_DOMAINS] = "SELECT count(*) FROM report WHERE kind = ?1 AND day = ?2",
    [ADD_REPORT] = "INSERT INTO report (kind, day, domain, next_ms) VALUES (?1, ?2, ?3, ?4)",
    [ADD_TO_ROW] = "UPDATE counted SET count = count + ?12" OF_ROW,
    [ADD_ROW] = "INSERT INTO counted VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    [ADD_TO_REPORT] = "UPDATE report SET rows = rows + ?4, total = total + ?5,"
                      " left_out = left_out + ?6, policy = ?7" OF_REPORT,
    [NEXT_DUE] = REPORT_COLUMNS " WHERE state <= 1 AND (next_ms = 0 OR day < ?1 AND next_ms <= ?2)"
                                " ORDER BY day, kind, domain LIMIT 1",
    [REPORTS] = REPORT_COLUMNS " WHERE kind = ?1 AND (?2 = -1 OR day = ?2)"
                               " AND (?3 = '' OR domain = ?3) ORDER BY day DESC, domain",
    [ROWS] = "SELECT c0, c1, c2, c3, c4, c5, c6, c7, count FROM counted" OF_REPORT
             " ORDER BY count DESC, c0, c1, c2, c3, c4, c5, c6, c7",
    [SETTLE] = "UPDATE report SET state = ?4, tries = ?5, next_ms = ?6, said = ?7" OF_REPORT,
    [ADD_TARGET] = "INSERT OR IGNORE INTO target VALUES (?1, ?2, ?3, ?4)",
    [HAS_TARGET] = "SELECT 1 FROM target" OF_REPORT " AND address = ?4",
    [BEGIN_POST] = "INSERT INTO posting VALUES (?1, ?2, ?3, ?4, 1)"
                   " ON CONFLICT DO UPDATE SET unclear = unclear + 1",
    [END_POST] = "UPDATE posting SET unclear = unclear - 1" OF_REPORT " AND address = ?4",
    [UNCLEAR] = "SELECT unclear FROM posting" OF_REPORT " AND address = ?4",
    [TRUST_AGAIN] = "DELETE FROM posting WHERE kind = ?1 AND day = ?2 AND (?3 = '' OR domain = ?3)"
                    " AND domain IN (SELECT domain FROM report WHERE kind = ?1 AND day = ?2"
                    " AND state = 4)",
    [HURRY] = "UPDATE report SET next_ms = 0, tries = 0, state = CASE state WHEN 0 THEN 0 ELSE 1"
              " END WHERE kind = ?1 AND day = ?2 AND (?3 = '' OR domain = ?3) AND state <> 2",
};

struct tally {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    unsigned spread_s;
    char why[TALLY_WHY_MAX];
};

const char *tally_kind_name(enum tally_kind kind)
{
    return kind == TALLY_DMARC ? "dmarc" : "tls";
}

const char *tally_state_name(enum tally_state state)
{
    static const char *const names[] = {
        [TALLY_OPEN] = "counting",     [TALLY_CLOSED] = "sending", [TALLY_SENT] = "sent",
        [TALLY_UNWANTED] = "unwanted", [TALLY_FAILED] = "failed",
    };

    check((unsigned)state < ARRAY_LEN(names));
    return names[state];
}

const char *tally_why(const struct tally *tally)
{
    return tally->why;
}

void tally_spread(struct tally *tally, unsigned spread_s)
{
    tally->spread_s = spread_s;
}

/* --- statements ------------------------------------------------------------------------------- */

static bool fail(struct tally *tally)
{
    snprintf(tally->why, sizeof(tally->why), "reports.db: %s", sqlite3_errmsg(tally->db));
    return false;
}

static bool run(struct tally *tally, const char *sql)
{
    return sqlite3_exec(tally->db, sql, NULL, NULL, NULL) == SQLITE_OK || fail(tally);
}

static sqlite3_stmt *prepared(struct tally *tally, enum statement which)
{
    sqlite3_stmt **statement = &tally->statements[which];

    if (*statement == NULL &&
        sqlite3_prepare_v3(tally->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT, statement,
                           NULL) != SQLITE_OK) {
        (void)fail(tally);
        return NULL;
    }
    sqlite3_reset(*statement);
    sqlite3_clear_bindings(*statement);
    return *statement;
}

static void bind_text(sqlite3_stmt *s, int at, struct bytes text)
{
    const char *start = text.len > 0 ? (const char *)text.ptr : "";

    (void)sqlite3_bind_text(s, at, start, (int)text.len, SQLITE_TRANSIENT);
}

/* What is left unbound by a failure is NULL, which the tables refuse. */
static sqlite3_stmt *of_report(struct tally *tally, enum statement which, enum tally_kind kind,
                               int64_t day, struct bytes domain)
{
    sqlite3_stmt *s = prepared(tally, which);

    if (s == NULL)
        return NULL;
    (void)sqlite3_bind_int(s, 1, kind);
    (void)sqlite3_bind_int64(s, 2, day);
    if (sqlite3_bind_parameter_count(s) > 2)
        bind_text(s, 3, domain);
    return s;
}

static bool finish(struct tally *tally, sqlite3_stmt *s)
{
    int code = s != NULL ? sqlite3_step(s) : SQLITE_ERROR;

    if (s != NULL && code != SQLITE_DONE)
        (void)fail(tally);
    if (s != NULL)
        sqlite3_reset(s);
    return code == SQLITE_DONE;
}

/* A row is there, or not; false: it failed. */
static bool step(struct tally *tally, sqlite3_stmt *s, bool *has_out)
{
    int code = s != NULL ? sqlite3_step(s) : SQLITE_ERROR;

    *has_out = code == SQLITE_ROW;
    if (s != NULL && code != SQLITE_ROW && code != SQLITE_DONE)
        (void)fail(tally);
    return code == SQLITE_ROW || code == SQLITE_DONE;
}

static struct bytes column(sqlite3_stmt *s, int number)
{
    const void *text = sqlite3_column_text(s, number);

    return text != NULL ? bytes_range(text, (size_t)sqlite3_column_bytes(s, number)) : BYTES_NONE;
}

/* --- the file --------------------------------------------------------------------------------- */

static bool set_up(struct tally *tally, bool is_readonly)
{
    sqlite3_stmt *s = NULL;
    int version = -1;

    sqlite3_busy_timeout(tally->db, BUSY_MS);
    if (!is_readonly && !run(tally, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL"))
        return false;
    if (sqlite3_prepare_v2(tally->db, "PRAGMA user_version", -1, &s, NULL) == SQLITE_OK &&
        sqlite3_step(s) == SQLITE_ROW)
        version = sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    if (version < 0)
        return fail(tally);
    if (version == VERSION)
        return is_readonly || run(tally, posting);
    if (version == 0 && !is_readonly)
        return run(tally, "BEGIN IMMEDIATE") && run(tally, schema) && run(tally, posting) &&
               run(tally, "COMMIT");
    snprintf(tally->why, sizeof(tally->why), "reports.db: a version of it that is not known, %d",
             version);
    return false;
}

struct tally *tally_open(const char *state_dir, bool is_readonly, char why[static TALLY_WHY_MAX])
{
    struct tally *tally = calloc(1, sizeof(*tally));
    char path[PATH_LEN_MAX];
    int flags = is_readonly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    int len = snprintf(path, sizeof(path), "%s/reports.db", state_dir);
    struct stat status;

    check(tally != NULL);
    if (len >= (int)sizeof(path))
        snprintf(tally->why, sizeof(tally->why), "state_dir: %s", strerror(ENAMETOOLONG));
    else if (is_readonly && stat(path, &status) < 0)
        snprintf(tally->why, sizeof(tally->why), "nothing was counted yet: there is no reports.db");
    else if (sqlite3_open_v2(path, &tally->db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        (void)fail(tally);
    else if (set_up(tally, is_readonly)) {
        if (!is_readonly) {
            (void)chmod(path, 0600);
            (void)owner_give_at(AT_FDCWD, path, state_dir);
        }
        return tally;
    }
    memcpy(why, tally->why, TALLY_WHY_MAX);
    tally_close(&tally);
    return NULL;
}

void tally_close(struct tally **tally)
{
    struct tally *t = *tally;

    *tally = NULL;
    if (t == NULL)
        return;
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(t->statements[i]);
    sqlite3_close(t->db);
    free(t);
}

bool tally_begin(struct tally *tally)
{
    return run(tally, "BEGIN IMMEDIATE");
}

bool tally_commit(struct tally *tally)
{
    return run(tally, "COMMIT");
}

void tally_take_back(struct tally *tally)
{
    if (!sqlite3_get_autocommit(tally->db))
        (void)sqlite3_exec(tally->db, "ROLLBACK", NULL, NULL, NULL);
}

bool tally_place(struct tally *tally, struct event_place *place_out)
{
    sqlite3_stmt *s = prepared(tally, GET_PLACE);
    bool has;

    *place_out = (struct event_place){0};
    if (!step(tally, s, &has))
        return false;
    if (has)
        *place_out = (struct event_place){(uint64_t)sqlite3_column_int64(s, 0),
                                          (uint64_t)sqlite3_column_int64(s, 1),
                                          (uint64_t)sqlite3_column_int64(s, 2)};
    sqlite3_reset(s);
    return true;
}

bool tally_set_place(struct tally *tally, struct event_place place)
{
    if (!finish(tally, prepared(tally, DROP_PLACE)))
        return false;
    sqlite3_stmt *s = prepared(tally, SET_PLACE);

    if (s == NULL)
        return false;
    (void)sqlite3_bind_int64(s, 1, (int64_t)place.number);
    (void)sqlite3_bind_int64(s, 2, (int64_t)place.offset);
    (void)sqlite3_bind_int64(s, 3, (int64_t)place.events);
    return finish(tally, s);
}

/* --- counting --------------------------------------------------------------------------------- */

/* What becomes of a row that is not there yet. */
struct standing {
    int64_t day; /* the first one, from the asked on, whose report is open */
    uint64_t rows;
    bool is_there, has_room;
};

static bool look(struct tally *tally, enum tally_kind kind, int64_t day, struct bytes domain,
                 struct standing *out)
{
    bool has = true, is_open = false;

    *out = (struct standing){.day = day - 1};
    while (has && !is_open) {
        sqlite3_stmt *s = of_report(tally, GET_STATE, kind, ++out->day, domain);

        if (!step(tally, s, &has))
            return false;
        is_open = has && sqlite3_column_int(s, 0) == TALLY_OPEN;
        out->rows = has ? (uint64_t)sqlite3_column_int64(s, 1) : 0;
        sqlite3_reset(s);
    }
    out->is_there = has;
    out->has_room = true;
    if (has)
        return true;
    sqlite3_stmt *s = of_report(tally, COUNT_DOMAINS, kind, out->day, BYTES_NONE);
    if (!step(tally, s, &has))
        return false;
    out->has_room = sqlite3_column_int64(s, 0) < TALLY_DOMAINS_MAX;
    sqlite3_reset(s);
    return true;
}

static bool add_report(struct tally *tally, enum tally_kind kind, int64_t day, struct bytes domain)
{
    sqlite3_stmt *s = of_report(tally, ADD_REPORT, kind, day, domain);
    int64_t later_s = tally->spread_s > 0 ? (int64_t)(bytes_hash(domain) % tally->spread_s) : 0;

    if (s == NULL)
        return false;
    (void)sqlite3_bind_int64(s, 4, (day + 1) * MS_A_DAY + (END_S + later_s) * 1000);
    return finish(tally, s);
}

static sqlite3_stmt *of_row(struct tally *tally, enum statement which, enum tally_kind kind,
                            int64_t day, struct bytes domain, const struct tally_row *row)
{
    sqlite3_stmt *s = of_report(tally, which, kind, day, domain);

    if (s == NULL)
        return NULL;
    for (int i = 0; i < TALLY_COLUMNS; i++)
        bind_text(s, 4 + i, row->columns[i]);
    (void)sqlite3_bind_int64(s, 4 + TALLY_COLUMNS, (int64_t)row->count);
    return s;
}

static bool add_to_report(struct tally *tally, enum tally_kind kind, int64_t day,
                          struct bytes domain, struct bytes policy, bool is_new, bool is_left_out,
                          uint64_t count)
{
    sqlite3_stmt *s = of_report(tally, ADD_TO_REPORT, kind, day, domain);

    if (s == NULL)
        return false;
    (void)sqlite3_bind_int(s, 4, is_new);
    (void)sqlite3_bind_int64(s, 5, (int64_t)count);
    (void)sqlite3_bind_int64(s, 6, is_left_out ? (int64_t)count : 0);
    bind_text(s, 7, policy);
    return finish(tally, s);
}

bool tally_add(struct tally *tally, enum tally_kind kind, int64_t day, struct bytes domain,
               struct bytes policy, const struct tally_row *row)
{
    struct standing at;
    bool is_new = false, is_left_out = false;

    if (domain.len == 0 || domain.len > TALLY_DOMAIN_MAX)
        return true;
    if (!look(tally, kind, day, domain, &at))
        return false;
    if (!at.has_room)
        return true; /* whom it would tell of it is not known either */
    if (!at.is_there && !add_report(tally, kind, at.day, domain))
        return false;
    if (!finish(tally, of_row(tally, ADD_TO_ROW, kind, at.day, domain, row)))
        return false;
    if (sqlite3_changes(tally->db) == 0) {
        is_left_out = at.rows >= TALLY_ROWS_MAX;
        is_new = !is_left_out;
        if (is_new && !finish(tally, of_row(tally, ADD_ROW, kind, at.day, domain, row)))
            return false;
    }
    return add_to_report(tally, kind, at.day, domain, policy, is_new, is_left_out, row->count);
}

/* --- reports ---------------------------------------------------------------------------------- */

static void take_report(sqlite3_stmt *s, struct tally_report *out)
{
    *out = (struct tally_report){
        .kind = (enum tally_kind)sqlite3_column_int(s, 0),
        .day = sqlite3_column_int64(s, 1),
        .domain = column(s, 2),
        .policy = column(s, 3),
        .rows = (uint64_t)sqlite3_column_int64(s, 4),
        .total = (uint64_t)sqlite3_column_int64(s, 5),
        .left_out = (uint64_t)sqlite3_column_int64(s, 6),
        .state = (enum tally_state)sqlite3_column_int(s, 7),
        .tries = (unsigned)sqlite3_column_int(s, 8),
        .next_ms = sqlite3_column_int64(s, 9),
        .said = column(s, 10),
    };
}

/* The statement stays open for the texts: it is reset by its next use, or by who settles. */
bool tally_next_due(struct tally *tally, int64_t day, int64_t now_ms, struct tally_report *out,
                    bool *has_out)
{
    sqlite3_stmt *s = prepared(tally, NEXT_DUE);

    if (s == NULL)
        return false;
    (void)sqlite3_bind_int64(s, 1, day);
    (void)sqlite3_bind_int64(s, 2, now_ms);
    if (!step(tally, s, has_out))
        return false;
    if (*has_out)
        take_report(s, out);
    else
        sqlite3_reset(s);
    return true;
}

bool tally_reports(struct tally *tally, enum tally_kind kind, int64_t day, struct bytes domain,
                   bool (*visit)(void *context, const struct tally_report *report), void *context)
{
    sqlite3_stmt *s = of_report(tally, REPORTS, kind, day, domain);
    struct tally_report report;
    bool has = true, is_good;

    while ((is_good = step(tally, s, &has)) && has) {
        take_report(s, &report);
        if (!visit(context, &report))
            break;
    }
    if (s != NULL)
        sqlite3_reset(s);
    return is_good;
}

bool tally_rows(struct tally *tally, const struct tally_report *report,
                void (*visit)(void *context, const struct tally_row *row), void *context)
{
    sqlite3_stmt *s = of_report(tally, ROWS, report->kind, report->day, report->domain);
    struct tally_row row;
    bool has = true, is_good;

    while ((is_good = step(tally, s, &has)) && has) {
        for (int i = 0; i < TALLY_COLUMNS; i++)
            row.columns[i] = column(s, i);
        row.count = (uint64_t)sqlite3_column_int64(s, TALLY_COLUMNS);
        visit(context, &row);
    }
    if (s != NULL)
        sqlite3_reset(s);
    return is_good;
}

bool tally_settle(struct tally *tally, const struct tally_report *report, enum tally_state state,
                  unsigned tries, int64_t next_ms, const char *said)
{
    sqlite3_stmt *s = of_report(tally, SETTLE, report->kind, report->day, report->domain);

    if (s == NULL)
        return false;
    (void)sqlite3_bind_int(s, 4, state);
    (void)sqlite3_bind_int(s, 5, (int)tries);
    (void)sqlite3_bind_int64(s, 6, next_ms);
    bind_text(s, 7, bytes_of(said));
    return finish(tally, s);
}

bool tally_add_target(struct tally *tally, const struct tally_report *report, struct bytes target)
{
    sqlite3_stmt *s = of_report(tally, ADD_TARGET, report->kind, report->day, report->domain);

    if (s == NULL)
        return false;
    bind_text(s, 4, target);
    return finish(tally, s);
}

bool tally_has_target(struct tally *tally, const struct tally_report *report, struct bytes target,
                      bool *has_out)
{
    sqlite3_stmt *s = of_report(tally, HAS_TARGET, report->kind, report->day, report->domain);

    if (s == NULL)
        return false;
    bind_text(s, 4, target);
    bool is_good = step(tally, s, has_out);

    sqlite3_reset(s);
    return is_good;
}

static bool of_target(struct tally *tally, enum statement which, const struct tally_report *report,
                      struct bytes target)
{
    sqlite3_stmt *s = of_report(tally, which, report->kind, report->day, report->domain);

    if (s != NULL)
        bind_text(s, 4, target);
    return finish(tally, s);
}

bool tally_begin_post(struct tally *tally, const struct tally_report *report, struct bytes target)
{
    return of_target(tally, BEGIN_POST, report, target);
}

bool tally_end_post(struct tally *tally, const struct tally_report *report, struct bytes target)
{
    return of_target(tally, END_POST, report, target);
}

bool tally_unclear_posts(struct tally *tally, const struct tally_report *report,
                         struct bytes target, unsigned *count_out)
{
    sqlite3_stmt *s = of_report(tally, UNCLEAR, report->kind, report->day, report->domain);
    bool has = false;

    if (s == NULL)
        return false;
    bind_text(s, 4, target);
    bool is_good = step(tally, s, &has);

    *count_out = has ? (unsigned)sqlite3_column_int(s, 0) : 0;
    sqlite3_reset(s);
    return is_good;
}

bool tally_hurry(struct tally *tally, enum tally_kind kind, int64_t day, struct bytes domain,
                 uint64_t *count_out)
{
    bool is_good = finish(tally, of_report(tally, TRUST_AGAIN, kind, day, domain)) &&
                   finish(tally, of_report(tally, HURRY, kind, day, domain));

    *count_out = is_good ? (uint64_t)sqlite3_changes(tally->db) : 0;
    return is_good;
}

bool tally_forget(struct tally *tally, int64_t day)
{
    char sql[256];

    snprintf(sql, sizeof(sql),
             "BEGIN IMMEDIATE; DELETE FROM counted WHERE day < %lld; DELETE FROM target WHERE day <"
             " %lld; DELETE FROM posting WHERE day < %lld; DELETE FROM report WHERE day < %lld;"
             " COMMIT",
             (long long)day, (long long)day, (long long)day, (long long)day);
    bool is_good = run(tally, sql);

    if (!is_good)
        tally_take_back(tally);
    return is_good;
}

/* --- days ------------------------------------------------------------------------------------- */

void tally_day_format(int64_t day, char out[static TALLY_DAY_TEXT_MAX])
{
    char text[CLOCK_TEXT_MAX];

    clock_format_rfc3339(day * MS_A_DAY, text);
    snprintf(out, TALLY_DAY_TEXT_MAX, "%.10s", text);
}

bool tally_day_parse(struct bytes text, int64_t *day_out)
{
    char whole[32];
    int64_t wall_ms;

    if (text.len != 10)
        return false;
    snprintf(whole, sizeof(whole), "%.*sT00:00:00Z", BYTES_ARG(text));
    if (!clock_parse_rfc3339(bytes_of(whole), &wall_ms))
        return false;
    *day_out = wall_ms / MS_A_DAY;
    return true;
}

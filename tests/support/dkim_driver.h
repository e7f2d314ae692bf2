/*
 * dkim_driver.h - verifies a whole message against a table of TXT records, cut where a test says.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "auth/dkim/verify.h"

enum { DKIM_DRIVER_ANSWERS_MAX = 8 };

/* What DNS has. Rows of the same name are one answer; a NULL text is a result without records. */
struct dkim_zone_row {
    const char *name;
    const char *text;
    enum lookup_result result;
};

struct dkim_driver {
    const struct dkim_zone_row *zone;
    size_t zone_count;
    int64_t wall_ms;
    unsigned asked; /* questions */
    /* private */
    struct mail_header header;
    struct body_hashes hashes;
    struct dkim_verifier *verifier;
};

static inline void dkim_driver_answer(struct dkim_driver *driver, size_t number,
                                      const struct lookup *question)
{
    struct lookup_record records[DKIM_DRIVER_ANSWERS_MAX];
    struct lookup_answer answer = {.result = LOOKUP_NO_NAME, .records = records};

    check(question->type == LOOKUP_TXT);
    for (size_t i = 0; i < driver->zone_count; i++) {
        const struct dkim_zone_row *row = &driver->zone[i];

        if (!bytes_equal(question->name, bytes_of(row->name)))
            continue;
        answer.result = row->text == NULL ? row->result : LOOKUP_FOUND;
        if (row->text != NULL && answer.count < DKIM_DRIVER_ANSWERS_MAX)
            records[answer.count++] = (struct lookup_record){.text = bytes_of(row->text)};
    }
    dkim_verifier_answer(driver->verifier, number, &answer);
}

static inline void dkim_driver_start(struct dkim_driver *driver)
{
    body_hashes_init(&driver->hashes);
    driver->verifier = dkim_verifier_new(&driver->header, &driver->hashes, driver->wall_ms);
    body_hashes_feed(&driver->hashes, driver->header.body_start);
}

/* One piece of the message. */
static inline void dkim_driver_feed(struct dkim_driver *driver, struct bytes piece)
{
    if (!driver->header.in_body) {
        if (!mail_header_feed(&driver->header, &piece))
            return;
        dkim_driver_start(driver);
    }
    body_hashes_feed(&driver->hashes, piece);
}

static inline void dkim_driver_finish(struct dkim_driver *driver)
{
    struct lookup question;

    if (!driver->header.in_body) {
        mail_header_finish(&driver->header);
        dkim_driver_start(driver);
    }
    for (size_t i = 0; i < dkim_verifier_count(driver->verifier); i++) {
        while (dkim_verifier_run(driver->verifier, i, &question) == CHECK_ASKS) {
            driver->asked++;
            dkim_driver_answer(driver, i, &question);
        }
    }
    body_hashes_finish(&driver->hashes);
}

static inline void dkim_driver_init(struct dkim_driver *driver, const struct dkim_zone_row *zone,
                                    size_t zone_count, int64_t wall_ms)
{
    *driver = (struct dkim_driver){.zone = zone, .zone_count = zone_count, .wall_ms = wall_ms};
    mail_header_init(&driver->header, MAIL_HEADER_SIZE_MAX, MAIL_HEADER_FIELDS_MAX);
}

static inline void dkim_driver_free(struct dkim_driver *driver)
{
    dkim_verifier_free(&driver->verifier);
    body_hashes_free(&driver->hashes);
    mail_header_free(&driver->header);
}

/*
 * dmarc.c - the two runs.
 *
 *   WALK --record, or the top--> EXISTS --> FOUND --judge--> ORGANISATION --> ALIGN --> OVER
 *     ^                             |
 *     '------ the next author ------'
 *
 * EXISTS asks only where sp and np differ; ORGANISATION only where an identifier might be aligned
 * by more than its name.
 */
#include "auth/dmarc/dmarc.h"

#include <string.h>

enum state { WALK, EXISTS, FOUND, ORGANISATION, ALIGN, OVER };

static const char *const result_names[] = {
    [DMARC_NONE] = "none",
    [DMARC_PASS] = "pass",
    [DMARC_FAIL] = "fail",
    [DMARC_TEMPERROR] = "temperror",
};

const char *dmarc_result_name(enum dmarc_result result)
{
    return result_names[result];
}

static struct bytes author(const struct dmarc *dmarc)
{
    return author_domain(dmarc->authors, dmarc->author_number);
}

static unsigned author_count(const struct dmarc *dmarc)
{
    return MIN(dmarc->authors->domain_count, (unsigned)AUTHOR_DOMAINS_MAX);
}

static bool is_below(struct bytes name, struct bytes ancestor)
{
    return bytes_ends_nocase(name, ancestor) &&
           (name.len == ancestor.len || name.ptr[name.len - ancestor.len - 1] == '.');
}

static void end(struct dmarc *dmarc, enum dmarc_result result, const char *why)
{
    dmarc->result = result;
    dmarc->why = why;
    dmarc->state = OVER;
}

/* Of several authors one may have had a policy: not all is known, so none is told. */
static void end_unknown(struct dmarc *dmarc, const char *why)
{
    dmarc->has_policy = false;
    end(dmarc, DMARC_TEMPERROR, why);
}

static enum check_step ask(struct dmarc *dmarc, enum lookup_type type, struct bytes prefix,
                           struct bytes name, struct lookup *lookup_out)
{
    check(prefix.len + name.len <= DMARC_QUESTION_MAX);
    if (prefix.len > 0)
        memcpy(dmarc->question, prefix.ptr, prefix.len);
    memcpy(dmarc->question + prefix.len, name.ptr, name.len);
    dmarc->question_len = prefix.len + name.len;
    *lookup_out = (struct lookup){type, bytes_range(dmarc->question, dmarc->question_len)};
    return CHECK_ASKS;
}

/* --- the policy ------------------------------------------------------------------------------- */

static enum dmarc_policy strictest(enum dmarc_policy a, enum dmarc_policy b)
{
    return MAX(a, b);
}

static void put_domain(struct author_domain *into, struct bytes domain)
{
    check(domain.len <= AUTHOR_DOMAIN_MAX);
    memcpy(into->text, domain.ptr, domain.len);
    into->len = domain.len;
}

/* The place whose record is the author's; NULL: there is none. */
static const struct walk_place *choose_place(const struct dmarc *dmarc)
{
    const struct walk *walk = &dmarc->walk;
    const struct walk_place *place = &walk->places[0];

    if (place->has_record)
        return place;
    place = walk_find(walk, walk_organisation(walk));
    return place != NULL && place->has_record ? place : walk_suffix(walk);
}

/* The record that applies to one of several authors counts if it is stricter than the last. */
static void take_policy(struct dmarc *dmarc, const struct walk_place *place,
                        enum dmarc_policy policy, const char *tag)
{
    if (dmarc->has_policy && strictest(policy, dmarc->policy) == dmarc->policy)
        return;
    dmarc->has_policy = true;
    dmarc->policy = policy;
    dmarc->policy_tag = tag;
    dmarc->record = place->record;
    put_domain(&dmarc->domain, place->name);
    put_domain(&dmarc->author, author(dmarc));
}

static void found_all(struct dmarc *dmarc)
{
    const char *why = dmarc->authors->why;

    dmarc->state = FOUND;
    if (dmarc->has_policy)
        dmarc->result = DMARC_FAIL;
    else
        dmarc->why = dmarc->why != NULL ? dmarc->why : "no policy is published";
    if (why != NULL)
        dmarc->why = why;
}

static void next_author(struct dmarc *dmarc)
{
    dmarc->author_number++;
    dmarc->state = WALK;
    if (dmarc->author_number < author_count(dmarc))
        walk_start(&dmarc->walk, author(dmarc));
    else
        found_all(dmarc);
}

/* What the walk has brought; whether it is asked if the author domain exists. */
static bool walked(struct dmarc *dmarc)
{
    const struct walk_place *place = choose_place(dmarc);

    if (place == NULL)
        return false;
    if (!place->record.has_policy) {
        dmarc->why = "the record has no valid policy, and no address for reports";
        return false;
    }
    dmarc->is_authors_own = bytes_equal(place->name, author(dmarc));
    if (dmarc->is_authors_own)
        take_policy(dmarc, place, place->record.p, "p");
    else if (place->record.sp == place->record.np)
        take_policy(dmarc, place, place->record.sp, "sp");
    else
        return true;
    return false;
}

/* The walk goes on to its end only where the author domain has no record of its own. */
static enum check_step run_walk(struct dmarc *dmarc, struct lookup *lookup_out)
{
    bool is_at_author = dmarc->walk.count == 1 && dmarc->walk.places[0].has_record;
    struct bytes name;

    if (!is_at_author && walk_next(&dmarc->walk, &name))
        return ask(dmarc, LOOKUP_TXT, BYTES("_dmarc."), name, lookup_out);
    dmarc->state = EXISTS;
    if (walked(dmarc))
        return ask(dmarc, LOOKUP_A, BYTES_NONE, author(dmarc), lookup_out);
    next_author(dmarc);
    return CHECK_DONE;
}

/* A domain that does not exist: NXDOMAIN (RFC 9989 section 3.2.13, RFC 8020). */
static void take_existence(struct dmarc *dmarc, const struct lookup_answer *answer)
{
    const struct walk_place *place = choose_place(dmarc);

    if (answer->result == LOOKUP_NO_NAME)
        take_policy(dmarc, place, place->record.np, "np");
    else
        take_policy(dmarc, place, place->record.sp, "sp");
    next_author(dmarc);
}

/* --- alignment -------------------------------------------------------------------------------- */

static bool is_strict(const struct dmarc *dmarc, const struct dmarc_identifier *identifier)
{
    return identifier->is_dkim ? dmarc->record.is_strict_dkim : dmarc->record.is_strict_spf;
}

/* An identifier of another name may have the author's organisation only if it is below the top of
 * the author's name, and the record allows it. */
static bool may_align(const struct dmarc *dmarc, const struct dmarc_identifier *identifier,
                      struct bytes organisation)
{
    return !identifier->is_aligned && !is_strict(dmarc, identifier) &&
           identifier->domain.len <= AUTHOR_DOMAIN_MAX &&
           is_below(identifier->domain, organisation);
}

static struct bytes top(struct bytes name)
{
    for (size_t i = name.len; i > 0; i--)
        if (name.ptr[i - 1] == '.')
            return bytes_slice(name, i, name.len);
    return name;
}

static bool any_may_align(const struct dmarc *dmarc, struct bytes organisation)
{
    for (size_t i = 0; i < dmarc->identifier_count; i++)
        if (may_align(dmarc, &dmarc->identifiers[i], organisation))
            return true;
    return false;
}

static void conclude(struct dmarc *dmarc)
{
    size_t passed = 0;

    for (size_t i = 0; i < dmarc->identifier_count; i++) {
        const struct dmarc_identifier *identifier = &dmarc->identifiers[i];

        passed += !identifier->is_temporary;
        if (!identifier->is_aligned)
            continue;
        if (!identifier->is_temporary) {
            end(dmarc, DMARC_PASS, "an identifier is aligned");
            return;
        }
        dmarc->has_failed = true;
    }
    if (dmarc->has_failed) {
        end(dmarc, DMARC_TEMPERROR, "a look-up failed");
        return;
    }
    end(dmarc, DMARC_FAIL,
        passed == 0 ? "neither SPF nor DKIM passed" : "what passed is another organisation's");
    dmarc->disposition = dmarc->policy;
    if (dmarc->record.is_testing && dmarc->policy != DMARC_POLICY_NONE)
        dmarc->disposition = dmarc->policy - 1;
}

/* Several authors: nothing to compare. */
static void conclude_without_author(struct dmarc *dmarc)
{
    const char *why = dmarc->why;

    dmarc->identifier_count = 0;
    conclude(dmarc);
    dmarc->why = why;
}

void dmarc_judge(struct dmarc *dmarc, struct dmarc_identifier *identifiers, size_t count)
{
    if (dmarc->state == OVER)
        return;
    check(dmarc->state == FOUND);
    if (dmarc->result != DMARC_FAIL) {
        dmarc->state = OVER;
        return;
    }
    if (dmarc->authors->why != NULL) {
        conclude_without_author(dmarc);
        return;
    }
    dmarc->identifiers = identifiers;
    dmarc->identifier_count = count;
    dmarc->author_number = 0;
    for (size_t i = 0; i < count; i++)
        identifiers[i].is_aligned = bytes_equal(identifiers[i].domain, author(dmarc));
    dmarc->state = ORGANISATION;
}

static enum check_step run_organisation(struct dmarc *dmarc, struct lookup *lookup_out)
{
    struct bytes name;

    if (any_may_align(dmarc, top(author(dmarc))) && walk_next(&dmarc->walk, &name))
        return ask(dmarc, LOOKUP_TXT, BYTES("_dmarc."), name, lookup_out);
    dmarc->state = ALIGN;
    dmarc->identifier_number = 0;
    dmarc->walk_up = (struct walk){0};
    return CHECK_DONE;
}

/* Takes the walk of this identifier on; true: it has a question. */
static bool align_asks(struct dmarc *dmarc, struct dmarc_identifier *identifier,
                       struct bytes organisation, struct bytes *name_out)
{
    struct walk *walk = &dmarc->walk_up;

    if (walk->domain.len == 0)
        walk_start(walk, identifier->domain);
    while (walk_next(walk, name_out))
        if (!walk_take_known(walk, &dmarc->walk))
            return true;
    identifier->is_aligned = bytes_equal(walk_organisation(walk), organisation);
    return false;
}

static enum check_step run_align(struct dmarc *dmarc, struct lookup *lookup_out)
{
    size_t count = MIN(dmarc->identifier_count, (size_t)DMARC_IDENTIFIERS_MAX);
    struct bytes name;

    /* While no identifier needs it, the walk of the author is not over. */
    while (dmarc->walk.next.len == 0 && dmarc->identifier_number < count) {
        struct dmarc_identifier *identifier = &dmarc->identifiers[dmarc->identifier_number];
        struct bytes organisation = walk_organisation(&dmarc->walk);

        if (may_align(dmarc, identifier, organisation) &&
            align_asks(dmarc, identifier, organisation, &name))
            return ask(dmarc, LOOKUP_TXT, BYTES("_dmarc."), name, lookup_out);
        dmarc->walk_up = (struct walk){0};
        dmarc->identifier_number++;
    }
    conclude(dmarc);
    return CHECK_DONE;
}

/* --- runs ------------------------------------------------------------------------------------- */

void dmarc_start(struct dmarc *dmarc, const struct authors *authors)
{
    *dmarc = (struct dmarc){.authors = authors, .state = WALK};
    if (author_count(dmarc) == 0)
        end(dmarc, DMARC_NONE, authors->why);
    else
        walk_start(&dmarc->walk, author(dmarc));
}

enum check_step dmarc_run(struct dmarc *dmarc, struct lookup *lookup_out)
{
    enum check_step step = CHECK_DONE;

    while (step == CHECK_DONE && dmarc->state != FOUND && dmarc->state != OVER) {
        switch ((enum state)dmarc->state) {
        case WALK:
            step = run_walk(dmarc, lookup_out);
            break;
        case ORGANISATION:
            step = run_organisation(dmarc, lookup_out);
            break;
        case ALIGN:
            step = run_align(dmarc, lookup_out);
            break;
        case EXISTS: /* waits for its answer */
        case FOUND:
        case OVER:
            check(false);
        }
    }
    return step;
}

void dmarc_answer(struct dmarc *dmarc, const struct lookup_answer *answer)
{
    bool has_failed = answer->result == LOOKUP_FAILED;

    switch ((enum state)dmarc->state) {
    case WALK:
        if (has_failed)
            end_unknown(dmarc, "the look-up of a policy failed");
        else
            walk_take(&dmarc->walk, answer);
        return;
    case EXISTS:
        if (has_failed)
            end_unknown(dmarc, "whether the author domain exists could not be looked up");
        else
            take_existence(dmarc, answer);
        return;
    case ORGANISATION:
        dmarc->has_failed |= has_failed;
        if (has_failed)
            conclude(dmarc);
        else
            walk_take(&dmarc->walk, answer);
        return;
    case ALIGN:
        dmarc->has_failed |= has_failed;
        if (!has_failed) {
            walk_take(&dmarc->walk_up, answer);
            return;
        }
        dmarc->walk_up = (struct walk){0};
        dmarc->identifier_number++;
        return;
    case FOUND:
    case OVER:
        check(false);
    }
}

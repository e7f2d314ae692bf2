/* sieve_check.c - verbs: their names, what each takes, and whether a script gave it that. */
#include "inbound/sieve/sieve_check.h"

#include "inbound/sieve/sieve_address.h"
#include "inbound/sieve/sieve_lexer.h"
#include "inbound/sieve/sieve_text.h"

/* --- capabilities ----------------------------------------------------------------------------- */

static const struct {
    const char *name;
    unsigned bit;
} capabilities[] = {
    {"fileinto", SIEVE_CAP_FILEINTO},
    {"envelope", SIEVE_CAP_ENVELOPE},
    {"encoded-character", SIEVE_CAP_ENCODED_CHARACTER},
    {"copy", SIEVE_CAP_COPY},
    {"imap4flags", SIEVE_CAP_IMAP4FLAGS},
    {"subaddress", SIEVE_CAP_SUBADDRESS},
    {"reject", SIEVE_CAP_REJECT},
    {"ereject", SIEVE_CAP_EREJECT},
    {"vacation", SIEVE_CAP_VACATION},
    {"comparator-i;octet", SIEVE_CAP_OCTET},
    {"comparator-i;ascii-casemap", SIEVE_CAP_ASCII_CASEMAP},
};

static const char *capability_name(unsigned bit)
{
    for (size_t i = 0; i < ARRAY_LEN(capabilities); i++)
        if (capabilities[i].bit == bit)
            return capabilities[i].name;
    return "";
}

static bool is_offered(const struct sieve_checker *checker, unsigned bit)
{
    return bit != SIEVE_CAP_VACATION || checker->host->can_answer;
}

/* Capabilities compare byte for byte (RFC 5228 section 14, number 6). */
static bool require_one(struct sieve_checker *checker, struct bytes name, unsigned line)
{
    for (size_t i = 0; i < ARRAY_LEN(capabilities); i++) {
        if (!bytes_equal(bytes_of(capabilities[i].name), name))
            continue;
        if (!is_offered(checker, capabilities[i].bit))
            break;
        checker->required |= capabilities[i].bit;
        return true;
    }
    sieve_error_set(checker->error, line, "the extension \"%s\" is not supported here",
                    sieve_show(name).text);
    return false;
}

static bool needs(struct sieve_checker *checker, unsigned bit, const char *prefix, const char *what,
                  unsigned line)
{
    if (bit == SIEVE_CAP_NONE || (checker->required & bit) != 0)
        return true;
    if (is_offered(checker, bit))
        sieve_error_set(checker->error, line, "expected require \"%s\" before \"%s%s\"",
                        capability_name(bit), prefix, what);
    else
        sieve_error_set(checker->error, line, "\"%s%s\" is not supported here", prefix, what);
    return false;
}

/* --- tags ------------------------------------------------------------------------------------- */

/* Of each group one verb has one tag at most. */
enum group {
    GROUP_MATCH = 1 << 0,
    GROUP_COMPARATOR = 1 << 1,
    GROUP_PART = 1 << 2,
    GROUP_OVER = 1 << 3,
    GROUP_COPY = 1 << 4,
    GROUP_FLAGS = 1 << 5,
    GROUP_DAYS = 1 << 6,
    GROUP_SUBJECT = 1 << 7,
    GROUP_FROM = 1 << 8,
    GROUP_ADDRESSES = 1 << 9,
    GROUP_MIME = 1 << 10,
    GROUP_HANDLE = 1 << 11,
    GROUPS_VACATION =
        GROUP_DAYS | GROUP_SUBJECT | GROUP_FROM | GROUP_ADDRESSES | GROUP_MIME | GROUP_HANDLE,
};

struct tag {
    const char *name;
    unsigned group, capability;
    char value; /* 0: none; 'n' a number, 's' a string, 'l' a list */
    int meaning;
};

static const struct tag tags[] = {
    {"is", GROUP_MATCH, 0, 0, SIEVE_IS},
    {"contains", GROUP_MATCH, 0, 0, SIEVE_CONTAINS},
    {"matches", GROUP_MATCH, 0, 0, SIEVE_MATCHES},
    {"comparator", GROUP_COMPARATOR, 0, 's', 0},
    {"all", GROUP_PART, 0, 0, SIEVE_ALL},
    {"localpart", GROUP_PART, 0, 0, SIEVE_LOCALPART},
    {"domain", GROUP_PART, 0, 0, SIEVE_DOMAIN},
    {"user", GROUP_PART, SIEVE_CAP_SUBADDRESS, 0, SIEVE_USER},
    {"detail", GROUP_PART, SIEVE_CAP_SUBADDRESS, 0, SIEVE_DETAIL},
    {"over", GROUP_OVER, 0, 0, true},
    {"under", GROUP_OVER, 0, 0, false},
    {"copy", GROUP_COPY, SIEVE_CAP_COPY, 0, 0},
    {"flags", GROUP_FLAGS, SIEVE_CAP_IMAP4FLAGS, 'l', 0},
    {"days", GROUP_DAYS, 0, 'n', 0},
    {"subject", GROUP_SUBJECT, 0, 's', 0},
    {"from", GROUP_FROM, 0, 's', 0},
    {"addresses", GROUP_ADDRESSES, 0, 'l', 0},
    {"mime", GROUP_MIME, 0, 0, 0},
    {"handle", GROUP_HANDLE, 0, 's', 0},
};

/* --- verbs ------------------------------------------------------------------------------------ */

static const struct verb {
    const char *name;
    unsigned capability;
    unsigned groups;   /* of tags */
    const char *takes; /* behind these, in order: 's' a string, 'l' a list, 'n' a number */
    enum sieve_tests tests;
    bool has_block;
} verbs[SIEVE_VERB_COUNT] = {
    [SIEVE_VERB_REQUIRE] = {"require", 0, 0, "l", SIEVE_TESTS_NONE, false},
    [SIEVE_VERB_IF] = {"if", 0, 0, "", SIEVE_TESTS_ONE, true},
    [SIEVE_VERB_ELSIF] = {"elsif", 0, 0, "", SIEVE_TESTS_ONE, true},
    [SIEVE_VERB_ELSE] = {"else", 0, 0, "", SIEVE_TESTS_NONE, true},
    [SIEVE_VERB_STOP] = {"stop", 0, 0, "", SIEVE_TESTS_NONE, false},
    [SIEVE_VERB_KEEP] = {"keep", 0, GROUP_FLAGS, "", SIEVE_TESTS_NONE, false},
    [SIEVE_VERB_DISCARD] = {"discard", 0, 0, "", SIEVE_TESTS_NONE, false},
    [SIEVE_VERB_FILEINTO] = {"fileinto", SIEVE_CAP_FILEINTO, GROUP_COPY | GROUP_FLAGS, "s",
                             SIEVE_TESTS_NONE, false},
    [SIEVE_VERB_REDIRECT] = {"redirect", 0, GROUP_COPY, "s", SIEVE_TESTS_NONE, false},
    [SIEVE_VERB_REJECT] = {"reject", SIEVE_CAP_REJECT, 0, "s", SIEVE_TESTS_NONE, false},
    [SIEVE_VERB_EREJECT] = {"ereject", SIEVE_CAP_EREJECT, 0, "s", SIEVE_TESTS_NONE, false},
    [SIEVE_VERB_VACATION] = {"vacation", SIEVE_CAP_VACATION, GROUPS_VACATION, "s", SIEVE_TESTS_NONE,
                             false},
    [SIEVE_VERB_SETFLAG] = {"setflag", SIEVE_CAP_IMAP4FLAGS, 0, "l", SIEVE_TESTS_NONE, false},
    [SIEVE_VERB_ADDFLAG] = {"addflag", SIEVE_CAP_IMAP4FLAGS, 0, "l", SIEVE_TESTS_NONE, false},
    [SIEVE_VERB_REMOVEFLAG] = {"removeflag", SIEVE_CAP_IMAP4FLAGS, 0, "l", SIEVE_TESTS_NONE, false},
    [SIEVE_VERB_ADDRESS] = {"address", 0, GROUP_MATCH | GROUP_COMPARATOR | GROUP_PART, "ll",
                            SIEVE_TESTS_NONE, false},
    [SIEVE_VERB_ALLOF] = {"allof", 0, 0, "", SIEVE_TESTS_LIST, false},
    [SIEVE_VERB_ANYOF] = {"anyof", 0, 0, "", SIEVE_TESTS_LIST, false},
    [SIEVE_VERB_ENVELOPE] = {"envelope", SIEVE_CAP_ENVELOPE,
                             GROUP_MATCH | GROUP_COMPARATOR | GROUP_PART, "ll", SIEVE_TESTS_NONE,
                             false},
    [SIEVE_VERB_EXISTS] = {"exists", 0, 0, "l", SIEVE_TESTS_NONE, false},
    [SIEVE_VERB_FALSE] = {"false", 0, 0, "", SIEVE_TESTS_NONE, false},
    [SIEVE_VERB_HASFLAG] = {"hasflag", SIEVE_CAP_IMAP4FLAGS, GROUP_MATCH | GROUP_COMPARATOR, "l",
                            SIEVE_TESTS_NONE, false},
    [SIEVE_VERB_HEADER] = {"header", 0, GROUP_MATCH | GROUP_COMPARATOR, "ll", SIEVE_TESTS_NONE,
                           false},
    [SIEVE_VERB_NOT] = {"not", 0, 0, "", SIEVE_TESTS_ONE, false},
    [SIEVE_VERB_SIZE] = {"size", 0, GROUP_OVER, "n", SIEVE_TESTS_NONE, false},
    [SIEVE_VERB_TRUE] = {"true", 0, 0, "", SIEVE_TESTS_NONE, false},
};

const char *sieve_verb_name(enum sieve_verb verb)
{
    return verbs[verb].name;
}

enum sieve_tests sieve_verb_tests(enum sieve_verb verb)
{
    return verbs[verb].tests;
}

bool sieve_verb_has_block(enum sieve_verb verb)
{
    return verbs[verb].has_block;
}

bool sieve_check_verb(struct sieve_checker *checker, struct bytes name, bool is_test, unsigned line,
                      enum sieve_verb *verb_out)
{
    for (unsigned i = 0; i < SIEVE_VERB_COUNT; i++) {
        if (!bytes_equal_nocase(bytes_of(verbs[i].name), name))
            continue;
        if ((i >= SIEVE_VERB_ADDRESS) != is_test)
            break;
        if (i == SIEVE_VERB_REDIRECT && !checker->host->can_redirect) {
            sieve_error_set(checker->error, line, "\"redirect\" is not supported here");
            return false;
        }
        *verb_out = (enum sieve_verb)i;
        return needs(checker, verbs[i].capability, "", verbs[i].name, line);
    }
    sieve_error_set(checker->error, line, "expected %s, and \"%s\" is none",
                    is_test ? "a test" : "a command", sieve_show(name).text);
    return false;
}

/* --- giving arguments ------------------------------------------------------------------------- */

/* What `kind` stands for, in an error. */
static const char *kind_name(char kind)
{
    return kind == 'n' ? "a number" : kind == 's' ? "one string" : "a string or a list of strings";
}

static bool is_kind(const struct sieve_argument *argument, char kind)
{
    switch (argument->kind) {
    case SIEVE_ARGUMENT_TAG:
        return false;
    case SIEVE_ARGUMENT_NUMBER:
        return kind == 'n';
    case SIEVE_ARGUMENT_STRING:
        return kind != 'n';
    case SIEVE_ARGUMENT_LIST:
        return kind == 'l';
    }
    return false;
}

static bool give_comparator(struct sieve_checker *checker, struct sieve_node *node,
                            const struct sieve_argument *value)
{
    struct bytes name = value->strings.of[0];

    if (bytes_equal(name, BYTES("i;octet"))) {
        node->comparator = SIEVE_OCTET;
    } else if (bytes_equal(name, BYTES("i;ascii-casemap"))) {
        node->comparator = SIEVE_ASCII_CASEMAP;
    } else {
        sieve_error_set(checker->error, value->line,
                        "expected a comparator, \"i;octet\" or \"i;ascii-casemap\"; \"%s\" is not "
                        "supported here",
                        sieve_show(name).text);
        return false;
    }
    return true;
}

static bool give_from(struct sieve_checker *checker, struct sieve_node *node,
                      const struct sieve_argument *value)
{
    node->vacation->has_from = true;
    node->vacation->from = value->strings.of[0];
    if (sieve_is_mailbox_list(node->vacation->from))
        return true;
    sieve_error_set(checker->error, value->line, "expected addresses behind \":from\"");
    return false;
}

/* `value`: behind the tag, where it takes one. */
static bool give_tag(struct sieve_checker *checker, struct sieve_node *node, const struct tag *tag,
                     const struct sieve_argument *value)
{
    switch ((enum group)tag->group) {
    case GROUP_MATCH:
        node->match = (enum sieve_match_type)tag->meaning;
        return true;
    case GROUP_COMPARATOR:
        return give_comparator(checker, node, value);
    case GROUP_PART:
        node->part = (enum sieve_part)tag->meaning;
        return true;
    case GROUP_OVER:
        node->is_over = tag->meaning != 0;
        return true;
    case GROUP_COPY:
        node->copies = true;
        return true;
    case GROUP_FLAGS:
        node->has_flags = true;
        node->flags = value->strings;
        return true;
    case GROUP_DAYS: /* RFC 5230 section 4.1 */
        node->vacation->days = MIN(MAX(value->number, (uint64_t)1), (uint64_t)SIEVE_DAYS_MAX);
        return true;
    case GROUP_SUBJECT:
        node->vacation->has_subject = true;
        node->vacation->subject = value->strings.of[0];
        return true;
    case GROUP_FROM:
        return give_from(checker, node, value);
    case GROUP_ADDRESSES:
        node->vacation->addresses = value->strings;
        return true;
    case GROUP_MIME:
        node->vacation->is_mime = true;
        return true;
    case GROUP_HANDLE:
        node->vacation->has_handle = true;
        node->vacation->handle = value->strings.of[0];
        return true;
    case GROUPS_VACATION:
        break;
    }
    return false;
}

static const struct tag *find_tag(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_LEN(tags); i++)
        if (bytes_equal_nocase(bytes_of(tags[i].name), name))
            return &tags[i];
    return NULL;
}

/* The tags, which come first. *next_out is behind them. */
static bool give_tags(struct sieve_checker *checker, struct sieve_node *node, size_t count,
                      const struct sieve_argument *arguments, unsigned *given_out, size_t *next_out)
{
    const struct verb *verb = &verbs[node->verb];
    unsigned given = 0;
    size_t i = 0;

    while (i < count && arguments[i].kind == SIEVE_ARGUMENT_TAG) {
        const struct sieve_argument *argument = &arguments[i++];
        const struct tag *tag = find_tag(argument->tag);

        if (tag == NULL || (tag->group & verb->groups) == 0) {
            sieve_error_set(checker->error, argument->line, "\"%s\" takes no \":%s\"", verb->name,
                            sieve_show(argument->tag).text);
            return false;
        }
        if (!needs(checker, tag->capability, ":", tag->name, argument->line))
            return false;
        if ((given & tag->group) != 0) {
            sieve_error_set(checker->error, argument->line,
                            "\":%s\" is one too many: \"%s\" takes one of its kind", tag->name,
                            verb->name);
            return false;
        }
        given |= tag->group;
        if (tag->value != 0 && (i == count || !is_kind(&arguments[i], tag->value))) {
            sieve_error_set(checker->error, argument->line, "expected %s behind \":%s\"",
                            kind_name(tag->value), tag->name);
            return false;
        }
        if (!give_tag(checker, node, tag, tag->value != 0 ? &arguments[i] : NULL))
            return false;
        i += tag->value != 0;
    }
    *given_out = given;
    *next_out = i;
    return true;
}

static const char *describe_argument(const struct sieve_argument *argument)
{
    switch (argument->kind) {
    case SIEVE_ARGUMENT_TAG:
        return "a tag, which stands before all else";
    case SIEVE_ARGUMENT_NUMBER:
        return "a number";
    case SIEVE_ARGUMENT_STRING:
        return "a string";
    case SIEVE_ARGUMENT_LIST:
        return "a list";
    }
    return "";
}

static bool check_positional(struct sieve_checker *checker, const struct sieve_node *node,
                             size_t count, const struct sieve_argument *arguments)
{
    const struct verb *verb = &verbs[node->verb];
    bool is_of_flags = verb->capability == SIEVE_CAP_IMAP4FLAGS;
    size_t i;

    for (i = 0; verb->takes[i] != '\0'; i++) {
        if (i == count) {
            sieve_error_set(checker->error, node->line, "expected %s more behind \"%s\"",
                            kind_name(verb->takes[i]), verb->name);
            return false;
        }
        if (!is_kind(&arguments[i], verb->takes[i])) {
            sieve_error_set(checker->error, arguments[i].line, "expected %s for \"%s\", found %s",
                            kind_name(verb->takes[i]), verb->name,
                            describe_argument(&arguments[i]));
            return false;
        }
    }
    if (i == count)
        return true;
    if (is_of_flags && i + 1 == count) /* RFC 5232 section 3 */
        sieve_error_set(checker->error, arguments[i].line,
                        "expected flags alone: a variable's name needs the extension "
                        "\"variables\", which is not supported here");
    else
        sieve_error_set(checker->error, arguments[i].line, "expected no more behind \"%s\"",
                        verb->name);
    return false;
}

/* --- what single verbs ask for ---------------------------------------------------------------- */

static bool wrong(struct sieve_checker *checker, unsigned line, const char *what)
{
    sieve_error_set(checker->error, line, "%s", what);
    return false;
}

static bool check_mailbox(struct sieve_checker *checker, struct sieve_node *node, unsigned line)
{
    if (bytes_equal_nocase(node->text, BYTES("INBOX"))) {
        node->text = BYTES("INBOX");
        return true;
    }
    if (node->text.len > 0 &&
        (checker->host->is_mailbox == NULL || checker->host->is_mailbox(node->text)))
        return true;
    sieve_error_set(checker->error, line, "expected a mailbox's name, and \"%s\" is none",
                    sieve_show(node->text).text);
    return false;
}

static bool check_fields_of_addresses(struct sieve_checker *checker,
                                      const struct sieve_strings *names, unsigned line)
{
    for (size_t i = 0; i < names->count; i++) {
        if (!sieve_is_field_name(names->of[i]) || sieve_is_address_field(names->of[i]))
            continue;
        sieve_error_set(checker->error, line,
                        "expected a field of addresses for \"address\", and \"%s\" is none",
                        sieve_show(names->of[i]).text);
        return false;
    }
    return true;
}

static bool check_parts_of_envelope(struct sieve_checker *checker,
                                    const struct sieve_strings *names, unsigned line)
{
    for (size_t i = 0; i < names->count; i++) {
        if (bytes_equal_nocase(names->of[i], BYTES("from")) ||
            bytes_equal_nocase(names->of[i], BYTES("to")))
            continue;
        sieve_error_set(checker->error, line,
                        "expected \"from\" or \"to\" for \"envelope\", found \"%s\"",
                        sieve_show(names->of[i]).text);
        return false;
    }
    return true;
}

/* In :mime's header nothing but ASCII is sent (RFC 5230 section 5). */
static bool check_vacation(struct sieve_checker *checker, struct sieve_node *node, unsigned line)
{
    struct sieve_vacation *vacation = node->vacation;

    vacation->reason = node->text;
    if (!vacation->is_mime)
        return true;
    size_t end = bytes_find_bytes(vacation->reason, BYTES("\r\n\r\n"), 0);

    if (bytes_has_8bit(bytes_slice(vacation->reason, 0, end)))
        return wrong(checker, line, "expected ASCII alone in the header that \":mime\" tells of");
    return true;
}

static bool check_follows(struct sieve_checker *checker, const struct sieve_node *node,
                          const struct sieve_node *previous)
{
    if (previous != NULL && (previous->verb == SIEVE_VERB_IF || previous->verb == SIEVE_VERB_ELSIF))
        return true;
    sieve_error_set(checker->error, node->line, "expected an \"if\" or \"elsif\" before \"%s\"",
                    sieve_verb_name(node->verb));
    return false;
}

static bool check_require(struct sieve_checker *checker, const struct sieve_node *node)
{
    if (checker->is_beyond_requires)
        return wrong(checker, node->line, "expected \"require\" before every other command");
    for (size_t i = 0; i < node->keys.count; i++)
        if (!require_one(checker, node->keys.of[i], node->line))
            return false;
    return true;
}

static bool check_node(struct sieve_checker *checker, struct sieve_node *node,
                       const struct sieve_node *previous, unsigned given, unsigned line)
{
    switch (node->verb) {
    case SIEVE_VERB_REQUIRE:
        return check_require(checker, node);
    case SIEVE_VERB_ELSIF:
    case SIEVE_VERB_ELSE:
        return check_follows(checker, node, previous);
    case SIEVE_VERB_FILEINTO:
        return check_mailbox(checker, node, line);
    case SIEVE_VERB_REDIRECT:
        return sieve_take_address(node->text, &node->text) ||
               wrong(checker, line, "expected a mail address for \"redirect\"");
    case SIEVE_VERB_REJECT:
    case SIEVE_VERB_EREJECT:
        return node->text.len <= SIEVE_REASON_MAX ||
               wrong(checker, line, "expected a shorter reason, of 1000 bytes at most");
    case SIEVE_VERB_VACATION:
        return check_vacation(checker, node, line);
    case SIEVE_VERB_ADDRESS:
        return check_fields_of_addresses(checker, &node->names, line);
    case SIEVE_VERB_ENVELOPE:
        return check_parts_of_envelope(checker, &node->names, line);
    case SIEVE_VERB_SIZE:
        return (given & GROUP_OVER) != 0 ||
               wrong(checker, node->line, "expected \":over\" or \":under\" behind \"size\"");
    default:
        return true;
    }
}

/* --- all of it -------------------------------------------------------------------------------- */

static bool decode_strings(struct sieve_checker *checker, size_t count,
                           struct sieve_argument *arguments)
{
    if ((checker->required & SIEVE_CAP_ENCODED_CHARACTER) == 0)
        return true;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < arguments[i].strings.count; j++) {
            const char *what = sieve_decode_characters(checker->arena, &arguments[i].strings.of[j]);

            if (what != NULL)
                return wrong(checker, arguments[i].line, what);
        }
    return true;
}

bool sieve_check_arguments(struct sieve_checker *checker, struct sieve_node *node,
                           const struct sieve_node *previous, size_t count,
                           struct sieve_argument *arguments)
{
    const char *takes = verbs[node->verb].takes;
    unsigned given;
    size_t next;

    if (node->verb == SIEVE_VERB_VACATION) {
        node->vacation = arena_alloc(checker->arena, sizeof(*node->vacation));
        if (node->vacation == NULL)
            return wrong(checker, node->line, "the script needs too much memory");
        node->vacation->days = 7;
    }
    if (!decode_strings(checker, count, arguments) ||
        !give_tags(checker, node, count, arguments, &given, &next) ||
        !check_positional(checker, node, count - next, &arguments[next]))
        return false;
    unsigned line = node->line;

    for (size_t i = 0; takes[i] != '\0'; i++) {
        const struct sieve_argument *argument = &arguments[next + i];

        if (i == 0)
            line = argument->line;
        if (takes[i] == 'n')
            node->limit = argument->number;
        else if (takes[i] == 's')
            node->text = argument->strings.of[0];
        else if (takes[i + 1] != '\0' || node->verb == SIEVE_VERB_EXISTS)
            node->names = argument->strings;
        else
            node->keys = argument->strings;
    }
    if (!check_node(checker, node, previous, given, line))
        return false;
    if (node->verb != SIEVE_VERB_REQUIRE)
        checker->is_beyond_requires = true;
    return true;
}

/* search_program.c - SEARCH's keys are read by a table. */
#include "inbound/imap/search_program.h"

#include "inbound/imap/scan.h"

enum form {
    FORM_PLAIN, /* no argument */
    FORM_FLAG,  /* none: the row has the flag */
    FORM_NO_FLAG,
    FORM_KEYWORD,
    FORM_NO_KEYWORD,
    FORM_DATE,
    FORM_TEXT,
    FORM_FIELD, /* a text of the field that the row has */
    FORM_HEADER,
    FORM_NUMBER,
    FORM_POSITIVE,
    FORM_SET,
    FORM_NOT,
    FORM_OR,
    FORM_NEW,
    FORM_OLD,
    FORM_MODSEQ,
    FORM_ID,
};

static const struct {
    const char *word;
    enum form form;
    enum search_kind kind;
    const char *text;
} rows[] = {
    {"ALL", FORM_PLAIN, SEARCH_AND, NULL},
    {"ANSWERED", FORM_FLAG, SEARCH_FLAG, "\\Answered"},
    {"BCC", FORM_FIELD, SEARCH_HEADER, "Bcc"},
    {"BEFORE", FORM_DATE, SEARCH_BEFORE, NULL},
    {"BODY", FORM_TEXT, SEARCH_BODY, NULL},
    {"CC", FORM_FIELD, SEARCH_HEADER, "Cc"},
    {"DELETED", FORM_FLAG, SEARCH_FLAG, "\\Deleted"},
    {"DRAFT", FORM_FLAG, SEARCH_FLAG, "\\Draft"},
    {"EMAILID", FORM_ID, SEARCH_EMAILID, NULL},
    {"FLAGGED", FORM_FLAG, SEARCH_FLAG, "\\Flagged"},
    {"FROM", FORM_FIELD, SEARCH_HEADER, "From"},
    {"HEADER", FORM_HEADER, SEARCH_HEADER, NULL},
    {"KEYWORD", FORM_KEYWORD, SEARCH_FLAG, NULL},
    {"LARGER", FORM_NUMBER, SEARCH_LARGER, NULL},
    {"MODSEQ", FORM_MODSEQ, SEARCH_MODSEQ, NULL},
    {"NEW", FORM_NEW, SEARCH_RECENT, NULL},
    {"NOT", FORM_NOT, SEARCH_NOT, NULL},
    {"OLD", FORM_OLD, SEARCH_RECENT, NULL},
    {"OLDER", FORM_POSITIVE, SEARCH_OLDER, NULL},
    {"ON", FORM_DATE, SEARCH_ON, NULL},
    {"OR", FORM_OR, SEARCH_OR, NULL},
    {"RECENT", FORM_PLAIN, SEARCH_RECENT, NULL},
    {"SAVEDATESUPPORTED", FORM_PLAIN, SEARCH_SAVEDATESUPPORTED, NULL},
    {"SAVEDBEFORE", FORM_DATE, SEARCH_SAVEDBEFORE, NULL},
    {"SAVEDON", FORM_DATE, SEARCH_SAVEDON, NULL},
    {"SAVEDSINCE", FORM_DATE, SEARCH_SAVEDSINCE, NULL},
    {"SEEN", FORM_FLAG, SEARCH_FLAG, "\\Seen"},
    {"SENTBEFORE", FORM_DATE, SEARCH_SENTBEFORE, NULL},
    {"SENTON", FORM_DATE, SEARCH_SENTON, NULL},
    {"SENTSINCE", FORM_DATE, SEARCH_SENTSINCE, NULL},
    {"SINCE", FORM_DATE, SEARCH_SINCE, NULL},
    {"SMALLER", FORM_NUMBER, SEARCH_SMALLER, NULL},
    {"SUBJECT", FORM_FIELD, SEARCH_HEADER, "Subject"},
    {"TEXT", FORM_TEXT, SEARCH_TEXT, NULL},
    {"THREADID", FORM_ID, SEARCH_THREADID, NULL},
    {"TO", FORM_FIELD, SEARCH_HEADER, "To"},
    {"UID", FORM_SET, SEARCH_UIDS, NULL},
    {"UNANSWERED", FORM_NO_FLAG, SEARCH_FLAG, "\\Answered"},
    {"UNDELETED", FORM_NO_FLAG, SEARCH_FLAG, "\\Deleted"},
    {"UNDRAFT", FORM_NO_FLAG, SEARCH_FLAG, "\\Draft"},
    {"UNFLAGGED", FORM_NO_FLAG, SEARCH_FLAG, "\\Flagged"},
    {"UNKEYWORD", FORM_NO_KEYWORD, SEARCH_FLAG, NULL},
    {"UNSEEN", FORM_NO_FLAG, SEARCH_FLAG, "\\Seen"},
    {"YOUNGER", FORM_POSITIVE, SEARCH_YOUNGER, NULL},
};

static struct search_key *take_key(struct search_program *program, struct bytes *input,
                                   unsigned depth);

static struct search_key *create(struct search_program *program, enum search_kind kind)
{
    struct search_key *key;

    if (program->count == SEARCH_KEYS_MAX)
        return NULL;
    key = arena_alloc(program->arena, sizeof(*key));
    if (key == NULL)
        return NULL;
    program->count++;
    key->kind = kind;
    return key;
}

/* `key` may be NULL: then the whole is. */
static struct search_key *negate(struct search_program *program, struct search_key *key)
{
    struct search_key *negated = key != NULL ? create(program, SEARCH_NOT) : NULL;

    if (negated != NULL)
        negated->first = key;
    return negated;
}

static bool take_text(struct search_program *program, struct bytes *input, struct bytes *text_out)
{
    return imap_take_space(input) && imap_take_astring(program->arena, input, text_out);
}

static bool take_number(struct bytes *input, bool is_positive, int64_t *number_out)
{
    uint64_t number;

    if (!imap_take_space(input) || !imap_take_number64(input, &number) ||
        (is_positive && (number == 0 || number > UINT32_MAX)))
        return false;
    *number_out = (int64_t)number;
    return true;
}

/* MODSEQ ["/flags/\\Seen" all] 123: which flag it was that changed we do not know; RFC 7162
 * section 3.1.5 lets it be ignored. */
static bool take_modseq(struct search_program *program, struct bytes *input, int64_t *number_out)
{
    struct bytes name, rest = *input;
    uint64_t number;

    program->has_modseq = true;
    if (imap_take_space(&rest) && imap_take_quoted(program->arena, &rest, &name)) {
        if (!imap_take_space(&rest) ||
            !(imap_take_word(&rest, "priv") || imap_take_word(&rest, "shared") ||
              imap_take_word(&rest, "all")))
            return false;
        *input = rest;
    }
    if (!imap_take_space(input) || !imap_take_number64(input, &number))
        return false;
    *number_out = (int64_t)number;
    return true;
}

static bool take_keyword(struct bytes *input, struct bytes *text_out)
{
    return imap_take_space(input) && imap_take_atom(input, text_out);
}

/* "NEW" is RECENT UNSEEN, "OLD" is NOT RECENT. */
static struct search_key *make_new(struct search_program *program)
{
    struct search_key *all = create(program, SEARCH_AND), *recent = create(program, SEARCH_RECENT),
                      *seen = create(program, SEARCH_FLAG);

    if (all == NULL || recent == NULL || seen == NULL)
        return NULL;
    seen->text = BYTES("\\Seen");
    recent->next = negate(program, seen);
    if (recent->next == NULL)
        return NULL;
    all->first = recent;
    return all;
}

static struct search_key *take_argument(struct search_program *program, struct bytes *input,
                                        size_t row, unsigned depth)
{
    struct search_key *key = create(program, rows[row].kind);
    bool is_good = false;

    if (key == NULL)
        return NULL;
    switch (rows[row].form) {
    case FORM_PLAIN:
    case FORM_OLD:
        is_good = true;
        break;
    case FORM_FLAG:
    case FORM_NO_FLAG:
        key->text = bytes_of(rows[row].text);
        is_good = true;
        break;
    case FORM_KEYWORD:
    case FORM_NO_KEYWORD:
        is_good = take_keyword(input, &key->text);
        break;
    case FORM_DATE:
        is_good = imap_take_space(input) && imap_take_date(input, &key->number);
        break;
    case FORM_TEXT:
    case FORM_ID:
        is_good = take_text(program, input, &key->text);
        break;
    case FORM_FIELD:
        key->name = bytes_of(rows[row].text);
        is_good = take_text(program, input, &key->text);
        break;
    case FORM_HEADER:
        is_good = take_text(program, input, &key->name) && take_text(program, input, &key->text);
        break;
    case FORM_NUMBER:
        is_good = take_number(input, false, &key->number);
        break;
    case FORM_POSITIVE:
        is_good = take_number(input, true, &key->number);
        break;
    case FORM_SET:
        is_good =
            imap_take_space(input) && sequence_set_take(program->arena, input, true, &key->set);
        break;
    case FORM_MODSEQ:
        is_good = take_modseq(program, input, &key->number);
        break;
    case FORM_NOT:
    case FORM_OR:
        is_good = imap_take_space(input) &&
                  (key->first = take_key(program, input, depth + 1)) != NULL &&
                  (rows[row].form == FORM_NOT ||
                   (imap_take_space(input) &&
                    (key->first->next = take_key(program, input, depth + 1)) != NULL));
        break;
    case FORM_NEW:
        return make_new(program);
    }
    if (!is_good)
        return NULL;
    if (rows[row].form == FORM_NO_FLAG || rows[row].form == FORM_NO_KEYWORD ||
        rows[row].form == FORM_OLD)
        return negate(program, key);
    return key;
}

/* One or more, up to what follows them. */
static struct search_key *take_keys(struct search_program *program, struct bytes *input,
                                    unsigned depth)
{
    struct search_key *all = create(program, SEARCH_AND), **last;

    if (all == NULL)
        return NULL;
    last = &all->first;
    do {
        *last = take_key(program, input, depth);
        if (*last == NULL)
            return NULL;
        last = &(*last)->next;
    } while (imap_take_space(input));
    return all;
}

static struct search_key *take_key(struct search_program *program, struct bytes *input,
                                   unsigned depth)
{
    struct search_key *key;
    struct bytes word, rest = *input;

    if (depth > SEARCH_DEPTH_MAX)
        return NULL;
    if (imap_take_byte(input, '(')) {
        key = take_keys(program, input, depth + 1);
        return key != NULL && imap_take_byte(input, ')') ? key : NULL;
    }
    if (rest.len > 0 && (byte_is_digit(rest.ptr[0]) || rest.ptr[0] == '*' || rest.ptr[0] == '$')) {
        key = create(program, SEARCH_NUMBERS);
        return key != NULL && sequence_set_take(program->arena, input, true, &key->set) ? key
                                                                                        : NULL;
    }
    if (!imap_take_atom(&rest, &word))
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (bytes_equal_nocase(word, bytes_of(rows[i].word))) {
            *input = rest;
            return take_argument(program, input, i, depth);
        }
    return NULL;
}

/* "RETURN (MIN MAX)"; "()" is ALL. */
static bool take_returns(struct bytes *input, unsigned *returns_out)
{
    static const char *const words[] = {"MIN", "MAX", "ALL", "COUNT", "SAVE"};
    unsigned returns = 0;

    if (!imap_take_space(input) || !imap_take_byte(input, '('))
        return false;
    while (!imap_take_byte(input, ')')) {
        size_t i = 0;

        if (returns != 0 && !imap_take_space(input))
            return false;
        while (i < ARRAY_LEN(words) && !imap_take_word(input, words[i]))
            i++;
        if (i == ARRAY_LEN(words))
            return false;
        returns |= 1U << i;
    }
    *returns_out = returns != 0 ? returns : SEARCH_RETURN_ALL;
    return true;
}

bool search_program_take_keys(struct arena *arena, struct bytes *input,
                              struct search_program *program_out)
{
    program_out->arena = arena;
    program_out->count = 0;
    program_out->root = take_keys(program_out, input, 0);
    return program_out->root != NULL && input->len == 0;
}

bool search_program_take(struct arena *arena, struct bytes *input,
                         struct search_program *program_out)
{
    struct search_program program = {.returns = SEARCH_RETURN_ALL};

    if (!imap_take_space(input))
        return false;
    if (imap_take_word(input, "RETURN")) {
        program.has_return = true;
        if (!take_returns(input, &program.returns) || !imap_take_space(input))
            return false;
    }
    if (imap_take_word(input, "CHARSET")) {
        if (!imap_take_space(input) || !imap_take_astring(arena, input, &program.charset) ||
            !imap_take_space(input))
            return false;
    }
    *program_out = program;
    return search_program_take_keys(arena, input, program_out);
}

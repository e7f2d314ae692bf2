/* fetch_program.c - FETCH's items, macros and modifiers are read by tables. */
#include "inbound/imap/fetch_program.h"

#include <string.h>

#include "inbound/imap/scan.h"

static const struct {
    const char *word;
    enum fetch_kind kind;
} plain[] = {
    {"FLAGS", FETCH_FLAGS},
    {"UID", FETCH_UID},
    {"INTERNALDATE", FETCH_INTERNALDATE},
    {"RFC822.SIZE", FETCH_SIZE},
    {"MODSEQ", FETCH_MODSEQ},
    {"SAVEDATE", FETCH_SAVEDATE},
    {"EMAILID", FETCH_EMAILID},
    {"THREADID", FETCH_THREADID},
    {"ENVELOPE", FETCH_ENVELOPE},
    {"BODYSTRUCTURE", FETCH_BODYSTRUCTURE},
    {"PREVIEW", FETCH_PREVIEW},
};

/* RFC 9051 section 6.4.5: of rev1 alone, and served to all. */
static const struct {
    const char *word;
    enum mime_section_kind kind;
    bool sets_seen;
} of_rev1[] = {
    {"RFC822.HEADER", MIME_SECTION_HEADER, false},
    {"RFC822.TEXT", MIME_SECTION_TEXT, true},
    {"RFC822", MIME_SECTION_WHOLE, true},
};

static const struct {
    const char *word;
    enum fetch_kind kinds[5];
    size_t count;
} macros[] = {
    {"ALL", {FETCH_FLAGS, FETCH_INTERNALDATE, FETCH_SIZE, FETCH_ENVELOPE}, 4},
    {"FAST", {FETCH_FLAGS, FETCH_INTERNALDATE, FETCH_SIZE}, 3},
    {"FULL", {FETCH_FLAGS, FETCH_INTERNALDATE, FETCH_SIZE, FETCH_ENVELOPE, FETCH_BODY}, 5},
};

bool fetch_program_has(const struct fetch_program *program, enum fetch_kind kind)
{
    for (size_t i = 0; i < program->count; i++)
        if (program->items[i].kind == kind)
            return true;
    return false;
}

static struct fetch_item *create(struct fetch_program *program, enum fetch_kind kind)
{
    struct fetch_item *item;

    if (program->count == FETCH_ITEMS_MAX)
        return NULL;
    item = &program->items[program->count++];
    *item = (struct fetch_item){.kind = kind};
    program->wants_modseq |= kind == FETCH_MODSEQ;
    program->reads_message |= kind >= FETCH_ENVELOPE;
    return item;
}

bool fetch_program_add(struct fetch_program *program, enum fetch_kind kind)
{
    return fetch_program_has(program, kind) || create(program, kind) != NULL;
}

/* --- sections --------------------------------------------------------------------------------- */

/* "1.2.3"; a dot behind it is taken when something follows that is no number. */
static bool take_path(struct arena *arena, struct bytes *input, struct mime_section *section)
{
    uint32_t path[FETCH_PATH_MAX];
    size_t depth = 0;
    struct bytes rest = *input;

    while (depth < FETCH_PATH_MAX && imap_take_nz_number(&rest, &path[depth])) {
        depth++;
        *input = rest;
        if (!imap_take_byte(&rest, '.'))
            break;
    }
    if (depth == 0)
        return true;
    uint32_t *copy = arena_alloc(arena, depth * sizeof(*copy));

    if (copy == NULL)
        return false;
    memcpy(copy, path, depth * sizeof(*copy));
    section->path = copy;
    section->depth = depth;
    return true;
}

static bool take_names(struct arena *arena, struct bytes *input, struct mime_section *section)
{
    size_t count = 0, count_max = 1;
    struct bytes *names;

    if (!imap_take_space(input) || !imap_take_byte(input, '('))
        return false;
    for (size_t i = 0; i < input->len && input->ptr[i] != ')'; i++)
        count_max += input->ptr[i] == ' ';
    names = arena_alloc(arena, count_max * sizeof(*names));
    if (names == NULL)
        return false;
    do {
        if (count == count_max || !imap_take_astring(arena, input, &names[count]))
            return false;
        count++;
    } while (imap_take_space(input));
    section->names = names;
    section->name_count = count;
    return imap_take_byte(input, ')');
}

static bool take_section_text(struct arena *arena, struct bytes *input,
                              struct mime_section *section)
{
    if (imap_take_word(input, "HEADER.FIELDS.NOT")) {
        section->kind = MIME_SECTION_FIELDS_NOT;
        return take_names(arena, input, section);
    }
    if (imap_take_word(input, "HEADER.FIELDS")) {
        section->kind = MIME_SECTION_FIELDS;
        return take_names(arena, input, section);
    }
    if (imap_take_word(input, "HEADER"))
        section->kind = MIME_SECTION_HEADER;
    else if (imap_take_word(input, "TEXT"))
        section->kind = MIME_SECTION_TEXT;
    else if (section->depth > 0 && imap_take_word(input, "MIME"))
        section->kind = MIME_SECTION_MIME;
    else
        return false;
    return true;
}

/* Behind "[", with the "]". */
static bool take_section(struct arena *arena, struct bytes *input, bool is_binary,
                         struct mime_section *section)
{
    if (!take_path(arena, input, section))
        return false;
    if (imap_take_byte(input, ']'))
        return true;
    if (is_binary || (section->depth > 0 && !imap_take_byte(input, '.')))
        return false;
    return take_section_text(arena, input, section) && imap_take_byte(input, ']');
}

/* "<10.20>"; none is fine. Of IMAP4rev2 both may be long. */
static bool take_partial(struct bytes *input, struct fetch_item *item)
{
    if (!imap_take_byte(input, '<'))
        return true;
    item->is_partial = true;
    return imap_take_number64(input, &item->from) && imap_take_byte(input, '.') &&
           imap_take_number64(input, &item->len) && item->len > 0 && imap_take_byte(input, '>');
}

/* The label is what the client wrote, which the answer repeats (RFC 9051 section 7.5.2), in upper
 * case but for names of fields; of "BODY.PEEK[" it is without ".PEEK". */
static bool make_label(struct arena *arena, const char *word, struct bytes section,
                       struct fetch_item *item)
{
    const struct mime_section *s = &item->section;
    struct buf out;
    static const char *const texts[] = {
        [MIME_SECTION_WHOLE] = "",
        [MIME_SECTION_HEADER] = "HEADER",
        [MIME_SECTION_FIELDS] = "HEADER.FIELDS (",
        [MIME_SECTION_FIELDS_NOT] = "HEADER.FIELDS.NOT (",
        [MIME_SECTION_TEXT] = "TEXT",
        [MIME_SECTION_MIME] = "MIME",
    };

    buf_init(&out, 2 * section.len + 64);
    bool fits = buf_printf(&out, "%s[", word);

    for (size_t i = 0; i < s->depth && fits; i++)
        fits = buf_printf(&out, "%s%u", i > 0 ? "." : "", s->path[i]);
    if (fits && s->depth > 0 && s->kind != MIME_SECTION_WHOLE)
        fits = buf_append_byte(&out, '.');
    fits = fits && buf_append(&out, bytes_of(texts[s->kind]));
    for (size_t i = 0; i < s->name_count && fits; i++)
        fits = (i == 0 || buf_append_byte(&out, ' ')) && imap_put_astring(&out, s->names[i]);
    if (fits && s->name_count > 0)
        fits = buf_append_byte(&out, ')');
    fits = fits && buf_append_byte(&out, ']') && arena_copy(arena, buf_bytes(&out), &item->label);
    buf_free(&out);
    return fits;
}

static bool take_sectioned(struct arena *arena, struct bytes *input, struct fetch_program *program,
                           const char *word, enum fetch_kind kind, bool sets_seen)
{
    struct fetch_item *item = create(program, kind);
    struct bytes begin = *input;

    if (item == NULL || !take_section(arena, input, kind != FETCH_SECTION, &item->section))
        return false;
    struct bytes section = bytes_slice(begin, 0, begin.len - input->len);

    if (kind != FETCH_BINARY_SIZE && !take_partial(input, item))
        return false;
    item->sets_seen = sets_seen;
    program->sets_seen |= sets_seen;
    return make_label(arena, word, section, item);
}

/* --- items ------------------------------------------------------------------------------------ */

static bool take_of_rev1(struct bytes *input, struct fetch_program *program, bool *is_good_out)
{
    for (size_t i = 0; i < ARRAY_LEN(of_rev1); i++)
        if (imap_take_word(input, of_rev1[i].word)) {
            struct fetch_item *item = create(program, FETCH_SECTION);

            *is_good_out = item != NULL;
            if (item == NULL)
                return true;
            item->label = bytes_of(of_rev1[i].word);
            item->section.kind = of_rev1[i].kind;
            item->sets_seen = of_rev1[i].sets_seen;
            program->sets_seen |= item->sets_seen;
            return true;
        }
    return false;
}

/* RFC 8970 section 3.2: LAZY may be ignored by who has previews at hand or makes them. */
static bool take_lazy(struct bytes *input)
{
    struct bytes rest = *input;

    if (!imap_take_space(&rest) || !imap_take_byte(&rest, '('))
        return true;
    if (!imap_take_word(&rest, "LAZY"))
        return true; /* modifiers of FETCH: who reads those says what they are */
    *input = rest;
    return imap_take_byte(input, ')');
}

static bool take_item(struct arena *arena, struct bytes *input, struct fetch_program *program)
{
    static const struct {
        const char *begins, *word;
        enum fetch_kind kind;
        bool sets_seen;
    } sectioned[] = {
        {"BODY[", "BODY", FETCH_SECTION, true},
        {"BODY.PEEK[", "BODY", FETCH_SECTION, false},
        {"BINARY[", "BINARY", FETCH_BINARY, true},
        {"BINARY.PEEK[", "BINARY", FETCH_BINARY, false},
        {"BINARY.SIZE[", "BINARY.SIZE", FETCH_BINARY_SIZE, false},
    };
    bool is_good;

    for (size_t i = 0; i < ARRAY_LEN(sectioned); i++)
        if (bytes_take_nocase(input, bytes_of(sectioned[i].begins)))
            return take_sectioned(arena, input, program, sectioned[i].word, sectioned[i].kind,
                                  sectioned[i].sets_seen);
    if (take_of_rev1(input, program, &is_good))
        return is_good;
    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        if (imap_take_word(input, plain[i].word))
            return fetch_program_add(program, plain[i].kind) &&
                   (plain[i].kind != FETCH_PREVIEW || take_lazy(input));
    return imap_take_word(input, "BODY") && fetch_program_add(program, FETCH_BODY);
}

static bool take_macro(struct bytes *input, struct fetch_program *program)
{
    for (size_t i = 0; i < ARRAY_LEN(macros); i++)
        if (imap_take_word(input, macros[i].word)) {
            for (size_t k = 0; k < macros[i].count; k++)
                if (!fetch_program_add(program, macros[i].kinds[k]))
                    return false;
            return true;
        }
    return false;
}

static bool take_listed(struct arena *arena, struct bytes *input, struct fetch_program *program)
{
    if (!imap_take_byte(input, '('))
        return false;
    do {
        if (!take_item(arena, input, program))
            return false;
    } while (imap_take_space(input));
    return imap_take_byte(input, ')');
}

static bool take_items(struct arena *arena, struct bytes *input, struct fetch_program *program)
{
    if (take_macro(input, program))
        return true;
    return input->len > 0 && input->ptr[0] == '(' ? take_listed(arena, input, program)
                                                  : take_item(arena, input, program);
}

/* "(CHANGEDSINCE 12345 VANISHED)" */
static bool take_modifiers(struct bytes *input, struct fetch_program *program)
{
    if (input->len == 0)
        return true;
    if (!imap_take_space(input) || !imap_take_byte(input, '('))
        return false;
    do {
        if (!program->has_since && imap_take_word(input, "CHANGEDSINCE"))
            program->has_since =
                imap_take_space(input) && imap_take_number64(input, &program->since);
        else if (!program->has_vanished && imap_take_word(input, "VANISHED"))
            program->has_vanished = true;
        else
            return false;
    } while (imap_take_space(input));
    program->wants_modseq |= program->has_since;
    return program->has_since && imap_take_byte(input, ')');
}

bool fetch_program_take(struct arena *arena, struct bytes *input, struct fetch_program *program_out)
{
    struct fetch_program program = {0};

    program.items = arena_alloc(arena, FETCH_ITEMS_MAX * sizeof(*program.items));
    if (program.items == NULL || !take_items(arena, input, &program) ||
        !take_modifiers(input, &program) || input->len != 0)
        return false;
    *program_out = program;
    return true;
}

bool fetch_program_take_list(struct arena *arena, struct bytes *input,
                             struct fetch_program *program_out)
{
    struct fetch_program program = {0};
    struct bytes rest = *input;

    program.items = arena_alloc(arena, FETCH_ITEMS_MAX * sizeof(*program.items));
    if (program.items == NULL || !take_listed(arena, &rest, &program))
        return false;
    *program_out = program;
    *input = rest;
    return true;
}

/* metadata.c - entries, values and options of RFC 5464. */
#include "inbound/imap/metadata.h"

#include "inbound/imap/scan.h"

enum { PARTS_MIN = 2, VENDOR_PARTS_MIN = 4 };

static size_t count_parts(struct bytes name)
{
    size_t count = 0;

    for (size_t i = 0; i < name.len; i++)
        count += name.ptr[i] == '/';
    return count;
}

/* RFC 5464 section 3.2: what can have a value. */
static bool is_entry(struct bytes name)
{
    bool is_vendor = bytes_starts_nocase(name, BYTES("/shared/vendor/")) ||
                     bytes_starts_nocase(name, BYTES("/private/vendor/")) ||
                     bytes_equal(name, BYTES("/shared/vendor")) ||
                     bytes_equal(name, BYTES("/private/vendor"));

    return count_parts(name) >= (is_vendor ? (size_t)VENDOR_PARTS_MIN : (size_t)PARTS_MIN);
}

static bool take_name(struct arena *arena, struct bytes *input, struct bytes *name_out)
{
    struct bytes text;

    if (!imap_take_astring(arena, input, &text) || text.len > ANNOTATION_NAME_MAX)
        return false;
    uint8_t *lower = arena_alloc(arena, MAX(text.len, (size_t)1));

    if (lower == NULL)
        return false;
    for (size_t i = 0; i < text.len; i++)
        lower[i] = byte_lower(text.ptr[i]);
    *name_out = bytes_range(lower, text.len);
    return annotation_name_is_valid(*name_out);
}

static bool begin(struct arena *arena, struct metadata_request *request)
{
    *request = (struct metadata_request){0};
    request->of = arena_alloc(arena, METADATA_NAMES_MAX * sizeof(*request->of));
    return request->of != NULL;
}

/* --- GETMETADATA ------------------------------------------------------------------------------ */

static bool take_depth(struct bytes *input, enum metadata_depth *depth_out)
{
    if (imap_take_word(input, "infinity"))
        *depth_out = METADATA_ALL;
    else if (imap_take_word(input, "0"))
        *depth_out = METADATA_ITSELF;
    else if (imap_take_word(input, "1"))
        *depth_out = METADATA_CHILDREN;
    else
        return false;
    return true;
}

/* "(MAXSIZE 1024 DEPTH infinity)"; "(/private..." and "(\"..." are entries. */
static bool take_options(struct bytes *input, struct metadata_request *request)
{
    struct bytes rest = *input;

    if (!imap_take_byte(&rest, '(') || rest.len == 0 || !byte_is_alpha(rest.ptr[0]))
        return true;
    do {
        if (!request->has_size_max && imap_take_word(&rest, "MAXSIZE")) {
            request->has_size_max = true;
            if (!imap_take_space(&rest) || !imap_take_number64(&rest, &request->size_max))
                return false;
        } else if (!request->has_depth && imap_take_word(&rest, "DEPTH")) {
            request->has_depth = true;
            if (!imap_take_space(&rest) || !take_depth(&rest, &request->depth))
                return false;
        } else {
            return false;
        }
    } while (imap_take_space(&rest));
    *input = rest;
    return imap_take_byte(input, ')') && imap_take_space(input);
}

/* In parentheses or, as the examples of RFC 5464 have them, without. */
static bool take_names(struct arena *arena, struct bytes *input, struct metadata_request *request)
{
    bool is_list = imap_take_byte(input, '(');

    do {
        if (request->count == METADATA_NAMES_MAX ||
            !take_name(arena, input, &request->of[request->count].name))
            return false;
        request->of[request->count++].value = BYTES_NONE;
    } while (imap_take_space(input));
    return !is_list || imap_take_byte(input, ')');
}

/* RFC 5464 has options before the mailbox in section 5, and behind it in its examples. */
bool metadata_take_get(struct arena *arena, struct bytes input,
                       struct metadata_request *request_out)
{
    struct metadata_request request;

    if (!begin(arena, &request) || !imap_take_space(&input) || !take_options(&input, &request) ||
        !imap_take_astring(arena, &input, &request.mailbox) || !imap_take_space(&input) ||
        !take_options(&input, &request) || !take_names(arena, &input, &request) || input.len > 0)
        return false;
    *request_out = request;
    return true;
}

/* --- SETMETADATA ------------------------------------------------------------------------------ */

static bool take_value(struct arena *arena, struct bytes *input, struct bytes *value_out)
{
    if (imap_take_nstring(arena, input, value_out))
        return true;
    return imap_take_literal(input, true, value_out);
}

bool metadata_take_set(struct arena *arena, struct bytes input,
                       struct metadata_request *request_out)
{
    struct metadata_request request;

    if (!begin(arena, &request) || !imap_take_space(&input) ||
        !imap_take_astring(arena, &input, &request.mailbox) || !imap_take_space(&input) ||
        !imap_take_byte(&input, '('))
        return false;
    do {
        struct annotation *next = &request.of[request.count];

        if (request.count == METADATA_NAMES_MAX || !take_name(arena, &input, &next->name) ||
            !is_entry(next->name) || !imap_take_space(&input) ||
            !take_value(arena, &input, &next->value))
            return false;
        request.count++;
    } while (imap_take_space(&input));
    if (!imap_take_byte(&input, ')') || input.len > 0)
        return false;
    *request_out = request;
    return true;
}

bool metadata_matches(const struct metadata_request *request, struct bytes asked, struct bytes name)
{
    if (bytes_equal(asked, name))
        return true;
    if (request->depth == METADATA_ITSELF || name.len <= asked.len || name.ptr[asked.len] != '/' ||
        !bytes_equal(bytes_slice(name, 0, asked.len), asked))
        return false;
    return request->depth == METADATA_ALL || bytes_find(name, '/', asked.len + 1) == name.len;
}

/*
 * mime_show.c - what inbound/mime tells of messages, over stdin and stdout, so that a test can hold
 * it against another server's word without an IMAP service: tests/system/mime_show.py.
 *
 *   > open PATH
 *   > envelope, body, structure, preview
 *   > section KIND PATH [NAME ...]        KIND: 0.. of enum mime_section_kind; PATH: 1.2 or -
 *   > binary PATH, size PATH
 *   > search body|text|NAME CHARSET NEEDLE   the last in hex, "-" for nothing
 *   > sort subject|from|to|cc|displayfrom|displayto|date
 *   > thread references|orderedsubject PATH ...
 *   < ok HEX                              "-" for nothing
 *   < nil                                 there is no such thing
 */
#include "inbound/mime/mime_binary.h"
#include "inbound/mime/mime_date.h"
#include "inbound/mime/mime_envelope.h"
#include "inbound/mime/mime_field.h"
#include "inbound/mime/mime_line.h"
#include "inbound/mime/mime_preview.h"
#include "inbound/mime/mime_search.h"
#include "inbound/mime/mime_section.h"
#include "inbound/mime/mime_sort.h"
#include "inbound/mime/mime_structure.h"
#include "inbound/mime/mime_thread.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 20000, TEXT_MAX = 256 << 20, NUMBERS_MAX = 200, IDS_MAX = 64 };

struct file {
    struct buf text;
    struct mime_message message;
};

static struct file file;
static char *words[WORDS_MAX];
static size_t word_count;

static void read_file(const char *path, struct buf *out)
{
    FILE *in = fopen(path, "rb");
    static char piece[1 << 16];
    bool in_cr = false;
    size_t len;

    check(in != NULL);
    buf_init(out, TEXT_MAX);
    while ((len = fread(piece, 1, sizeof(piece), in)) > 0)
        check(mime_line_convert(bytes_range(piece, len), &in_cr, out));
    fclose(in);
    check(mime_line_bare(buf_bytes(out)) == 0);
}

static void close_message(void)
{
    mime_message_free(&file.message);
    buf_free(&file.text);
}

static void open_message(void)
{
    close_message();
    read_file(words[1], &file.text);
    mime_message_read(buf_bytes(&file.text), &file.message);
}

static size_t read_path(const char *word, uint32_t path[static NUMBERS_MAX])
{
    struct bytes text = bytes_of(word);
    size_t depth = 0;
    uint64_t number;

    while (bytes_take_u64(&text, &number)) {
        check(depth < NUMBERS_MAX);
        path[depth++] = (uint32_t)number;
        text = bytes_slice(text, 1, text.len);
    }
    return depth;
}

static bool show_section(struct buf *out)
{
    uint32_t path[NUMBERS_MAX];
    struct bytes names[64], found;
    struct mime_section section = {.kind = (enum mime_section_kind)strtol(words[1], NULL, 10),
                                   .path = path,
                                   .names = names};

    section.depth = read_path(words[2], path);
    for (size_t i = 3; i < word_count; i++)
        names[section.name_count++] = bytes_of(words[i]);
    if (!mime_section_find(&file.message, &section, &found))
        return false;
    if (section.kind == MIME_SECTION_FIELDS || section.kind == MIME_SECTION_FIELDS_NOT)
        return mime_section_fields(found, &section, out);
    return buf_append(out, found);
}

static const struct mime_part *find_part(void)
{
    uint32_t path[NUMBERS_MAX];
    size_t depth = read_path(words[1], path);

    return mime_message_part(&file.message, path, depth);
}

static bool show_binary(struct buf *out)
{
    const struct mime_part *part = find_part();
    struct mime_binary binary;
    uint8_t piece[100];
    size_t len;

    if (part == NULL || (part->kind == MIME_LEAF && part->encoding == MIME_UNKNOWN))
        return false;
    mime_binary_begin(&binary, part);
    while ((len = mime_binary_read(&binary, piece, sizeof(piece))) > 0)
        check(buf_append(out, bytes_range(piece, len)));
    return true;
}

static bool show_size(struct buf *out)
{
    const struct mime_part *part = find_part();
    bool has_nul;

    if (part == NULL || (part->kind == MIME_LEAF && part->encoding == MIME_UNKNOWN))
        return false;
    return buf_printf(out, "%" PRIu64, mime_binary_size(part, &has_nul));
}

static void read_hex(const char *word, struct buf *out)
{
    buf_init(out, MIME_NEEDLE_MAX * 2);
    for (size_t i = 0; word[0] != '-' && word[i] != '\0'; i += 2) {
        char two[3] = {word[i], word[i + 1], '\0'};

        check(buf_append_byte(out, (uint8_t)strtoul(two, NULL, 16)));
    }
}

static bool search_message(bool with_header, const struct mime_needle *needle)
{
    struct mime_search *search = mime_search_begin(&file.message, with_header, needle);
    enum mime_search_result result;

    do {
        result = mime_search_step(search, 100);
    } while (result == MIME_SEARCH_MORE);
    mime_search_end(&search);
    return result == MIME_SEARCH_FOUND;
}

static bool show_search(struct buf *out)
{
    struct mime_needle needle;
    struct buf text;
    enum mime_needle_result result;
    bool is_found;

    read_hex(words[3], &text);
    result = mime_needle_init(&needle, bytes_of(words[2]), buf_bytes(&text));
    buf_free(&text);
    if (result != MIME_NEEDLE_OK)
        return buf_printf(out, "%s", result == MIME_NEEDLE_CHARSET ? "charset" : "broken");
    if (strcmp(words[1], "body") == 0 || strcmp(words[1], "text") == 0)
        is_found = search_message(words[1][0] == 't', &needle);
    else
        is_found = mime_search_field(file.message.root->header, bytes_of(words[1]), &needle);
    mime_needle_free(&needle);
    return buf_printf(out, "%s", is_found ? "found" : "none");
}

static struct bytes field(struct bytes header, const char *name)
{
    struct mime_field found;

    return mime_field_find(header, bytes_of(name), &found) ? found.value : BYTES_NONE;
}

static bool show_sort(struct buf *out)
{
    struct bytes header = file.message.root->header;
    const char *key = words[1];
    struct mime_date date = {0};
    bool is_reply;

    if (strcmp(key, "subject") == 0)
        return mime_sort_subject(field(header, "Subject"), out, &is_reply);
    if (strcmp(key, "date") == 0)
        return mime_date_read(field(header, "Date"), &date) &&
               buf_printf(out, "%" PRId64, date.unix_s);
    if (strncmp(key, "display", 7) == 0)
        return mime_sort_display(field(header, key + 7), out);
    return mime_sort_mailbox(field(header, key), out);
}

/* What a message to be threaded is read from. */
struct threaded {
    struct buf text, subject, own, kept[IDS_MAX];
    struct bytes ids[IDS_MAX];
};

static void take_ids(struct bytes value, bool is_one, struct mime_threaded *message,
                     struct threaded *of)
{
    struct buf id;

    buf_init(&id, 1000);
    while (message->reference_count < (is_one ? 1 : IDS_MAX) && mime_sort_take_id(&value, &id)) {
        of->ids[message->reference_count] = buf_bytes(&id);
        of->kept[message->reference_count++] = id;
        buf_init(&id, 1000);
    }
    buf_free(&id);
}

static void read_threaded(const char *path, uint32_t id, struct threaded *of,
                          struct mime_threaded *out)
{
    struct mime_date date = {0};
    struct bytes header, value;

    read_file(path, &of->text);
    header = mime_field_section(buf_bytes(&of->text));
    *out = (struct mime_threaded){.id = id, .references = of->ids};
    buf_init(&of->subject, MIME_SORT_KEY_MAX);
    buf_init(&of->own, 1000);
    check(mime_sort_subject(field(header, "Subject"), &of->subject, &out->is_reply));
    out->subject = buf_bytes(&of->subject);
    value = field(header, "Message-ID");
    if (mime_sort_take_id(&value, &of->own))
        out->message_id = buf_bytes(&of->own);
    take_ids(field(header, "References"), false, out, of);
    if (out->reference_count == 0)
        take_ids(field(header, "In-Reply-To"), true, out, of);
    if (mime_date_read(field(header, "Date"), &date))
        out->sent_s = date.unix_s;
}

static bool show_thread(struct buf *out)
{
    size_t count = word_count - 2;
    struct mime_threaded *messages = calloc(count + 1, sizeof(*messages));
    struct threaded *read = calloc(count + 1, sizeof(*read));

    check(messages != NULL && read != NULL);
    for (size_t i = 0; i < count; i++)
        read_threaded(words[i + 2], (uint32_t)i + 1, &read[i], &messages[i]);
    bool is_shown = strcmp(words[1], "references") == 0
                        ? mime_thread_references(messages, count, out)
                        : mime_thread_ordered_subject(messages, count, out);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < messages[i].reference_count; k++)
            buf_free(&read[i].kept[k]);
        buf_free(&read[i].own);
        buf_free(&read[i].subject);
        buf_free(&read[i].text);
    }
    free(read);
    free(messages);
    return is_shown;
}

static bool show_envelope(struct buf *out)
{
    return mime_envelope_write(mime_field_section(file.message.bytes), out);
}

static bool show_body(struct buf *out)
{
    return mime_structure_write(&file.message, false, out);
}

static bool show_structure(struct buf *out)
{
    return mime_structure_write(&file.message, true, out);
}

static bool show_preview(struct buf *out)
{
    return mime_preview_write(&file.message, out);
}

static const struct {
    const char *name;
    bool (*show)(struct buf *out);
} commands[] = {
    {"envelope", show_envelope}, {"body", show_body},       {"structure", show_structure},
    {"preview", show_preview},   {"section", show_section}, {"binary", show_binary},
    {"size", show_size},         {"search", show_search},   {"sort", show_sort},
    {"thread", show_thread},
};

static void run(void)
{
    struct buf out;

    buf_init(&out, TEXT_MAX);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(words[0], commands[i].name) != 0)
            continue;
        if (!commands[i].show(&out)) {
            puts("nil");
            continue;
        }
        fputs("ok ", stdout);
        for (size_t at = 0; at < buf_len(&out); at++)
            printf("%02x", buf_bytes(&out).ptr[at]);
        puts(buf_len(&out) == 0 ? "-" : "");
    }
    buf_free(&out);
    fflush(stdout);
}

int main(void)
{
    char *line = NULL;
    size_t capacity = 0;

    while (getline(&line, &capacity, stdin) > 0) {
        char *rest = line, *word;

        word_count = 0;
        line[strcspn(line, "\n")] = '\0';
        while ((word = strsep(&rest, " ")) != NULL && word_count < WORDS_MAX)
            words[word_count++] = word;
        if (strcmp(words[0], "open") == 0)
            open_message();
        else
            run();
    }
    close_message();
    free(line);
    return 0;
}

/* config_document.c - the file, as a tree of nodes; before that, what could take time or memory. */
#include "relay/config_document.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"

enum {
    FILE_SIZE_MAX = 16 << 20,
    READ_SIZE = 64 << 10,
    NESTING_MAX = 32, /* what a key needs is 5: delivery.sites and what is in its items */
};

static bool not_yaml(struct config_reader *reader, const yaml_parser_t *parser)
{
    char text[512];

    snprintf(text, sizeof(text), "%s:%zu: not YAML: %s", reader->path,
             parser->problem_mark.line + 1,
             parser->problem == NULL ? "no memory for it" : parser->problem);
    reader->error_count++;
    reader->error(reader->context, text);
    return false;
}

static bool refuse_at(struct config_reader *reader, const yaml_event_t *event, const char *what)
{
    const yaml_node_t here = {.start_mark = event->start_mark};

    config_error(reader, &here, "%s", what);
    return false;
}

/* What a walk over the events has seen. */
struct shape {
    unsigned depth, documents;
};

static bool take_event(struct config_reader *reader, const yaml_event_t *event, struct shape *shape)
{
    static const char second[] = "a second document begins; expected one, the first";

    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        shape->documents++;
        return true;
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        if (shape->documents > 1)
            return refuse_at(reader, event, second);
        if (++shape->depth > NESTING_MAX)
            return refuse_at(reader, event, "nested too deep; expected no more than 32 levels");
        return true;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        shape->depth--;
        return true;
    case YAML_SCALAR_EVENT: /* "---" with nothing behind it is an empty scalar */
        return shape->documents <= 1 || event->data.scalar.length == 0 ||
               refuse_at(reader, event, second);
    case YAML_ALIAS_EVENT:
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        break;
    }
    return true;
}

/* One document of a sane depth: libyaml's time grows with the square of the depth. */
static bool check_shape(struct config_reader *reader, yaml_parser_t *parser)
{
    struct shape shape = {0};
    bool is_over = false, is_good = true;

    while (!is_over && is_good) {
        yaml_event_t event;

        if (!yaml_parser_parse(parser, &event))
            return not_yaml(reader, parser);
        is_over = event.type == YAML_STREAM_END_EVENT;
        is_good = take_event(reader, &event, &shape);
        yaml_event_delete(&event);
    }
    return is_good;
}

static void parser_init(yaml_parser_t *parser, struct bytes text)
{
    int is_good = yaml_parser_initialize(parser);

    check(is_good);
    yaml_parser_set_input_string(parser, text.ptr, text.len);
}

static bool load_document(struct config_reader *reader, struct bytes text,
                          yaml_document_t *document)
{
    yaml_parser_t parser;

    parser_init(&parser, text);
    bool is_good = check_shape(reader, &parser);
    yaml_parser_delete(&parser);
    if (!is_good)
        return false;
    parser_init(&parser, text);
    is_good = yaml_parser_load(&parser, document) || not_yaml(reader, &parser);
    yaml_parser_delete(&parser);
    return is_good;
}

static bool read_error(struct config_reader *reader, int error)
{
    config_error(reader, NULL, "%s%s", strerror(error),
                 error == ENOENT   ? "; `ringpost init` writes a working one"
                 : error == EISDIR ? "; expected a file"
                 : error == EFBIG  ? "; expected no more than 16 MiB"
                                   : "");
    return false;
}

static bool read_text(struct config_reader *reader, struct buf *text)
{
    FILE *file = fopen(reader->path, "re");
    size_t got = 1;
    int error = 0;

    if (file == NULL)
        return read_error(reader, errno);
    while (got > 0 && error == 0) {
        uint8_t *room = buf_reserve(text, READ_SIZE);

        got = room == NULL ? 0 : fread(room, 1, READ_SIZE, file);
        if (room == NULL)
            error = EFBIG;
        else if (got == 0 && ferror(file))
            error = errno;
        buf_extend(text, got);
    }
    fclose(file);
    return error == 0 || read_error(reader, error);
}

bool config_document_load(struct config_reader *reader, yaml_document_t *document)
{
    struct buf text;

    buf_init(&text, FILE_SIZE_MAX);
    bool is_good = read_text(reader, &text) && load_document(reader, buf_bytes(&text), document);
    buf_free(&text);
    return is_good;
}

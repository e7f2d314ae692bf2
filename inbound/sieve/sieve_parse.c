/* sieve_parse.c - the grammar of RFC 5228 section 8.2. What a command is given is looked at as soon
 * as it is read, so the first line that is wrong is the one that is told. */
#include <stdlib.h>

#include "inbound/sieve/sieve_check.h"
#include "inbound/sieve/sieve_lexer.h"

enum {
    ARGUMENTS_MAX = 16,    /* vacation may have 12 */
    MEMORY_MAX = 32 << 20, /* a script of nothing but "keep;" stays well below */
};

struct parser {
    struct sieve_lexer lexer;
    struct sieve_token token; /* the next */
    struct sieve_checker checker;
    struct arena *arena;
    struct sieve_error *error;
    unsigned depth;
};

static void advance(struct parser *parser)
{
    parser->token = sieve_lexer_next(&parser->lexer);
}

static bool is_mark(const struct parser *parser, uint8_t mark)
{
    return parser->token.kind == SIEVE_TOKEN_PUNCTUATION && parser->token.mark == mark;
}

static const char *describe(const struct parser *parser, struct sieve_shown *room)
{
    switch (parser->token.kind) {
    case SIEVE_TOKEN_STRING:
        return "a string";
    case SIEVE_TOKEN_NUMBER:
        return "a number";
    case SIEVE_TOKEN_TAG:
        return "a tag";
    case SIEVE_TOKEN_END:
        return "the end of the script";
    case SIEVE_TOKEN_IDENTIFIER:
        *room = sieve_show(parser->token.text);
        return room->text;
    case SIEVE_TOKEN_PUNCTUATION:
        room->text[0] = (char)parser->token.mark;
        room->text[1] = '\0';
        return room->text;
    case SIEVE_TOKEN_ERROR:
        break;
    }
    return "";
}

/* Unless the lexer said already what is wrong. Always false. */
static bool expected(struct parser *parser, const char *what)
{
    struct sieve_shown room;

    if (parser->token.kind != SIEVE_TOKEN_ERROR)
        sieve_error_set(parser->error, parser->token.line, "expected %s, found %s", what,
                        describe(parser, &room));
    return false;
}

static bool take_mark(struct parser *parser, uint8_t mark, const char *what)
{
    if (!is_mark(parser, mark))
        return expected(parser, what);
    advance(parser);
    return true;
}

static bool no_memory(struct parser *parser)
{
    sieve_error_set(parser->error, parser->token.line, "the script needs too much memory");
    return false;
}

/* --- arguments -------------------------------------------------------------------------------- */

/* Grows by doubling, in the arena. */
static bool add_string(struct parser *parser, struct sieve_strings *strings)
{
    size_t count = strings->count;

    if (count == SIEVE_LIST_MAX) {
        sieve_error_set(parser->error, parser->token.line, "expected at most %d strings in a list",
                        SIEVE_LIST_MAX);
        return false;
    }
    if ((count & (count - 1)) == 0) { /* 0, or full */
        struct bytes *of = arena_alloc(parser->arena, MAX(2 * count, (size_t)1) * sizeof(*of));

        if (of == NULL)
            return no_memory(parser);
        for (size_t i = 0; i < count; i++)
            of[i] = strings->of[i];
        strings->of = of;
    }
    strings->of[strings->count++] = parser->token.text;
    advance(parser);
    return true;
}

static bool parse_list(struct parser *parser, struct sieve_strings *strings)
{
    advance(parser);
    do {
        if (parser->token.kind != SIEVE_TOKEN_STRING)
            return expected(parser, "a string");
        if (!add_string(parser, strings))
            return false;
        if (is_mark(parser, ']'))
            break;
    } while (take_mark(parser, ',', "',' or ']'"));
    return is_mark(parser, ']') && take_mark(parser, ']', "']'");
}

static bool is_argument(const struct parser *parser)
{
    return parser->token.kind == SIEVE_TOKEN_STRING || parser->token.kind == SIEVE_TOKEN_NUMBER ||
           parser->token.kind == SIEVE_TOKEN_TAG || is_mark(parser, '[');
}

static bool parse_argument(struct parser *parser, struct sieve_argument *argument)
{
    *argument = (struct sieve_argument){.line = parser->token.line};
    if (is_mark(parser, '[')) {
        argument->kind = SIEVE_ARGUMENT_LIST;
        return parse_list(parser, &argument->strings);
    }
    if (parser->token.kind == SIEVE_TOKEN_STRING) {
        argument->kind = SIEVE_ARGUMENT_STRING;
        return add_string(parser, &argument->strings);
    }
    if (parser->token.kind == SIEVE_TOKEN_TAG) {
        argument->kind = SIEVE_ARGUMENT_TAG;
        argument->tag = parser->token.text;
    } else {
        argument->kind = SIEVE_ARGUMENT_NUMBER;
        argument->number = parser->token.number;
    }
    advance(parser);
    return true;
}

static bool parse_arguments(struct parser *parser, struct sieve_argument *arguments,
                            size_t *count_out)
{
    size_t count = 0;

    while (is_argument(parser)) {
        if (count == ARGUMENTS_MAX) {
            sieve_error_set(parser->error, parser->token.line, "expected fewer arguments");
            return false;
        }
        if (!parse_argument(parser, &arguments[count++]))
            return false;
    }
    *count_out = count;
    return parser->token.kind != SIEVE_TOKEN_ERROR;
}

/* --- commands and tests ----------------------------------------------------------------------- */

static bool parse_test(struct parser *parser, struct sieve_node **node_out);

static bool enter(struct parser *parser)
{
    if (++parser->depth <= SIEVE_DEPTH_MAX)
        return true;
    sieve_error_set(parser->error, parser->token.line, "expected at most %d levels of nesting",
                    SIEVE_DEPTH_MAX);
    return false;
}

static bool parse_test_list(struct parser *parser, struct sieve_node **list)
{
    if (!take_mark(parser, '(', "a list of tests, '(' first"))
        return false;
    while (parse_test(parser, list)) {
        list = &(*list)->next;
        if (is_mark(parser, ')'))
            return take_mark(parser, ')', "')'");
        if (!take_mark(parser, ',', "',' or ')'"))
            return false;
    }
    return false;
}

static bool parse_tests(struct parser *parser, struct sieve_node *node)
{
    switch (sieve_verb_tests(node->verb)) {
    case SIEVE_TESTS_NONE:
        return true;
    case SIEVE_TESTS_ONE:
        return parse_test(parser, &node->tests);
    case SIEVE_TESTS_LIST:
        return parse_test_list(parser, &node->tests);
    }
    return false;
}

/* A verb with its arguments and tests. */
static bool parse_node(struct parser *parser, bool is_test, const struct sieve_node *previous,
                       struct sieve_node **node_out)
{
    struct sieve_argument arguments[ARGUMENTS_MAX];
    struct sieve_node *node = arena_alloc(parser->arena, sizeof(*node));
    size_t count;

    if (node == NULL)
        return no_memory(parser);
    if (parser->token.kind != SIEVE_TOKEN_IDENTIFIER)
        return expected(parser, is_test ? "a test" : "a command");
    node->line = parser->token.line;
    if (!sieve_check_verb(&parser->checker, parser->token.text, is_test, node->line, &node->verb))
        return false;
    advance(parser);
    if (!parse_arguments(parser, arguments, &count) ||
        !sieve_check_arguments(&parser->checker, node, previous, count, arguments))
        return false;
    *node_out = node;
    return parse_tests(parser, node);
}

static bool parse_test(struct parser *parser, struct sieve_node **node_out)
{
    if (!enter(parser) || !parse_node(parser, true, NULL, node_out))
        return false;
    parser->depth--;
    return true;
}

static bool parse_commands(struct parser *parser, struct sieve_node **list);

static bool parse_block(struct parser *parser, struct sieve_node **list)
{
    unsigned line = parser->token.line;

    if (!take_mark(parser, '{', "a block, '{' first") || !enter(parser) ||
        !parse_commands(parser, list))
        return false;
    parser->depth--;
    if (parser->token.kind == SIEVE_TOKEN_END) {
        sieve_error_set(parser->error, parser->token.line,
                        "expected '}', which ends the block that begins in line %u", line);
        return false;
    }
    return take_mark(parser, '}', "'}'");
}

static bool parse_commands(struct parser *parser, struct sieve_node **list)
{
    const struct sieve_node *previous = NULL;

    while (parser->token.kind != SIEVE_TOKEN_END && !is_mark(parser, '}')) {
        if (!parse_node(parser, false, previous, list))
            return false;
        struct sieve_node *node = *list;
        bool is_whole = sieve_verb_has_block(node->verb) ? parse_block(parser, &node->block)
                                                         : take_mark(parser, ';', "';'");

        if (!is_whole)
            return false;
        previous = node;
        list = &node->next;
    }
    return true;
}

/* --- scripts ---------------------------------------------------------------------------------- */

static bool parse(struct sieve_script *script, struct bytes text, const struct sieve_host *host,
                  struct sieve_error *error)
{
    struct parser parser = {.arena = &script->arena, .error = error};

    if (text.len > SIEVE_SIZE_MAX) {
        sieve_error_set(error, 0, "the script has %zu bytes, and may have %d", text.len,
                        SIEVE_SIZE_MAX);
        return false;
    }
    parser.checker = (struct sieve_checker){.host = host, .arena = &script->arena, .error = error};
    sieve_lexer_init(&parser.lexer, text, &script->arena, error);
    advance(&parser);
    return parse_commands(&parser, &script->commands) &&
           (parser.token.kind == SIEVE_TOKEN_END || expected(&parser, "a command"));
}

struct sieve_script *sieve_parse(struct bytes text, const struct sieve_host *host,
                                 struct sieve_error *error_out)
{
    struct sieve_script *script = calloc(1, sizeof(*script));

    check(script != NULL);
    arena_init(&script->arena, MEMORY_MAX);
    *error_out = (struct sieve_error){0};
    if (!parse(script, text, host, error_out)) {
        check(error_out->what[0] != '\0');
        sieve_free(&script);
    }
    return script;
}

void sieve_free(struct sieve_script **script)
{
    struct sieve_script *s = *script;

    *script = NULL;
    if (s == NULL)
        return;
    arena_free(&s->arena);
    free(s);
}

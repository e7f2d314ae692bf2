/*
 * checks.c - the checks of received mail, driven over stdin and stdout: whoever runs this program
 * is DNS. tests/system/checks.py speaks with it.
 *
 *   > spf mail|helo ADDRESS HELO MAIL-FROM RECEIVER TIME
 *   > dkim MESSAGE PIECE TIME
 *   > arc MESSAGE TIME
 *   > seal MESSAGE DOMAIN SELECTOR KEY RESULTS STATUS NAMES flat|folded TIME
 *   > iprev ADDRESS
 *   < ask TXT NAME
 *   > found PREFERENCE:TEXT ...     or no-data, no-name, failed
 *   < done VERDICT ...
 *
 * One line each; names, texts and addresses in hex, "-" for nothing.
 */
#include "system/checks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    void (*run)(struct bytes arguments);
} commands[] = {
    {"spf", checks_spf},   {"dkim", checks_dkim},   {"arc", checks_arc},
    {"seal", checks_seal}, {"iprev", checks_iprev},
};

static struct bytes read_line(void)
{
    static char *line;
    static size_t capacity;
    ssize_t len = getline(&line, &capacity, stdin);

    if (len <= 0) {
        free(line);
        exit(0);
    }
    return bytes_range(line, (size_t)len - 1);
}

struct bytes checks_word(struct bytes *rest)
{
    size_t space = bytes_find(*rest, ' ', 0);
    struct bytes word = bytes_slice(*rest, 0, space);

    *rest = bytes_slice(*rest, space + 1, rest->len);
    return word;
}

static int digit(uint8_t c)
{
    return byte_is_digit(c) ? c - '0' : byte_lower(c) - 'a' + 10;
}

struct bytes checks_hex(struct bytes word)
{
    /* Of its exact size, so that a sanitizer sees a read past its end. */
    uint8_t *text = malloc(word.len / 2 + (word.len < 2));

    check(text != NULL);
    if (word.len == 1 && word.ptr[0] == '-')
        word.len = 0;
    for (size_t i = 0; i + 1 < word.len; i += 2)
        text[i / 2] = (uint8_t)(digit(word.ptr[i]) << 4 | digit(word.ptr[i + 1]));
    return bytes_range(text, word.len / 2);
}

void checks_free(struct bytes *text)
{
    free((void *)(uintptr_t)text->ptr);
    *text = BYTES_NONE;
}

void checks_print(struct bytes text)
{
    putchar(' ');
    if (text.len == 0)
        putchar('-');
    for (size_t i = 0; i < text.len; i++)
        printf("%02x", text.ptr[i]);
}

const struct lookup_answer *checks_ask(const struct lookup *lookup)
{
    static const char *const types[] = {"TXT", "A", "AAAA", "MX", "PTR"};
    static struct lookup_record records[CHECKS_RECORDS_MAX];
    static struct lookup_answer answer;

    for (size_t i = 0; i < answer.count; i++)
        checks_free(&records[i].text);
    answer = (struct lookup_answer){.records = records};
    printf("ask %s", types[lookup->type]);
    checks_print(lookup->name);
    putchar('\n');
    fflush(stdout);
    struct bytes rest = read_line();
    struct bytes word = checks_word(&rest);

    if (bytes_equal(word, BYTES("failed")))
        answer.result = LOOKUP_FAILED;
    else if (bytes_equal(word, BYTES("no-name")))
        answer.result = LOOKUP_NO_NAME;
    else if (bytes_equal(word, BYTES("no-data")))
        answer.result = LOOKUP_NO_DATA;
    else
        answer.result = LOOKUP_FOUND;
    while (rest.len > 0) {
        struct bytes record = checks_word(&rest);
        uint64_t preference;

        check(answer.count < CHECKS_RECORDS_MAX);
        check(bytes_take_u64(&record, &preference));
        records[answer.count].preference = (uint16_t)preference;
        records[answer.count++].text = checks_hex(bytes_slice(record, 1, record.len));
    }
    return &answer;
}

int main(void)
{
    for (;;) {
        struct bytes line = read_line();
        char *copy = strndup((const char *)line.ptr, line.len);
        struct bytes rest = bytes_of(copy);
        struct bytes name = checks_word(&rest);
        bool is_known = false;

        for (size_t i = 0; i < ARRAY_LEN(commands); i++)
            if (bytes_equal(name, bytes_of(commands[i].name))) {
                is_known = true;
                commands[i].run(rest);
            }
        check(is_known);
        putchar('\n');
        fflush(stdout);
        free(copy);
    }
}

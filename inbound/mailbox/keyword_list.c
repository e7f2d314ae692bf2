/* keyword_list.c - keywords by name, number and letter. */
#include "inbound/mailbox/keyword_list.h"

#include <errno.h>
#include <string.h>

bool keyword_is_valid(struct bytes name)
{
    if (name.len == 0 || name.len > MAILBOX_KEYWORD_LEN_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];

        /* RFC 9051 section 9, ATOM-CHAR. */
        if (c <= 0x20 || c >= 0x7f || strchr("(){%*\"\\]", c) != NULL)
            return false;
    }
    return true;
}

int keyword_find(const struct keyword_list *list, struct bytes name)
{
    for (unsigned i = 0; i < list->count; i++)
        if (bytes_equal_nocase(bytes_of(list->names[i]), name))
            return (int)i;
    return -1;
}

static int add(struct keyword_list *list, struct bytes name)
{
    if (!keyword_is_valid(name))
        return -EINVAL;
    if (list->count == MAILBOX_KEYWORDS_MAX)
        return -ENOSPC;
    memcpy(list->names[list->count], name.ptr, name.len);
    list->names[list->count][name.len] = '\0';
    return (int)list->count++;
}

static bool has_letter(const struct keyword_list *list, int number)
{
    for (unsigned i = 0; i < LETTER_KEYWORD_COUNT; i++)
        if (list->of_letter[i] == number + 1)
            return true;
    return false;
}

int keyword_make(struct keyword_list *list, struct bytes name)
{
    int number = keyword_find(list, name);

    if (number < 0)
        number = add(list, name);
    if (number < 0 || has_letter(list, number))
        return number;
    for (unsigned i = 0; i < LETTER_KEYWORD_COUNT; i++) {
        if (list->of_letter[i] == 0) {
            list->of_letter[i] = (uint8_t)(number + 1);
            break;
        }
    }
    return number;
}

void keyword_parse(struct keyword_list *list, struct bytes text)
{
    struct bytes line;
    uint64_t letter;

    memset(list->of_letter, 0, sizeof(list->of_letter));
    while (bytes_take_until(&text, '\n', &line)) {
        if (!bytes_take_u64(&line, &letter) || letter >= LETTER_KEYWORD_COUNT || line.len < 2 ||
            line.ptr[0] != ' ' || list->of_letter[letter] != 0)
            continue;
        struct bytes name = bytes_slice(line, 1, line.len);
        int number = keyword_find(list, name);

        if (number < 0)
            number = add(list, name);
        if (number >= 0 && !has_letter(list, number))
            list->of_letter[letter] = (uint8_t)(number + 1);
    }
}

void keyword_merge(struct keyword_list *list, struct bytes text)
{
    struct keyword_list before = *list;

    keyword_parse(list, text);
    for (unsigned i = 0; i < LETTER_KEYWORD_COUNT; i++)
        if (before.of_letter[i] != 0 && list->of_letter[i] == 0 &&
            !has_letter(list, before.of_letter[i] - 1))
            list->of_letter[i] = before.of_letter[i];
    for (unsigned i = 0; i < list->count; i++)
        (void)!keyword_make(list, bytes_of(list->names[i])); /* a letter for those that lost it */
}

void keyword_format(const struct keyword_list *list, struct buf *out)
{
    for (unsigned i = 0; i < LETTER_KEYWORD_COUNT; i++)
        if (list->of_letter[i] != 0)
            check(buf_printf(out, "%u %s\n", i, list->names[list->of_letter[i] - 1]));
}

uint32_t keyword_letters(const struct keyword_list *list, uint64_t flags, uint32_t before)
{
    uint32_t letters = file_letters_of_flags(flags) | (before & LETTER_P);

    for (unsigned i = 0; i < LETTER_KEYWORD_COUNT; i++) {
        uint32_t letter = UINT32_C(1) << (LETTER_KEYWORDS + i);

        if (list->of_letter[i] == 0)
            letters |= before & letter;
        else if ((flags & MAIL_KEYWORD(list->of_letter[i] - 1)) != 0)
            letters |= letter;
    }
    return letters;
}

uint64_t keyword_flags(const struct keyword_list *list, uint32_t letters)
{
    uint64_t flags = file_flags_of_letters(letters);

    for (unsigned i = 0; i < LETTER_KEYWORD_COUNT; i++)
        if ((letters >> (LETTER_KEYWORDS + i) & 1) != 0 && list->of_letter[i] != 0)
            flags |= MAIL_KEYWORD(list->of_letter[i] - 1);
    return flags;
}

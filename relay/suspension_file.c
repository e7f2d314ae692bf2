/* suspension_file.c - rules that hold mail back: kept as JSON, handed to delivery as structs. */
#include "relay/suspension_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "event/json_text.h"
#include "relay/state_dir.h"

enum { NUMBER_MAX = INT32_MAX }; /* of a rule: suspension_file_add() returns it as an int */

/* The end of a rule must be a date that can be read back: four digits of a year. */
static const json_int_t FOR_S_MAX = 100 * 366 * 86400LL;

struct suspension_file {
    char path[4096];
    uint32_t next_number;
    size_t count;
    size_t removed_count; /* they stand behind the others until the next change */
    struct {
        size_t at; /* of the rule that was added last */
        bool is_new;
        int64_t until_ms; /* that it had before */
    } added;
    struct suspension rules[SUSPENSIONS_MAX];
};

static const char *const text_keys[] = {"domain", "sender", "recipient"};

static const char **text_field(struct suspension *rule, size_t key)
{
    const char **const fields[] = {&rule->domain, &rule->sender, &rule->recipient};

    return fields[key];
}

static void free_rule(struct suspension *rule)
{
    for (size_t i = 0; i < ARRAY_LEN(text_keys); i++)
        free((char *)(uintptr_t)*text_field(rule, i));
}

json_t *suspension_to_json(const struct suspension *rule, struct clocks clocks)
{
    struct suspension copy = *rule;
    json_t *json = json_pack("{s:I}", "number", (json_int_t)rule->number);
    char text[CLOCK_TEXT_MAX], id[MESSAGE_ID_TEXT_MAX];

    for (size_t i = 0; i < ARRAY_LEN(text_keys); i++)
        if (*text_field(&copy, i) != NULL)
            json_object_set_new(json, text_keys[i], json_text_of(*text_field(&copy, i)));
    if (rule->message != 0) {
        message_id_format((struct message_id){rule->message}, id);
        json_object_set_new(json, "id", json_string(id));
    }
    if (rule->until_ms != 0) {
        clock_format_rfc3339(clocks_to_wall(clocks, rule->until_ms), text);
        json_object_set_new(json, "until", json_string(text));
    }
    return json;
}

/* Fills texts and id from JSON; false with why. */
static bool rule_from_json(const json_t *json, struct suspension *rule, const char **why_out)
{
    const json_t *id_value = json_object_get(json, "id");
    const char *id_text = json_string_value(id_value);
    struct message_id id = {0};

    *rule = (struct suspension){0};
    if (id_value != NULL && (id_text == NULL || !message_id_parse(bytes_of(id_text), &id))) {
        *why_out = "no message id; expected 20 characters such as a3f100-5f3a9c1b2d4e7";
        return false;
    }
    rule->message = id.value;
    for (size_t i = 0; i < ARRAY_LEN(text_keys); i++) {
        const json_t *value = json_object_get(json, text_keys[i]);
        const char *text = json_string_value(value);

        if (value == NULL)
            continue;
        if (text == NULL || strlen(text) != json_string_length(value)) {
            *why_out = "a filter is no text";
            free_rule(rule);
            *rule = (struct suspension){0};
            return false;
        }
        char *copy = strdup(text);
        check(copy != NULL);
        for (char *c = copy; *c != '\0'; c++)
            *c = (char)byte_lower((uint8_t)*c);
        *text_field(rule, i) = copy;
    }
    return true;
}

static bool rule_is_same(const struct suspension *a, const struct suspension *b)
{
    struct suspension first = *a, second = *b;

    for (size_t i = 0; i < ARRAY_LEN(text_keys); i++) {
        const char *x = *text_field(&first, i), *y = *text_field(&second, i);

        if ((x == NULL) != (y == NULL) || (x != NULL && strcmp(x, y) != 0))
            return false;
    }
    return a->message == b->message;
}

static bool has_number(const struct suspension_file *suspensions, json_int_t number)
{
    for (size_t i = 0; i < suspensions->count; i++)
        if (suspensions->rules[i].number == number)
            return true;
    return false;
}

/* A file that was mended by hand may hold anything: numbers must be there, in bounds and unique,
 * since they are what an operator resumes by. */
static bool load_rules(struct suspension_file *suspensions, const json_t *root,
                       struct clocks clocks)
{
    const json_t *item;
    size_t i;
    const char *why;
    int64_t until_wall_ms;

    if (!json_is_array(root) || json_array_size(root) > SUSPENSIONS_MAX)
        return false;
    json_array_foreach(root, i, item)
    {
        struct suspension *rule = &suspensions->rules[suspensions->count];
        const char *until = json_string_value(json_object_get(item, "until"));

        json_int_t number = json_integer_value(json_object_get(item, "number"));

        if (number < 1 || number > NUMBER_MAX || has_number(suspensions, number) ||
            !rule_from_json(item, rule, &why))
            return false;
        rule->number = (uint32_t)number;
        suspensions->count++;
        if (until != NULL && !clock_parse_rfc3339(bytes_of(until), &until_wall_ms))
            return false;
        if (until != NULL) /* 0 means without an end; what was over before the boot is over */
            rule->until_ms = MAX(clocks_to_monotonic(clocks, until_wall_ms), (int64_t)1);
        suspensions->next_number = MAX(suspensions->next_number, rule->number + 1);
    }
    return true;
}

struct suspension_file *suspension_file_load(const char *state_dir, struct clocks clocks,
                                             char *why_out, size_t why_size)
{
    struct suspension_file *suspensions = calloc(1, sizeof(*suspensions));
    json_error_t error;

    check(suspensions != NULL);
    suspensions->next_number = 1;
    check(state_dir_file(state_dir, "suspensions.json", suspensions->path,
                         sizeof(suspensions->path)));
    if (access(suspensions->path, F_OK) != 0)
        return suspensions;
    json_t *root = json_load_file(suspensions->path, 0, &error);
    bool is_good = root != NULL && load_rules(suspensions, root, clocks);
    if (!is_good) {
        snprintf(why_out, why_size, "%s is damaged (%s); mend or remove it", suspensions->path,
                 root == NULL ? error.text : "not a list of rules");
        suspension_file_free(&suspensions);
    }
    json_decref(root);
    return suspensions;
}

static void forget_removed(struct suspension_file *suspensions)
{
    for (size_t i = 0; i < suspensions->removed_count; i++)
        free_rule(&suspensions->rules[suspensions->count + i]);
    suspensions->removed_count = 0;
}

void suspension_file_free(struct suspension_file **suspensions)
{
    forget_removed(*suspensions);
    for (size_t i = 0; i < (*suspensions)->count; i++)
        free_rule(&(*suspensions)->rules[i]);
    free(*suspensions);
    *suspensions = NULL;
}

/* Counts up, so that a number means one rule for long; beyond the last the free ones again. */
static uint32_t free_number(struct suspension_file *suspensions)
{
    do {
        if (suspensions->next_number > NUMBER_MAX)
            suspensions->next_number = 1;
    } while (has_number(suspensions, suspensions->next_number++));
    return suspensions->next_number - 1;
}

int suspension_file_add(struct suspension_file *suspensions, const json_t *request, int64_t now_ms,
                        const char **why_out)
{
    struct suspension rule;
    json_int_t for_s = json_integer_value(json_object_get(request, "for_s"));

    forget_removed(suspensions);
    if (suspensions->count == SUSPENSIONS_MAX) {
        *why_out = "there are 10000 suspensions already; resume some";
        return -ENOSPC;
    }
    if (for_s > FOR_S_MAX) {
        *why_out = "a suspension ends within 100 years; leave --for out for one that does not end";
        return -EINVAL;
    }
    if (!rule_from_json(request, &rule, why_out))
        return -EINVAL;
    if (rule.domain == NULL && rule.sender == NULL && rule.recipient == NULL && rule.message == 0) {
        *why_out = "nothing named; give --domain, --sender, --recipient or --id (--domain '*' "
                   "holds everything)";
        return -EINVAL;
    }
    rule.until_ms = for_s > 0 ? now_ms + for_s * 1000 : 0;
    for (size_t i = 0; i < suspensions->count; i++) {
        if (!rule_is_same(&rule, &suspensions->rules[i]))
            continue;
        free_rule(&rule);
        suspensions->added.at = i;
        suspensions->added.is_new = false;
        suspensions->added.until_ms = suspensions->rules[i].until_ms;
        suspensions->rules[i].until_ms = rule.until_ms;
        return (int)suspensions->rules[i].number;
    }
    rule.number = free_number(suspensions);
    suspensions->added.at = suspensions->count;
    suspensions->added.is_new = true;
    suspensions->rules[suspensions->count++] = rule;
    return (int)rule.number;
}

void suspension_file_undo_add(struct suspension_file *suspensions)
{
    struct suspension *rule = &suspensions->rules[suspensions->added.at];

    check(suspensions->added.at < suspensions->count && suspensions->removed_count == 0);
    if (!suspensions->added.is_new) {
        rule->until_ms = suspensions->added.until_ms;
        return;
    }
    check(suspensions->added.at == suspensions->count - 1);
    free_rule(rule);
    suspensions->count--;
}

static void remove_at(struct suspension_file *suspensions, size_t i)
{
    struct suspension *last = &suspensions->rules[--suspensions->count];
    struct suspension removed = suspensions->rules[i];

    suspensions->rules[i] = *last;
    *last = removed;
    suspensions->removed_count++;
}

unsigned suspension_file_remove(struct suspension_file *suspensions, const json_t *request)
{
    json_int_t number = json_integer_value(json_object_get(request, "number"));
    bool all = json_is_true(json_object_get(request, "all"));
    struct suspension wanted;
    const char *why;
    unsigned removed = 0;

    forget_removed(suspensions);
    if (!rule_from_json(request, &wanted, &why))
        return 0;
    for (size_t i = suspensions->count; i > 0; i--) {
        const struct suspension *rule = &suspensions->rules[i - 1];

        if (!all && (number != 0 ? rule->number != number : !rule_is_same(rule, &wanted)))
            continue;
        remove_at(suspensions, i - 1);
        removed++;
    }
    free_rule(&wanted);
    return removed;
}

bool suspension_file_expire(struct suspension_file *suspensions, int64_t now_ms)
{
    forget_removed(suspensions);
    for (size_t i = suspensions->count; i > 0; i--) {
        int64_t until_ms = suspensions->rules[i - 1].until_ms;

        if (until_ms == 0 || until_ms > now_ms)
            continue;
        remove_at(suspensions, i - 1);
    }
    return suspensions->removed_count > 0;
}

int suspension_file_save(const struct suspension_file *suspensions, struct clocks clocks)
{
    char temporary[4200];
    json_t *root = json_array();

    for (size_t i = 0; i < suspensions->count; i++)
        json_array_append_new(root, suspension_to_json(&suspensions->rules[i], clocks));
    snprintf(temporary, sizeof(temporary), "%s.new", suspensions->path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int error = fd < 0 ? -errno : 0;
    if (fd >= 0) {
        if (json_dumpfd(root, fd, JSON_INDENT(1)) < 0 || fsync(fd) < 0)
            error = -EIO;
        close(fd);
    }
    if (error == 0)
        error = state_dir_rename(temporary, suspensions->path);
    json_decref(root);
    return error;
}

const struct suspension *suspension_file_rules(const struct suspension_file *suspensions,
                                               size_t *count_out)
{
    *count_out = suspensions->count;
    return suspensions->rules;
}

const struct suspension *suspension_file_removed(const struct suspension_file *suspensions,
                                                 size_t *count_out)
{
    *count_out = suspensions->removed_count;
    return suspensions->rules + suspensions->count;
}

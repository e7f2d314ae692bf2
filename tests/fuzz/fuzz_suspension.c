/* modules: program */
/* runs: 8000 */
/*
 * fuzz_suspension.c - any bytes as suspensions.json, then any request of an operator's: what was
 * read is written and read back the same, each rule has a number of its own, what was added can be
 * taken back or out, and what went can be told. The input is the file, a NUL, and the request.
 */
#include "base/clock.h"
#include "relay/suspension_file.h"
#include "support/fuzz_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

enum { NUMBERS_COMPARED = 200 };
static const int64_t NOW_MS = 1795489800000;
static const struct clocks clocks = {1795489800000, 1795489800000};

static json_t *rules_as_json(const struct suspension_file *suspensions)
{
    size_t count;
    const struct suspension *rules = suspension_file_rules(suspensions, &count);
    json_t *list = json_array();

    check(count <= SUSPENSIONS_MAX);
    for (size_t i = 0; i < count; i++) {
        json_t *rule = suspension_to_json(&rules[i], clocks);

        check(rule != NULL);
        json_array_append_new(list, rule);
        check(rules[i].number > 0);
        for (size_t k = 0; k < i && i < NUMBERS_COMPARED; k++)
            check(rules[k].number != rules[i].number);
    }
    return list;
}

static struct suspension_file *load(void)
{
    char why[512] = "";
    struct suspension_file *suspensions =
        suspension_file_load(fuzz_directory, clocks, why, sizeof(why));

    check((suspensions == NULL) == (why[0] != '\0'));
    return suspensions;
}

static void check_written_and_read_back(const struct suspension_file *suspensions)
{
    json_t *written = rules_as_json(suspensions);

    check(suspension_file_save(suspensions, clocks) == 0);
    struct suspension_file *again = load();
    check(again != NULL);
    json_t *read = rules_as_json(again);
    check(json_equal(written, read));
    json_decref(written);
    json_decref(read);
    suspension_file_free(&again);
}

static size_t count_rules(const struct suspension_file *suspensions)
{
    size_t count;

    (void)suspension_file_rules(suspensions, &count);
    return count;
}

static void add_and_undo(struct suspension_file *suspensions, const json_t *request)
{
    json_t *before = rules_as_json(suspensions);
    const char *why = NULL;

    if (suspension_file_add(suspensions, request, NOW_MS, &why) > 0)
        suspension_file_undo_add(suspensions);
    json_t *after = rules_as_json(suspensions);
    check(json_equal(before, after));
    json_decref(before);
    json_decref(after);
}

static void check_removed(const struct suspension_file *suspensions, size_t expected)
{
    size_t count;
    const struct suspension *removed = suspension_file_removed(suspensions, &count);

    check(count == expected);
    for (size_t i = 0; i < count; i++)
        json_decref(suspension_to_json(&removed[i], clocks));
}

static void ask(struct suspension_file *suspensions, const json_t *request)
{
    const char *why = NULL;
    size_t before = count_rules(suspensions);

    add_and_undo(suspensions, request);
    int number = suspension_file_add(suspensions, request, NOW_MS, &why);

    if (number <= 0) {
        check(why != NULL);
        check(count_rules(suspensions) == before);
    } else {
        json_t *mine = json_pack("{s:i}", "number", number);

        check_written_and_read_back(suspensions);
        check(suspension_file_remove(suspensions, mine) == 1);
        check_removed(suspensions, 1);
        json_decref(mine);
    }
    before = count_rules(suspensions);
    unsigned removed = suspension_file_remove(suspensions, request);
    check(count_rules(suspensions) == before - removed);
    check_removed(suspensions, removed);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct bytes rest = {input, len};
    struct bytes text = fuzz_field(&rest);
    char path[128];

    check(snprintf(path, sizeof(path), "%s/suspensions.json", fuzz_make_directory()) <
          (int)sizeof(path));
    fuzz_write(path, text);
    struct suspension_file *suspensions = load();
    if (suspensions == NULL) { /* an operator would remove it */
        check(unlink(path) == 0);
        suspensions = load();
        check(suspensions != NULL);
    }
    check_written_and_read_back(suspensions);
    json_t *request = json_loadb((const char *)rest.ptr, rest.len, JSON_REJECT_DUPLICATES, NULL);
    if (request != NULL)
        ask(suspensions, request);
    json_decref(request);
    (void)suspension_file_expire(suspensions, NOW_MS);
    check(!suspension_file_expire(suspensions, NOW_MS));
    check_written_and_read_back(suspensions);
    suspension_file_free(&suspensions);
    return 0;
}

/* rspamd_answer.c - the bodies of answers, and where they come from. */
#include <jansson.h>
#include <string.h>

#include "inbound/rspamd/rspamd.h"

static const char *const names[] = {
    [RSPAMD_NO_ACTION] = "no action",     [RSPAMD_GREYLIST] = "greylist",
    [RSPAMD_ADD_HEADER] = "add header",   [RSPAMD_REWRITE_SUBJECT] = "rewrite subject",
    [RSPAMD_SOFT_REJECT] = "soft reject", [RSPAMD_REJECT] = "reject",
};

const char *rspamd_action_name(enum rspamd_action action)
{
    return names[action];
}

bool rspamd_parse(struct bytes json, struct rspamd_answer *out)
{
    json_t *root = json_loadb((const char *)json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL);
    const char *action = json_string_value(json_object_get(root, "action"));
    bool is_known = false;

    for (size_t i = 0; action != NULL && !is_known && i < ARRAY_LEN(names); i++) {
        if (strcmp(action, names[i]) != 0)
            continue;
        out->action = (enum rspamd_action)i;
        out->score = json_number_value(json_object_get(root, "score"));
        out->required = json_number_value(json_object_get(root, "required_score"));
        is_known = true;
    }
    json_decref(root);
    return is_known;
}

bool rspamd_parse_url(struct bytes text, struct address *out)
{
    if (!bytes_take_nocase(&text, BYTES("http://")))
        return false;
    if (text.len > 0 && text.ptr[text.len - 1] == '/')
        text.len--;
    return address_parse(text, 80, out);
}

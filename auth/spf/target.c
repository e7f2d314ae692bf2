/* target.c - expansion of domain-specs and explanations. */
#include "auth/spf/target.h"

#include "auth/spf/client.h"
#include "auth/spf/macro.h"

/* Macros multiply: a record may be 64 KiB, and each macro reads all of its value. No name needs
 * more, and no engine should work longer for one. */
enum {
    SPEC_MAX = 1024,         /* octets of what is expanded to a name */
    TEXT_MAX = 4096,         /* to an explanation */
    EXPANDED_MAX = 64 * 1024 /* of what comes out, before it is cut */
};

/* Expands `text` to `out`; TARGET_NONE where it is too long. */
static enum target_answer expand(struct spf_check *check, struct bytes text, struct buf *out)
{
    struct bytes domain = machine_frame(check)->domain;
    struct bytes validated = BYTES("unknown");

    if (macro_uses_validated(text) && client_name_for(check, domain, &validated) == CLIENT_ASKS)
        return TARGET_ASKS;
    struct macro_values values = {
        .sender = check->sender,
        .local = check->local,
        .sender_domain = check->sender_domain,
        .domain = domain,
        .address = bytes_of(check->dotted),
        .validated = validated,
        .version = check->is_ip6 ? BYTES("ip6") : BYTES("in-addr"),
        .helo = check->helo,
        .readable = bytes_of(check->readable),
        .receiver = check->receiver,
        .time = check->time,
    };
    return macro_expand(text, &values, out) ? TARGET_READY : TARGET_NONE;
}

/* Labels go from the left until the rest fits (section 7.3). */
static struct bytes cut_left(struct bytes name)
{
    while (name.len > SPF_NAME_MAX) {
        size_t dot = bytes_find(name, '.', 0);

        if (dot == name.len)
            break;
        name = bytes_slice(name, dot + 1, name.len);
    }
    return name;
}

enum target_answer target_expand(struct spf_check *check, struct bytes spec,
                                 struct machine_name *out)
{
    struct buf buf;

    if (spec.len == 0)
        return machine_name_set(out, machine_frame(check)->domain) ? TARGET_READY : TARGET_NONE;
    if (spec.len > SPEC_MAX)
        return TARGET_NONE;
    buf_init(&buf, EXPANDED_MAX);
    enum target_answer answer = expand(check, spec, &buf);

    if (answer == TARGET_READY) {
        struct bytes name = buf_bytes(&buf);

        if (name.len > 0 && name.ptr[name.len - 1] == '.')
            name.len--;
        if (!machine_name_set(out, cut_left(name)))
            answer = TARGET_NONE;
    }
    buf_free(&buf);
    return answer;
}

/* A reply is printable ASCII (section 6.2): a HELO name or local part may bring anything. */
static bool is_printable(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < 0x20 || text.ptr[i] > 0x7e)
            return false;
    return true;
}

enum target_answer target_explain(struct spf_check *check, struct bytes text, struct bytes *out)
{
    struct buf buf;

    if (text.len > TEXT_MAX)
        return TARGET_NONE;
    buf_init(&buf, SPF_EXPLANATION_MAX);
    enum target_answer answer = expand(check, text, &buf);

    if (answer == TARGET_READY &&
        (!is_printable(buf_bytes(&buf)) || !arena_copy(&check->arena, buf_bytes(&buf), out)))
        answer = TARGET_NONE;
    buf_free(&buf);
    return answer;
}

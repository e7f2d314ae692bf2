/* record.c - "v=STSv1; id=20160831085700Z;" */
#include "auth/mta_sts/record.h"

enum { NAME_MAX_LEN = 32 };

bool mta_sts_record_is_one(struct bytes text)
{
    static const struct bytes begin = {(const uint8_t *)"v=STSv1;", 8};

    return bytes_equal(bytes_slice(text, 0, begin.len), begin); /* case counts */
}

static bool name_is_valid(struct bytes name)
{
    if (name.len == 0 || name.len > NAME_MAX_LEN || !byte_is_alnum(name.ptr[0]))
        return false;
    for (size_t i = 1; i < name.len; i++)
        if (!byte_is_alnum(name.ptr[i]) && name.ptr[i] != '_' && name.ptr[i] != '-' &&
            name.ptr[i] != '.')
            return false;
    return true;
}

static bool value_is_valid(struct bytes value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] <= ' ' || value.ptr[i] >= 0x7f || value.ptr[i] == '=')
            return false;
    return value.len > 0;
}

static bool id_is_valid(struct bytes id)
{
    for (size_t i = 0; i < id.len; i++)
        if (!byte_is_alnum(id.ptr[i]))
            return false;
    return id.len > 0 && id.len <= MTA_STS_ID_MAX;
}

/* "name=value" between two semicolons. */
static bool take_field(struct bytes *text, struct bytes *name_out, struct bytes *value_out)
{
    struct bytes field;

    if (!bytes_take_until(text, ';', &field)) {
        field = *text;
        *text = BYTES_NONE;
    }
    *value_out = bytes_trim(field);
    return bytes_take_until(value_out, '=', name_out);
}

bool mta_sts_record_parse(struct bytes text, struct bytes *id_out)
{
    struct bytes id = BYTES_NONE;
    struct bytes name, value, version;

    if (!mta_sts_record_is_one(text) || !bytes_take_until(&text, ';', &version))
        return false;
    while (bytes_trim(text).len > 0) { /* a last semicolon may end it */
        if (!take_field(&text, &name, &value))
            return false;
        bool is_id = bytes_equal(name, BYTES("id"));

        if (is_id ? id.len > 0 || !id_is_valid(value)
                  : !name_is_valid(name) || !value_is_valid(value))
            return false;
        if (is_id)
            id = value;
    }
    if (id.len == 0)
        return false;
    *id_out = id;
    return true;
}

/* since.c - the value of --since. */
#include "base/clock.h"
#include "relay/cli/cli.h"
#include "relay/config_value.h"

bool cli_since(const struct cli *cli, const char *text, int64_t *wall_ms_out)
{
    int64_t age_ms;

    if (value_duration(bytes_of(text), &age_ms)) {
        *wall_ms_out = clock_wall_ms() - age_ms;
        return true;
    }
    if (clock_parse_rfc3339(bytes_of(text), wall_ms_out))
        return true;
    cli_misuse(cli,
               "--since %s: expected an age such as 2h, or a time such as "
               "2026-11-24T03:10:00Z",
               text);
    return false;
}

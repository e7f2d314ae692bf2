/* import_told.c - how an import ends and what it tells on the way; whose its files are. */
#include <stdarg.h>
#include <stdio.h>

#include "base/owner.h"
#include "inbound/import/import_private.h"

int import_end(struct import_account *account, int error, const char *format, ...)
{
    va_list args;

    if (account->error == 0) {
        account->error = error;
        va_start(args, format);
        (void)vsnprintf(account->why, sizeof(account->why), format, args);
        va_end(args);
    }
    return error;
}

void import_tell(struct import_account *account, const char *format, ...)
{
    char text[IMPORT_LABEL_MAX + IMPORT_WHY_MAX + 1100];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    account->settings.told(account->settings.context, text);
}

void import_give(const struct import_account *account, int at_fd, const char *name)
{
    (void)!owner_give_at(at_fd, name, account->settings.directory);
}

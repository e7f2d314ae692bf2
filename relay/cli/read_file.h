/* read_file.h - the FILE or - that a command is given. */
#pragma once

#include "base/buf.h"

/* Appends all of the file, or of stdin for "-". An exit code; what went wrong was told. */
int cli_read_file(const char *path, struct buf *content);
/* The same of a message: a LF alone ends a line of a text file, and becomes CRLF. */
int cli_read_message(const char *path, struct buf *content);

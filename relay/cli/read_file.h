/* read_file.h - the FILE or - that a command is given. */
#pragma once

#include "base/buf.h"

/* Appends all of the file, or of stdin for "-". An exit code; what went wrong was told. */
int cli_read_file(const char *path, struct buf *content);

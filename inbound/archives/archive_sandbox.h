/* archive_sandbox.h - the process gives up, for good, all that reading an archive does not need. */
#pragma once

#include "base/bytes.h"

/* 0, or -errno: then it must not go on. Under a sanitizer memory has no bound. */
must_use int archive_sandbox_enter(void);

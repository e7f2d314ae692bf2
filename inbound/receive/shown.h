/*
 * shown.h - accounts that are shown what comes back for their tenant (`ringpost account set
 * --shows`), as recipients more of a message to a return path of ours.
 *
 * What it is, and so whether and where it is filed, is found when it is read (delivery/filing).
 */
#pragma once

#include "base/bytes.h"
#include "smtp/verdict.h"

struct arrival;

/* Before the content. Once; a second time nothing is done. */
must_use struct verdict shown_add(struct arrival *arrival);

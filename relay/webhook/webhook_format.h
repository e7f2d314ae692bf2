/*
 * webhook_format.h - an event in the words of whom a webhook tells.
 *
 *   ringpost   the record itself (docs/events.md)
 *   sendgrid   the names and nesting of SendGrid's event webhook
 *   kumomta    the names and nesting of KumoMTA's log record
 *
 * docs/webhooks.md has the tables. Pure functions; any thread.
 */
#pragma once

#include "base/buf.h"

enum webhook_format { WEBHOOK_RINGPOST, WEBHOOK_SENDGRID, WEBHOOK_KUMOMTA, WEBHOOK_FORMAT_COUNT };

const char *webhook_format_name(enum webhook_format format); /* "sendgrid" */
must_use bool webhook_format_parse(struct bytes name, enum webhook_format *out);
/* Are events of this kind (as it stands in the record) told in this form? */
bool webhook_format_tells(enum webhook_format format, struct bytes kind);
/* Appends one JSON object for `line`, which is an event or a gap. False, with nothing appended: it
 * is neither, or `out` has no room. */
must_use bool webhook_format_put(enum webhook_format format, struct bytes line, struct buf *out);

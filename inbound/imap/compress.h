/* compress.h - COMPRESS=DEFLATE (RFC 4978). Private to the folder. */
#pragma once

#include "inbound/imap/session.h"

enum step imap_handle_compress(struct imap_session *session, struct bytes arguments);

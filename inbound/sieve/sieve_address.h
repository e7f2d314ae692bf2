/*
 * sieve_address.h - addresses of scripts and of messages. Private to this folder.
 */
#pragma once

#include "inbound/sieve/sieve_script.h"

/* A name of a field as RFC 5322 has it. */
bool sieve_is_field_name(struct bytes name);
/* A field whose value is addresses. */
bool sieve_is_address_field(struct bytes name);
/* "a@b.example" or "Name <a@b.example>" (RFC 5228 section 2.4.2.3): sets the address, a slice of
 * `text` that is valid in SMTP. */
bool sieve_take_address(struct bytes text, struct bytes *address_out);
bool sieve_is_mailbox_list(struct bytes text);

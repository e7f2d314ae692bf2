/* verify_print.c - a verification for people. */
#include "relay/cli/verify_print.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/dmarc/public_suffix.h"

enum {
    NOTES_MAX = 1 << 20,
    TEXT_MAX = 300, /* octets of a stranger's text that are shown */
    FIELD_MAX = 64 * 1024,
};

/* --- look-ups --------------------------------------------------------------------------------- */

static const char *const type_names[] = {
    [LOOKUP_TXT] = "TXT", [LOOKUP_A] = "A",     [LOOKUP_AAAA] = "AAAA",
    [LOOKUP_MX] = "MX",   [LOOKUP_PTR] = "PTR",
};

void verify_notes_init(struct verify_notes *notes)
{
    *notes = (struct verify_notes){0};
    buf_init(&notes->text, NOTES_MAX);
}

void verify_notes_free(struct verify_notes *notes)
{
    buf_free(&notes->text);
}

static bool note_text(struct buf *out, struct bytes text)
{
    struct bytes shown = bytes_slice(text, 0, TEXT_MAX);

    return json_text_append(out, shown) && (shown.len == text.len || buf_append(out, BYTES("...")));
}

static bool note_record(struct buf *out, enum lookup_type type, const struct lookup_record *record)
{
    char address[INET6_ADDRSTRLEN];

    switch (type) {
    case LOOKUP_A:
    case LOOKUP_AAAA:
        inet_ntop(type == LOOKUP_A ? AF_INET : AF_INET6, record->text.ptr, address,
                  sizeof(address));
        return buf_printf(out, " %s", address);
    case LOOKUP_MX:
        return buf_printf(out, " %u ", record->preference) && note_text(out, record->text);
    case LOOKUP_TXT:
    case LOOKUP_PTR:
        break;
    }
    return buf_append(out, BYTES(" ")) && note_text(out, record->text);
}

static bool note_answer(struct buf *out, const struct verification_trace *trace)
{
    switch (trace->answer->result) {
    case LOOKUP_NO_NAME:
        return buf_append(out, BYTES(" no such name"));
    case LOOKUP_NO_DATA:
        return buf_append(out, BYTES(" no such record"));
    case LOOKUP_FAILED:
        return buf_printf(out, " failed: %s", trace->why == NULL ? "no answer" : trace->why);
    case LOOKUP_FOUND:
        break;
    }
    for (size_t i = 0; i < trace->answer->count; i++)
        if (!note_record(out, trace->lookup->type, &trace->answer->records[i]))
            return false;
    return true;
}

void verify_note(struct verify_notes *notes, const struct verification_trace *trace)
{
    size_t before = buf_len(&notes->text);
    bool has_number = strcmp(trace->check, "dkim") == 0;

    if (buf_printf(&notes->text, "  %-5s ", trace->check) &&
        (!has_number || buf_printf(&notes->text, "%zu ", trace->number + 1)) &&
        buf_printf(&notes->text, "%s ", type_names[trace->lookup->type]) &&
        note_text(&notes->text, trace->lookup->name) && note_answer(&notes->text, trace) &&
        buf_append(&notes->text, BYTES("\n")))
        return;
    buf_truncate(&notes->text, before);
    notes->left_out++;
}

static void print_notes(const struct verify_notes *notes)
{
    printf("look-ups:\n%.*s", BYTES_ARG(buf_bytes(&notes->text)));
    if (buf_len(&notes->text) == 0)
        puts("  none");
    if (notes->left_out > 0)
        printf("  and %zu more\n", notes->left_out);
}

/* --- verdicts --------------------------------------------------------------------------------- */

/* Strangers wrote it: as JSON where a terminal might obey something in it. */
static void print_bytes(const char *before, struct bytes text)
{
    char shown[TEXT_MAX + 1];
    size_t len = MIN(text.len, (size_t)TEXT_MAX);

    for (size_t i = 0; i < len; i++)
        shown[i] = text.ptr[i] == '\0' ? '?' : (char)text.ptr[i];
    shown[len] = '\0';
    fputs(before, stdout);
    cli_print_text(shown);
}

static void print_spf(const char *what, const struct spf_result *spf)
{
    printf("%-6s %s", what, spf_verdict_name(spf->verdict));
    if (spf->domain.len > 0)
        print_bytes(" for ", spf->domain);
    if (spf->mechanism.len > 0) {
        print_bytes(" by ", spf->mechanism);
        print_bytes(" of ", spf->record_domain);
    }
    if (spf->reason.len > 0)
        print_bytes(": ", spf->reason);
    if (spf->question_count > 0)
        printf(" (%u terms of %d, %u void look-ups of %d)", spf->term_count, SPF_TERMS_MAX,
               spf->void_count, SPF_VOIDS_MAX);
    putchar('\n');
    if (spf->explanation.len > 0) {
        print_bytes("         its owner says: ", spf->explanation);
        putchar('\n');
    }
}

static void print_iprev(const struct iprev_check *iprev)
{
    printf("iprev  %s", iprev_verdict_name(iprev->verdict));
    if (iprev->name.len > 0)
        print_bytes(iprev->verdict == IPREV_PASS ? ": " : ": not confirmed ", iprev->name);
    putchar('\n');
}

static void print_arc(const struct arc_verdict *arc)
{
    printf("arc    %s", arc_status_name(arc->status));
    if (arc->reason.len > 0)
        print_bytes(": ", arc->reason);
    if (arc->chain.len > 0)
        print_bytes("; ", arc->chain);
    if (arc->status == ARC_PASS)
        printf("; signatures hold from set %u on", MAX(arc->oldest_pass, 1u));
    putchar('\n');
}

static void print_signature(const struct dkim_verdict *verdict)
{
    fputs(dkim_result_name(verdict->result), stdout);
    if (verdict->domain.len > 0)
        print_bytes(" d=", verdict->domain);
    if (verdict->selector.len > 0)
        print_bytes(" s=", verdict->selector);
    if (verdict->algorithm.len > 0)
        print_bytes(" a=", verdict->algorithm);
    if (verdict->key_bits > 0)
        printf(", %u bits", verdict->key_bits);
    if (verdict->is_testing)
        fputs(", the key is on trial", stdout);
    if (verdict->body_is_partial)
        printf(", l= covers %llu of %llu octets", (unsigned long long)verdict->body_signed,
               (unsigned long long)verdict->body_size);
    if (verdict->reason.len > 0)
        print_bytes(": ", verdict->reason);
    putchar('\n');
}

static void print_dkim(const struct verification *verification)
{
    size_t count = verification_dkim_count(verification);

    if (count == 0)
        puts("dkim   none: no signature");
    for (size_t i = 0; i < count; i++) {
        printf("dkim %zu ", i + 1);
        print_signature(verification_dkim(verification, i));
    }
}

/* Where receivers that go by the list of public suffixes compare another domain. */
static void print_suffix(struct bytes author, struct bytes published_at)
{
    struct bytes registrable;

    if (!public_suffix_registrable(author, &registrable) ||
        bytes_equal(registrable, published_at) || bytes_equal(author, published_at))
        return;
    print_bytes("         receivers by RFC 7489 look for it at ", registrable);
    putchar('\n');
}

static void print_dmarc(const struct verification *verification)
{
    const struct dmarc *dmarc = verification_dmarc(verification);
    size_t count;
    const struct dmarc_identifier *identifiers = verification_identifiers(verification, &count);
    struct bytes domain = bytes_range(dmarc->domain.text, dmarc->domain.len);
    struct bytes author = bytes_range(dmarc->author.text, dmarc->author.len);

    printf("dmarc  %s: %s\n", dmarc_result_name(dmarc->result), dmarc->why);
    for (size_t i = 0; i < count; i++) {
        printf("         %s %s for", identifiers[i].is_dkim ? "DKIM" : "SPF",
               identifiers[i].is_temporary ? "cannot be told now" : "passed");
        print_bytes(" ", identifiers[i].domain);
        puts(identifiers[i].is_aligned ? ": aligned" : ": not aligned");
    }
    if (!dmarc->has_policy)
        return;
    print_bytes("         author ", author);
    printf(", policy %s (%s", dmarc_policy_name(dmarc->policy), dmarc->policy_tag);
    print_bytes(" of ", domain);
    printf("), disposition %s%s\n", dmarc_policy_name(dmarc->disposition),
           dmarc->record.is_testing ? " (t=y)" : "");
    print_suffix(author, domain);
}

void verify_print(const struct verification *verification, struct bytes id,
                  const struct verify_notes *notes)
{
    struct buf field;

    print_notes(notes);
    print_spf("spf", verification_spf(verification));
    print_spf("helo", verification_helo(verification));
    print_iprev(verification_iprev(verification));
    print_dkim(verification);
    print_arc(verification_arc(verification));
    print_dmarc(verification);
    buf_init(&field, FIELD_MAX);
    if (verification_write(verification, id, &field))
        printf("\n%.*s", BYTES_ARG(buf_bytes(&field)));
    buf_free(&field);
}

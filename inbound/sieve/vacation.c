/* vacation.c - the manners of answers, their fields and their text. */
#include "inbound/sieve/vacation.h"

#include "inbound/sieve/sieve_address.h"
#include "inbound/sieve/sieve_value.h"
#include "smtp/encoded_word.h"
#include "smtp/quoted_printable.h"

enum {
    ADDRESS_MAX = 320,
    ID_MAX = 250,        /* bytes of another's Message-ID that is told */
    REFERENCES_MAX = 10, /* of them */
    KEY_MAX = 2 * SIEVE_SIZE_MAX,
    LINE_MAX_BYTES = 998, /* RFC 5322 section 2.1.1 */
};

/* --- addresses -------------------------------------------------------------------------------- */

/* "local+detail@domain" without the detail. False: it does not fit. */
static bool put_plain(struct bytes address, struct buf *out)
{
    size_t at = address.len;

    buf_clear(out);
    while (at > 0 && address.ptr[at - 1] != '@')
        at--;
    struct bytes local = bytes_slice(address, 0, at > 0 ? at - 1 : address.len);

    return buf_append(out, bytes_slice(local, 0, bytes_find(local, '+', 0))) &&
           buf_append_byte(out, '@') && buf_append(out, bytes_slice(address, at, address.len));
}

/* The same but for case and detail. */
static bool is_same(struct bytes a, struct bytes b)
{
    struct buf plain_a, plain_b;

    buf_init(&plain_a, ADDRESS_MAX);
    buf_init(&plain_b, ADDRESS_MAX);
    bool is = a.len > 0 && b.len > 0 && put_plain(a, &plain_a) && put_plain(b, &plain_b) &&
              bytes_equal_nocase(buf_bytes(&plain_a), buf_bytes(&plain_b));
    buf_free(&plain_a);
    buf_free(&plain_b);
    return is;
}

static bool is_known_own(const struct vacation_question *question, struct bytes address)
{
    return is_same(address, question->account) || is_same(address, question->alias);
}

static bool is_own(void *context, struct bytes address)
{
    const struct vacation_question *question = context;
    const struct sieve_strings *more = &question->vacation->addresses;
    struct bytes bare;

    if (is_known_own(question, address))
        return true;
    for (size_t i = 0; i < more->count; i++)
        if (sieve_take_address(more->of[i], &bare) && is_same(address, bare))
            return true;
    return false;
}

/* RFC 5230 section 4.5. */
static bool is_addressed(const struct vacation_question *question)
{
    static const char *const fields[] = {"To", "Cc", "Bcc", "Resent-To", "Resent-Cc", "Resent-Bcc"};
    struct vacation_question asked = *question;
    struct buf scratch;
    bool is_found = false;

    buf_init(&scratch, MAIL_HEADER_SIZE_MAX * 4);
    for (size_t i = 0; i < ARRAY_LEN(fields) && !is_found; i++)
        is_found = sieve_field_addresses(question->message->header, bytes_of(fields[i]), SIEVE_ALL,
                                         &scratch, is_own, &asked);
    buf_free(&scratch);
    return is_found;
}

/* --- manners ---------------------------------------------------------------------------------- */

/* RFC 5230 section 4.6 and RFC 3834 section 2. */
static bool is_machine(struct bytes sender)
{
    static const char *const names[] = {"mailer-daemon", "listserv",     "majordomo", "mailer",
                                        "uucp",          "nobody",       "noreply",   "no-reply",
                                        "donotreply",    "do-not-reply", "bounce",    "bounces"};
    static const char *const starts[] = {"owner-", "bounce-", "bounces-", "bounce+", "bounces+"};
    static const char *const ends[] = {"-request", "-owner", "-relay", "-bounce", "-bounces"};
    struct bytes local = bytes_slice(sender, 0, bytes_find(sender, '@', 0));

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (bytes_equal_nocase(local, bytes_of(names[i])))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(starts); i++)
        if (bytes_starts_nocase(local, bytes_of(starts[i])))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (bytes_ends_nocase(local, bytes_of(ends[i])))
            return true;
    return false;
}

/* The value's first word, or all words, without comments: fields of this kind are short. */
static bool has_word(struct bytes value, const char *word)
{
    struct bytes wanted = bytes_of(word);

    for (size_t at = 0; at + wanted.len <= value.len; at++) {
        bool is_start = at == 0 || !byte_is_alnum(value.ptr[at - 1]);
        bool is_end = at + wanted.len == value.len || !byte_is_alnum(value.ptr[at + wanted.len]);

        if (is_start && is_end && bytes_equal_nocase(bytes_slice(value, at, wanted.len), wanted))
            return true;
    }
    return false;
}

static bool has_any_word(struct bytes value, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (has_word(value, words[i]))
            return true;
    return false;
}

/* "no", with parameters or comments behind it (RFC 3834 section 5). */
static bool is_by_hand(struct bytes value)
{
    size_t end = 0;

    while (value.len > 0 && (value.ptr[0] == ' ' || value.ptr[0] == '\t' || value.ptr[0] == '\r' ||
                             value.ptr[0] == '\n'))
        value = bytes_slice(value, 1, value.len);
    while (end < value.len && byte_is_alnum(value.ptr[end]))
        end++;
    bool is_over = end == value.len || bytes_find(BYTES(" \t\r\n;("), value.ptr[end], 0) < 6;

    return is_over && bytes_equal_nocase(bytes_slice(value, 0, end), BYTES("no"));
}

static const char *refusal_of_field(const struct mail_field *field)
{
    static const char *const lists[] = {"bulk", "list", "junk", "auto_reply"};
    static const char *const suppressed[] = {"all", "oof", "autoreply"};

    if (bytes_equal_nocase(field->name, BYTES("Auto-Submitted")))
        return is_by_hand(field->value) ? NULL : "a machine sent it (Auto-Submitted)";
    if (bytes_starts_nocase(field->name, BYTES("List-")))
        return "it came by a list (List-)";
    if (bytes_equal_nocase(field->name, BYTES("Mailing-List")))
        return "it came by a list (Mailing-List)";
    if (bytes_equal_nocase(field->name, BYTES("Precedence")) &&
        has_any_word(field->value, lists, ARRAY_LEN(lists)))
        return "it is bulk mail (Precedence)";
    if (bytes_equal_nocase(field->name, BYTES("X-Auto-Response-Suppress")) &&
        has_any_word(field->value, suppressed, ARRAY_LEN(suppressed)))
        return "its sender wants no answer of a machine (X-Auto-Response-Suppress)";
    if (bytes_equal_nocase(field->name, BYTES("Content-Type")) && has_word(field->value, "report"))
        return "it is a report (Content-Type)";
    return NULL;
}

const char *vacation_refusal(const struct vacation_question *question)
{
    const struct sieve_message *message = question->message;
    struct vacation_question asked = *question;

    if (message->from.len == 0)
        return "it has the null return path";
    if (is_machine(message->from))
        return "its sender is a machine";
    if (is_own(&asked, message->from))
        return "it is from the account itself";
    if (message->header->is_cut)
        return "its header is too long to be known whole";
    for (size_t i = 0; i < message->header->count; i++) {
        const char *why = refusal_of_field(&message->header->fields[i]);

        if (why != NULL)
            return why;
    }
    return is_addressed(question) ? NULL : "no address of the account is among its recipients";
}

/* --- what it is remembered by ----------------------------------------------------------------- */

uint64_t vacation_key(const struct sieve_message *message, const struct sieve_vacation *vacation)
{
    struct buf text;

    buf_init(&text, KEY_MAX);
    bool fits = buf_append(&text, message->from);

    for (size_t i = 0; i < buf_len(&text); i++)
        text.ptr[text.start + i] = byte_lower(text.ptr[text.start + i]);
    if (vacation->has_handle)
        fits = fits && buf_printf(&text, "%chandle%c", 0, 0) && buf_append(&text, vacation->handle);
    else
        fits = fits && buf_printf(&text, "%c%c", 0, vacation->is_mime ? 'm' : 't') &&
               buf_append(&text, vacation->subject) && buf_append_byte(&text, 0) &&
               buf_append(&text, vacation->from) && buf_append_byte(&text, 0) &&
               buf_append(&text, vacation->reason);
    (void)fits; /* a script is shorter than the buffer */
    uint64_t key = bytes_hash(buf_bytes(&text));

    buf_free(&text);
    return key;
}

/* --- fields ----------------------------------------------------------------------------------- */

static bool is_plain(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < ' ' || text.ptr[i] > '~')
            return false;
    return text.len <= 70;
}

/* At most VACATION_SUBJECT_MAX bytes, and no half character. */
static struct bytes cut(struct bytes text)
{
    size_t len = MIN(text.len, (size_t)VACATION_SUBJECT_MAX);

    while (len < text.len && len > 0 && (text.ptr[len] & 0xC0) == 0x80)
        len--;
    return bytes_slice(text, 0, len);
}

static bool keep_value(void *context, struct bytes value)
{
    return buf_append(context, BYTES("Auto: ")) && buf_append(context, cut(value));
}

static bool put_subject(const struct vacation_question *question, struct buf *out)
{
    struct buf scratch, value;

    buf_init(&scratch, MAIL_HEADER_SIZE_MAX * 4);
    buf_init(&value, VACATION_SUBJECT_MAX + 64);
    if (question->vacation->has_subject)
        (void)!buf_append(&value, cut(question->vacation->subject));
    else if (!sieve_field_values(question->message->header, BYTES("Subject"), &scratch, keep_value,
                                 &value))
        (void)!buf_append(&value, BYTES("Automated reply"));
    bool fits = buf_append(out, BYTES("Subject: ")) &&
                (is_plain(buf_bytes(&value)) ? buf_append(out, buf_bytes(&value))
                                             : encoded_words_write(buf_bytes(&value), out)) &&
                buf_append(out, BYTES("\r\n"));
    buf_free(&scratch);
    buf_free(&value);
    return fits;
}

/* What :from says counts where it is the account's own address or one of its domain that the script
 * names: a script is no way to write as somebody else. */
static bool may_be_author(const struct vacation_question *question, struct bytes address)
{
    struct vacation_question asked = *question;
    size_t at = bytes_find(question->account, '@', 0);
    struct bytes domain = bytes_slice(question->account, at, question->account.len);

    return is_known_own(question, address) ||
           (is_own(&asked, address) && bytes_ends_nocase(address, domain));
}

static bool put_from(const struct vacation_question *question, struct buf *out,
                     struct bytes *from_out)
{
    const struct sieve_vacation *vacation = question->vacation;
    struct bytes address;

    *from_out = question->account;
    if (vacation->has_from && sieve_take_address(vacation->from, &address) &&
        may_be_author(question, address)) {
        *from_out = address;
        if (!bytes_has_8bit(vacation->from) && vacation->from.len < LINE_MAX_BYTES - 10)
            return buf_printf(out, "From: %.*s\r\n", BYTES_ARG(vacation->from));
    }
    return buf_printf(out, "From: <%.*s>\r\n", BYTES_ARG(*from_out));
}

/* Takes the next "<...>" that can stand in a field as it is; false: there is none. */
static bool take_id(struct bytes *text, struct bytes *id_out)
{
    while (text->len > 0) {
        size_t start = bytes_find(*text, '<', 0), end = bytes_find(*text, '>', start);

        if (end == text->len)
            break;
        struct bytes id = bytes_slice(*text, start, end - start + 1);

        *text = bytes_slice(*text, end + 1, text->len);
        bool is_good = id.len > 2 && id.len <= ID_MAX;

        for (size_t i = 1; i < id.len - 1 && is_good; i++)
            is_good = id.ptr[i] > ' ' && id.ptr[i] < 127 && id.ptr[i] != '<';
        *id_out = id;
        if (is_good)
            return true;
    }
    return false;
}

static struct bytes field_value(const struct mail_header *header, struct bytes name)
{
    ptrdiff_t at = mail_header_find(header, name, header->count);

    return at < 0 ? BYTES_NONE : header->fields[at].value;
}

/* RFC 5230 section 5.8, RFC 5322 section 3.6.4: the last ones of what it refers to itself. */
static bool put_references(const struct mail_header *header, struct bytes id, struct buf *out)
{
    struct bytes last[REFERENCES_MAX], one;
    struct bytes rest = field_value(header, BYTES("References"));
    size_t count = 0;

    if (rest.ptr == NULL)
        rest = field_value(header, BYTES("In-Reply-To"));
    while (take_id(&rest, &one))
        last[count++ % REFERENCES_MAX] = one;
    bool fits = buf_append(out, BYTES("References:"));

    for (size_t i = count > REFERENCES_MAX ? count - REFERENCES_MAX : 0; i < count && fits; i++)
        fits = buf_printf(out, " %.*s\r\n", BYTES_ARG(last[i % REFERENCES_MAX]));
    return fits && buf_printf(out, " %.*s\r\n", BYTES_ARG(id));
}

static bool put_thread(const struct mail_header *header, struct buf *out)
{
    struct bytes rest = field_value(header, BYTES("Message-ID")), id;

    return !take_id(&rest, &id) || (buf_printf(out, "In-Reply-To: %.*s\r\n", BYTES_ARG(id)) &&
                                    put_references(header, id, out));
}

/* --- text ------------------------------------------------------------------------------------- */

/* In lines that may stand in a message as they are. */
static bool is_sendable(struct bytes text, bool takes_8bit)
{
    size_t column = 0;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool is_end = c == '\r' && i + 1 < text.len && text.ptr[i + 1] == '\n';

        if (c == '\0' || (c == '\r' && !is_end) ||
            (c == '\n' && (i == 0 || text.ptr[i - 1] != '\r')) || (c > 127 && !takes_8bit))
            return false;
        column = c == '\n' ? 0 : column + 1;
        if (column > LINE_MAX_BYTES + (is_end ? 1U : 0U))
            return false;
    }
    return true;
}

static bool put_end(struct buf *out)
{
    struct bytes text = buf_bytes(out);

    return (text.len >= 2 && text.ptr[text.len - 1] == '\n') || buf_append(out, BYTES("\r\n"));
}

/* What :mime tells of has a header of its own; of that only what says what the body is. */
static bool put_entity(struct bytes entity, struct buf *out)
{
    struct mail_header header;
    struct bytes rest = entity;

    if (!is_sendable(entity, true))
        return false;
    mail_header_init(&header, MAIL_HEADER_SIZE_MAX, MAIL_HEADER_FIELDS_MAX);
    if (!mail_header_feed(&header, &rest))
        mail_header_finish(&header);
    bool fits = !header.missing_separator && !header.is_cut && header.count > 0;
    size_t len = 0;

    for (size_t i = 0; i < header.count; i++) {
        len += header.fields[i].raw.len;
        if (fits && bytes_starts_nocase(header.fields[i].name, BYTES("Content-")))
            fits = buf_append(out, header.fields[i].raw);
    }
    fits = fits && put_end(out) && buf_append(out, BYTES("\r\n")) &&
           buf_append(out, bytes_slice(entity, len + 2, entity.len));
    mail_header_free(&header);
    return fits && put_end(out);
}

static bool put_text(struct bytes text, struct buf *out)
{
    bool is_plain_text = is_sendable(text, false);

    if (!buf_printf(out,
                    "Content-Type: text/plain; charset=%s\r\n"
                    "Content-Transfer-Encoding: %s\r\n\r\n",
                    bytes_has_8bit(text) ? "utf-8" : "us-ascii",
                    is_plain_text ? "7bit" : "quoted-printable"))
        return false;
    return (is_plain_text ? buf_append(out, text) : quoted_printable_encode(text, out)) &&
           put_end(out);
}

bool vacation_write(const struct vacation_question *question, const struct vacation_names *names,
                    struct buf *out, struct bytes *from_out)
{
    const struct sieve_vacation *vacation = question->vacation;

    return put_from(question, out, from_out) &&
           buf_printf(out, "To: <%.*s>\r\n", BYTES_ARG(question->message->from)) &&
           put_subject(question, out) &&
           buf_printf(out, "Date: %s\r\nMessage-ID: %.*s\r\n", names->date, BYTES_ARG(names->id)) &&
           put_thread(question->message->header, out) &&
           buf_append(out, BYTES("Auto-Submitted: auto-replied\r\n" /* RFC 3834 section 5 */
                                 "X-Auto-Response-Suppress: All\r\n"
                                 "MIME-Version: 1.0\r\n")) &&
           (vacation->is_mime ? put_entity(vacation->reason, out)
                              : put_text(vacation->reason, out));
}

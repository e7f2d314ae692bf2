#!/usr/bin/env python3
"""log.py ROOT - every line of the log is logfmt, whatever came from outside.

A %s of a log line is one of: LOG_TEXT() or LOG_STRING(), outside quotes; a sentence of the C
library or of ours, inside quotes; a word that is ours, anywhere. What is none of these is told.
"""
import os
import re
import sys

import style

CALL = re.compile(r"\blog_(error|warn|info|debug|line|limited)\s*\(")
STRING = re.compile(r'"((?:\\.|[^"\\\n])*)"')
CONVERSION = re.compile(r"%(?:%|[-+ #0]*(\*|\d+)?(?:\.(\*|\d+))?(?:hh|h|ll|l|j|z|t)?([a-zA-Z]))")
QUOTED = re.compile(r"^(?:LOG_TEXT|LOG_STRING|log_text)\(")
LITERAL = re.compile(r'^(?:[^"?]*\?)?\s*"[^"\\]*"(?:\s*:[^"?]*\??\s*"[^"\\]*")*$')
# Text with spaces, but without quotes and backslashes: ours, or the C library's.
SENTENCES = re.compile(r"^(?:strerror|strerrordesc_np|ports_hint)\(")
SENTENCE_NAMES = {
    "relay/publisher_files.c": {"what"}, "queue/journal.c": {"what"},
    "relay/smtpd/server_reply.c": {"enhanced", "text", "verdict->enhanced", "verdict->text"},
    "relay/smtpd/smtp_server.c": {"enhanced", "refusal->verb", "refusal->what"},
    "inbound/access/access.c": {"text"},
}
# Words: identifiers, addresses of IP and names of states, all made by us.
WORDS = re.compile(
    r"^(?:id|peer|server->session\.peer|event_kind_name\(.*\)|smtp_server_state_name\(.*\)"
    r"|config_service_name\(.*\)"
    r"|states\[.*\]\.name|kind_names\[.*\]|listening->text|listeners->slots\[i\]\.text"
    r"|listener->settings\.name|BYTES_ARG\((?:event->(?:mx_ip|class|rule)|message->client_ip)\))$")
WORD_NAMES = {
    "relay/metrics_http.c": {"text"}, "relay/ports.c": {"key", "text", "handed->text"},
    "relay/serve/session.c": {"from->name", "to->name"},
    "relay/smtpd/server_tls.c": {"name", "facts.version", "facts.cipher"},
    "relay/smtpd/smtp_server.c": {"rule"}, "inbound/receive/arrival.c": {"name"},
    "relay/submission/repeated.c": {"name", "of_session"}, "relay/submission/scan.c": {"name"},
    "inbound/access/access.c": {"kind->name"},
    "inbound/access/login.c": {"name", "BYTES_ARG(login_credential_name(credential))", "why",
                               "mechanism", "session->session.peer",
                               "access_kind_of(session)->name"},
    "inbound/access/tls.c": {"name", "session->session.peer", "access_kind_of(session)->name",
                             "session_state_name(&session->session)"},
    "relay/submission/login.c": {"name", "BYTES_ARG(id)", "why",
                                 "sasl_mechanism_name(login->mechanism)"},
    "relay/smtpd/server_reply.c": {
        "name", "rule", "pairs.from_key", "pairs.from", "pairs.to_key", "pairs.to", "said_key",
        "argument", 'names[verb] != NULL ? names[verb] : "command"',
        'verdict->rule != NULL ? verdict->rule : "service"'},
}


def arguments(text, at):
    """The arguments of the call whose parenthesis stands at `at`."""
    found, depth, start = [], 0, at + 1
    while at < len(text):
        literal = style.NOT_CODE.match(text, at)
        if literal:
            at = literal.end()
            continue
        if text[at] in "([{":
            depth += 1
        elif text[at] in ")]}":
            depth -= 1
        if depth == 0 or (depth == 1 and text[at] == ","):
            found.append(" ".join(text[start:at].split()))
            start = at + 1
        if depth == 0:
            return found
        at += 1
    return found


def format_text(argument):
    """The format's characters; a macro's name (PRIu64) stands for a number or a word."""
    parts, last = [], 0
    for match in STRING.finditer(argument):
        if "PRI" in argument[last:match.start()]:
            parts.append("u")
        parts.append(match.group(1).replace('\\"', '"'))
        last = match.end()
    if "PRI" in argument[last:]:
        parts.append("u")
    return "".join(parts)


def is_right(path, argument, in_quotes):
    if QUOTED.match(argument):
        return not in_quotes
    if WORDS.match(argument) or argument in WORD_NAMES.get(path, ()):
        return True
    if not in_quotes:
        return bool(LITERAL.match(argument)) and " " not in "".join(STRING.findall(argument))
    return bool(SENTENCES.match(argument) or LITERAL.match(argument) or
                argument in SENTENCE_NAMES.get(path, ()))


def problems_of_call(path, call):
    at = next((i for i, argument in enumerate(call) if '"' in argument), None)
    if at is None:
        return
    text, values = format_text(call[at]), iter(call[at + 1:])
    in_quotes, last = False, 0
    for match in CONVERSION.finditer(text):
        in_quotes ^= text.count('"', last, match.start()) % 2 == 1
        last = match.start()
        if match.group() == "%%":
            continue
        width = match.group(1) == "*"
        if match.group(3) == "s" or not width:
            value = next(values, "")
        if match.group(3) == "s" and not is_right(path, value, in_quotes):
            yield value
    if text.count('"') % 2 == 1:
        yield "a quote without its end"


def problems_of(path, text):
    for match in CALL.finditer(text):
        for value in problems_of_call(path, arguments(text, match.end() - 1)):
            yield style.line_of(text, match), f"not fit for a log line: {value}; LOG_TEXT() is"


SELF_TEST = [
    ('log_warn("a=%s", LOG_TEXT(b))', 0), ('log_warn("a=%s", b)', 1),
    ('log_warn("a=\\"%s\\"", b)', 1), ('log_warn("a=\\"%s\\"", LOG_TEXT(b))', 1),
    ('log_warn("error=%s", strerror(errno))', 1), ('log_warn("e=\\"%s\\"", strerror(errno))', 0),
    ('log_warn("s=%u.%" PRIu64 " a=%s", 1, n, b)', 1), ('log_warn("a=%.*s", BYTES_ARG(b))', 1),
    ('log_limited(LOG_LEVEL_INFO, "a=%d b=%s", f(1, 2), LOG_STRING(c))', 0),
    ('log_warn("a=%s", x ? "one" : "two")', 0), ('log_warn("a=%s", x ? "one two" : "two")', 1),
    ('log_warn("a=\\"b")', 1),
]


def main(root):
    count = 0
    for code, expected in SELF_TEST:
        if len(list(problems_of("x.c", code + ";"))) != expected:
            print(f"this lint is wrong about {code}")
            count += 1
    for path in style.sources(root):
        if path.startswith(("tests/", "bench/", "relay/base/log")):
            continue
        with open(os.path.join(root, path), encoding="utf-8") as file:
            for number, problem in problems_of(path, file.read()):
                print(f"{path}:{number}: {problem}")
                count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

#!/usr/bin/env python3
"""style.py ROOT - what the style forbids and a compiler does not see."""
import os
import re
import sys

COLUMNS_MAX = 100
LINES_MAX = 1000
BANNED = {
    "strcpy": "arena_copy() or memcpy()", "stpcpy": "arena_copy() or memcpy()",
    "strcat": "buf_append()", "strncat": "buf_append()",
    "sprintf": "snprintf() or buf_printf()", "vsprintf": "vsnprintf() or buf_vprintf()",
    "strtok": "bytes_take_until()", "strtok_r": "bytes_take_until()",
    "atoi": "bytes_to_u64()", "atol": "bytes_to_u64()", "atoll": "bytes_to_u64()",
    "atof": "strtod()", "gets": "fgets()", "alloca": "an arena",
    # What these return lies in memory that all threads share.
    "getpwuid": "getpwuid_r()", "getgrgid": "getgrgid_r()", "localtime": "localtime_r()",
    "gmtime": "gmtime_r()", "asctime": "strftime()", "ctime": "strftime()",
}
CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
# Comments, strings and character constants, so that only code is searched.
NOT_CODE = re.compile(
    r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|' r"'(?:\\.|[^'\\\n])*'", re.DOTALL)
LIBURING = re.compile(r'^\s*#\s*include\s+[<"]liburing', re.MULTILINE)
TODO = re.compile(r"\b(TODO|FIXME)\b")


def blank(match):
    """As many lines, nothing in them."""
    return re.sub(r"[^\n]", " ", match.group())


def sources(root):
    for top in ("relay", "queue", "dns", "auth", "delivery", "inbound", "tests", "bench"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(folder, name), root)


def line_of(text, match):
    return text.count("\n", 0, match.start()) + 1


def problems_of(path, text):
    lines = text.split("\n")
    if len(lines) - 1 > LINES_MAX:
        yield 1, f"{len(lines) - 1} lines; split at {LINES_MAX}"
    if text and not text.endswith("\n"):
        yield len(lines), "no newline at the end"
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS_MAX:
            yield number, f"{len(line)} columns; at most {COLUMNS_MAX}"
        if "\t" in line:
            yield number, "a tab"
        if line != line.rstrip():
            yield number, "space at the end"
        if TODO.search(line) and "issue" not in line:
            yield number, "TODO without an issue"
    code = NOT_CODE.sub(blank, text)
    for match in CALL.finditer(code):
        yield line_of(code, match), f"{match.group(1)}(): use {BANNED[match.group(1)]}"
    if not path.startswith(("relay/io/", "tests/support/")):
        for match in LIBURING.finditer(text):
            yield line_of(text, match), "only relay/io calls liburing"
    if path.endswith(".h") and not path.endswith("_table.h") and "#pragma once" not in text:
        yield 1, "no #pragma once"


def main(root):
    count = 0
    for path in sources(root):
        with open(os.path.join(root, path), encoding="utf-8") as file:
            for number, problem in sorted(problems_of(path, file.read())):
                print(f"{path}:{number}: {problem}")
                count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

#!/usr/bin/env python3
"""conformance.py - which RFC section is answered where: written from the citations in the code.

usage: conformance.py ROOT [--write]

A citation has one form, "RFC 5321 section 4.5.2", in a comment of the code, a test or a .chat
script. The table in tests/CONFORMANCE.md is made from them; without --write this only compares.
"""

import pathlib
import re
import sys

CITATION = re.compile(r"RFC (\d{3,5}) section (\d+(?:\.\d+)*)")
FUNCTION = re.compile(r"^[a-z_].*?\b([a-z_0-9]+)\([^;]*$")
TEST = re.compile(r"^TEST\((\w+)\)")
FOLDERS = ["relay", "queue", "dns", "auth", "delivery", "inbound", "tests"]


def joined_comments(lines):
    """Yields (line number, text) with a comment's next line appended, since citations may wrap."""
    for number, line in enumerate(lines):
        following = lines[number + 1].lstrip(" */#") if number + 1 < len(lines) else ""
        yield number, line, line.rstrip() + " " + following


def places(path, root):
    """(rfc, section, place) of each citation of a file; a place is file or file:function."""
    lines = path.read_text(errors="replace").splitlines()
    functions = {}
    for number, line in enumerate(lines):
        match = TEST.match(line) or FUNCTION.match(line)
        if match and not line.startswith(("return", "else", "typedef", "static const struct {")):
            functions[number] = match.group(1)
    for number, line, text in joined_comments(lines):
        for match in CITATION.finditer(text):
            if match.start() >= len(line.rstrip()) + 1:
                continue  # it belongs to the next line
            name = path.relative_to(root).as_posix()
            if path.suffix == ".c":
                # A comment stands above its function or inside it.
                above = next((functions[n] for n in range(number, min(number + 12, len(lines)))
                              if n in functions and not any(
                                  lines[m].startswith("}") for m in range(number, n))), None)
                inside = next((functions[n] for n in range(number, -1, -1) if n in functions), None)
                function = above or inside
                name += f":{function}" if function else ""
            yield int(match.group(1)), match.group(2), name


def table(root):
    found = {}
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".c", ".h", ".chat", ".py") and path.name != "conformance.py":
                for rfc, section, place in places(path, root):
                    found.setdefault((rfc, section), set()).add(place)
    lines = [
        "# Conformance",
        "",
        "Which RFC section is answered where. Made by `tests/lint/conformance.py . --write` from the",
        "citations in the code; `lint/conformance` fails when it is out of date.",
        "",
        "| RFC | section | code | tests |",
        "|---|---|---|---|",
    ]
    for rfc, section in sorted(found, key=lambda k: (k[0], [int(n) for n in k[1].split(".")])):
        every = sorted(found[rfc, section])
        code = [f"`{p}`" for p in every if not p.startswith("tests/")]
        tests = [f"`{p.removeprefix('tests/')}`" for p in every if p.startswith("tests/")]
        lines.append(f"| {rfc} | {section} | {'<br>'.join(code)} | {'<br>'.join(tests)} |")
    return "\n".join(lines) + "\n"


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    target = root / "tests" / "CONFORMANCE.md"
    text = table(root)
    if "--write" in sys.argv:
        target.write_text(text)
        return 0
    if not target.exists() or target.read_text() != text:
        print("tests/CONFORMANCE.md is out of date: tests/lint/conformance.py . --write")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

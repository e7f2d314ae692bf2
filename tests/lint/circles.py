#!/usr/bin/env python3
"""circles.py ROOT - no circles between the files of a folder, but those a header explains.

Every folder of the program's source counts.

A file uses another if it names a function or a table that the other defines and does not keep to
itself. Files that use each other in a circle have to be read as one; where that is meant, a header
of the folder says so in its comment: "A circle of a.c, b.c and c.c: why". It must name exactly the
files of the circle, and a circle that is not there is none to excuse.
"""
import os
import re
import sys

COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
TEXT = re.compile(r'"(?:\\.|[^"\\\n])*"')
FUNCTION = re.compile(r"^(static )?[a-z_][\w \t*]*?\b(\w+)\([^;{}]*\)\s*\{", re.MULTILINE)
TABLE = re.compile(r"^(static )?[a-z_][\w \t*]*?\b(\w+)(?:\[[^\]]*\])+ = \{", re.MULTILINE)
NAME = re.compile(r"(?<![\w.>])[a-z_]\w*")  # not a member: "x.name", "x->name"
EXCUSE = re.compile(r"\bA circle of ([^:]+):")
FILE = re.compile(r"\b\w+\.c\b")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def uses_of(folder):
    """Of each file of the folder the files it uses, each with the names it uses."""
    own, shared, texts = {}, {}, {}
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".c"):
            continue
        text = TEXT.sub('""', COMMENT.sub("", read(os.path.join(folder, name))))
        texts[name] = text
        own[name] = set()
        for pattern in (FUNCTION, TABLE):
            for static, defined in pattern.findall(text):
                own[name].add(defined)
                if not static:
                    shared[defined] = name
    uses = {}
    for name, text in texts.items():
        uses[name] = {}
        for used in set(NAME.findall(text)) - own[name]:
            if used in shared:
                uses[name].setdefault(shared[used], set()).add(used)
    return uses


def reachable(uses, start):
    found, left = set(), [start]
    while left:
        for following in uses[left.pop()]:
            if following not in found:
                found.add(following)
                left.append(following)
    return found


def circles_of(uses):
    """Sets of files of which each reaches all others."""
    reach = {name: reachable(uses, name) for name in uses}
    found = set()
    for name in uses:
        if name in reach[name]:
            found.add(frozenset(other for other in reach[name] if name in reach[other]))
    return found


def excuses_of(folder):
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".h"):
            continue
        for comment in COMMENT.findall(read(os.path.join(folder, name))):
            for files in EXCUSE.findall(comment):
                yield name, frozenset(FILE.findall(files))


def check(root, folder):
    path = os.path.join(root, folder)
    uses = uses_of(path)
    circles = circles_of(uses)
    excuses = list(excuses_of(path))
    for circle in sorted(circles - {files for _, files in excuses}, key=sorted):
        yield f"{folder}: a circle of {', '.join(sorted(circle))}"
        for name in sorted(circle):
            for other in sorted(circle & uses[name].keys()):
                yield f"    {name} uses {', '.join(sorted(uses[name][other]))} of {other}"
    for name, files in excuses:
        if files not in circles:
            yield f"{folder}/{name}: there is no circle of just {', '.join(sorted(files))}"


def folders_of(root):
    for top in ("relay", "queue", "dns", "auth", "delivery", "inbound"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            if any(name.endswith(".c") for name in names):
                yield os.path.relpath(folder, root)


def main(root):
    problems = [problem for folder in sorted(folders_of(root)) for problem in check(root, folder)]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

#!/usr/bin/env python3
"""layers.py ROOT LAYERS - every #include of ours follows an arrow of the layer table.

LAYERS is what CMake wrote from its relay_module() calls: module, folder, modules it may see, and
behind a colon the headers that others may include, where these are not all of it.
"""
import os
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.MULTILINE)
PROGRAM = "(program)"  # relay/*.c and relay/cli: sees everything
OUTSIDE = "(outside)"  # tests and bench: see everything, nobody sees them


def read_layers(path):
    layers = {}
    with open(path, encoding="utf-8") as table:
        for line in table:
            seen, _, public = line.partition(":")
            name, folder, *depends = seen.split()
            layers[name] = (folder, set(depends), set(public.split()))
    return layers


def sources(root):
    for top in ("relay", "queue", "dns", "auth", "delivery", "inbound", "tests", "bench"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(folder, name), root)


def owner(path, folders):
    """The module of a file: the one whose folder is the longest that holds it."""
    folder = os.path.dirname(path)
    while folder:
        if folder in folders:
            return folders[folder]
        folder = os.path.dirname(folder)
    return PROGRAM if path.startswith("relay/") else OUTSIDE


def resolve(root, source, name):
    """Where the compiler would find it, and whether that is how we write it."""
    for prefix in ("", "relay/", "tests/"):
        path = os.path.normpath(prefix + name)
        if os.path.isfile(os.path.join(root, path)):
            return path, "/" in name
    beside = os.path.normpath(os.path.join(os.path.dirname(source), name))
    return (beside, False) if os.path.isfile(os.path.join(root, beside)) else (None, True)


def find_cycle(graph):
    """The first cycle of a graph as a list of nodes, or None."""
    done, path = set(), []

    def visit(node):
        if node in done:
            return None
        if node in path:
            return path[path.index(node):] + [node]
        path.append(node)
        for following in sorted(graph.get(node, ())):
            cycle = visit(following)
            if cycle:
                return cycle
        path.pop()
        done.add(node)
        return None

    for node in sorted(graph):
        cycle = visit(node)
        if cycle:
            return cycle
    return None


def main(root, table):
    layers = read_layers(table)
    folders = {folder: name for name, (folder, _, _) in layers.items()}
    problems, includes, used = [], {}, {}
    for source in sources(root):
        module = owner(source, folders)
        with open(os.path.join(root, source), encoding="utf-8") as file:
            text = file.read()
        for found in INCLUDE.finditer(text):
            mark, name = found.groups()
            place = f"{source}:{text.count(chr(10), 0, found.start(2)) + 1}"
            path, is_full = resolve(root, source, name)
            if path is None:
                if mark == '"':
                    problems.append(f'{place}: no "{name}" here; not ours is written <{name}>')
                continue
            if mark == "<":
                continue  # a system header that happens to be called like one of ours
            if not is_full:
                problems.append(f'{place}: name the folder: "{path}"')
            target = owner(path, folders)
            includes.setdefault(source, set()).add(path)
            if module in (OUTSIDE, PROGRAM):
                if target == OUTSIDE and module == PROGRAM:
                    problems.append(f"{place}: the program includes {path} of the tests")
                continue
            if target != module:
                used.setdefault(module, set()).add(target)
                if target not in layers[module][1]:
                    problems.append(f"{place}: {module} may not see {target} ({path})")
                elif layers[target][2] and os.path.basename(path) not in layers[target][2]:
                    problems.append(f"{place}: {path} is private to {target}")
    for what, graph in (("declared", {name: depends for name, (_, depends, _) in layers.items()}),
                        ("module", used), ("header", includes)):
        cycle = find_cycle(graph)
        if cycle:
            problems.append(f"{what} cycle: {' -> '.join(cycle)}")
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))

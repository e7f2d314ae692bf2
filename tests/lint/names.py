#!/usr/bin/env python3
"""names.py ROOT - no two files of the program define a function of one name for others to see.

The linker takes the first one that it meets in its libraries and says nothing: whoever meant the
other calls a stranger.
"""
import os
import sys

from circles import COMMENT, FUNCTION, TEXT, read

FOLDERS = ("auth", "delivery", "dns", "inbound", "queue", "relay")


def main(root):
    places = {}
    for top in FOLDERS:
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in names:
                if not name.endswith(".c"):
                    continue
                path = os.path.join(folder, name)
                for static, defined in FUNCTION.findall(TEXT.sub('""', COMMENT.sub("", read(path)))):
                    if not static:
                        places.setdefault(defined, set()).add(os.path.relpath(path, root))
    faults = {name: files for name, files in places.items() if len(files) > 1}
    for name, files in sorted(faults.items()):
        print(f"{name}() is defined in {' and in '.join(sorted(files))}: the linker picks one")
    return 1 if faults else 0


sys.exit(main(sys.argv[1]))

#!/usr/bin/env python3
"""make.py PROGRAM OUT - a spool of format 1 as a program of that time left it when it was killed.

PROGRAM is a ringpost whose segments are of format 1 (commit 8dbab62 is the last; build it apart).
What `spool.tar.zst` beside this file was made with:

    git worktree add /tmp/format1 8dbab62 && cd /tmp/format1
    cmake --preset clang && cmake --build --preset clang --target ringpost
    tests/system/format1/make.py /tmp/format1/build/clang/ringpost spool.tar.zst

It holds state/node, state/spool (a closed segment with its footer and one that was open), and
state/events as they stood before the second half of the mail came: the journal of that half is
still to be told. manifest.json says what is to be delivered, and what became of the rest.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

program, out = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
os.environ["RINGPOST_BUILD"] = str(program.parent)
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import parts  # noqa: E402
import receiver  # noqa: E402

LARGE = 260000  # bytes: more than two pieces of content, four of them more than a segment


def content(number, size):
    line = f"the text of message {number}\r\n"
    return (f"From: <app@client.example>\r\nSubject: message {number}\r\n\r\n"
            + line * (size // len(line) + 1)).encode()


def act(session, stage, line):
    """user...@later.example is deferred, nobody@ bounces, all others are taken."""
    if stage == "rcpt" and "@later" in line:
        return "451 4.3.2 later"
    if stage == "rcpt" and "nobody@" in line:
        return "550 5.1.1 who?"
    return None


def submit(relay, messages, numbers):
    for number in numbers:
        size = LARGE if number % 3 == 2 else 400
        to = [f"user{number}@later{number % 2}.example"]
        if number % 4 == 1:
            to += [f"taken{number}@now.example", f"second{number}@later1.example"]
        body = content(number, size)
        message_id = relay.submit(to, body=body, mail_options=[f"ENVID=env{number}", "RET=HDRS"],
                                  rcpt_options=["NOTIFY=FAILURE"])
        messages[message_id] = {"size": len(body), "number": number,
                                "waiting": [a for a in to if "@later" in a],
                                "taken": [a for a in to if "@now" in a]}
        relay.wait_events(sum(len(m["waiting"]) for m in messages.values()), kind="deferred")


def main():
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        peer = receiver.Receiver(act).start()
        relay = parts.Ringpost(
            directory / "ringpost", engines="1", spool="{segment_size: 1MiB, spare_segments: 1}",
            retry="{first: 1s, factor: 1.5, max: 3s, max_age: 30d}",
            routes=f'[{{match: "*", to: ["127.0.0.1:{peer.port}"]}}]').start()
        messages = {}
        submit(relay, messages, range(8))
        relay.submit("nobody@gone.example", sender="", body="this one bounced")
        relay.wait_events(1, kind="bounced")
        kept = directory / "events"
        shutil.copytree(relay.state_dir / "events", kept)
        submit(relay, messages, range(8, 14))
        relay.wait_events(40, kind="deferred")
        relay.kill()
        peer.stop()
        state = directory / "state"
        state.mkdir()
        shutil.copy(relay.state_dir / "node", state / "node")
        shutil.copytree(relay.state_dir / "spool", state / "spool")
        shutil.copytree(kept, state / "events")
        (state / "manifest.json").write_text(json.dumps({"messages": messages}, indent=1))
        parts.run(["tar", "-C", directory, "--sort=name", "--owner=0", "--group=0",
                   "-I", "zstd -19", "-cf", out, "state"])


main()

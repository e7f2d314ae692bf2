#!/usr/bin/env python3
"""Reads events of ringpost from Kafka and handles each exactly once.

    kafka_consumer.py BROKERS TOPIC STATE_FILE

Kafka has every event at least once, and an event that came twice has the same event_id. So a reader
keeps the ids it has seen last, together with how far it is, and drops what it knows. Both stand in
one SQLite file, and so could what is made of the events: then one transaction holds all of it.

This one reads by kcat, so that it needs no library; with another client only read() changes.
"""

import json
import sqlite3
import subprocess
import sys

KEEP = 1_000_000  # ids: far more than are told again after a crash of ringpost
BATCH = 500


def open_state(path):
    state = sqlite3.connect(path)
    state.executescript("""
        CREATE TABLE IF NOT EXISTS seen (number INTEGER PRIMARY KEY, event_id TEXT UNIQUE);
        CREATE TABLE IF NOT EXISTS place (partition INTEGER PRIMARY KEY, offset INTEGER);
        CREATE TABLE IF NOT EXISTS outcome (kind TEXT PRIMARY KEY, events INTEGER);
    """)
    return state


def partitions(brokers, topic):
    listed = subprocess.run(["kcat", "-b", brokers, "-L", "-J", "-t", topic], check=True,
                            capture_output=True)
    return [p["partition"] for p in json.loads(listed.stdout)["topics"][0]["partitions"]]


def read(brokers, topic, partition, offset):
    """The messages from there to the end, as (offset, event). Run without -e to wait for more."""
    kcat = subprocess.Popen(["kcat", "-b", brokers, "-t", topic, "-p", str(partition), "-o",
                             str(offset), "-C", "-e", "-q", "-f", "%o %s\\n"],
                            stdout=subprocess.PIPE)
    for line in kcat.stdout:
        at, text = line.split(b" ", 1)
        yield int(at), json.loads(text)
    if kcat.wait() != 0:
        raise RuntimeError(f"kcat ended with {kcat.returncode}")


def handle(state, event):
    """What you do with an event; here they are counted. In the same transaction as the ids."""
    state.execute("INSERT INTO outcome VALUES (?, 1) ON CONFLICT (kind) DO UPDATE "
                  "SET events = events + 1", (event["kind"],))


def take(state, event):
    try:
        state.execute("INSERT INTO seen (event_id) VALUES (?)", (event["event_id"],))
    except sqlite3.IntegrityError:
        return  # told before
    handle(state, event)


def commit(state, partition, next_offset):
    state.execute("REPLACE INTO place VALUES (?, ?)", (partition, next_offset))
    state.execute("DELETE FROM seen WHERE number < (SELECT MAX(number) FROM seen) - ?", (KEEP,))
    state.commit()


def main(brokers, topic, state_file):
    state = open_state(state_file)
    for partition in partitions(brokers, topic):
        row = state.execute("SELECT offset FROM place WHERE partition = ?", (partition,)).fetchone()
        offset = row[0] if row else 0
        next_offset = offset
        for at, event in read(brokers, topic, partition, offset):
            take(state, event)
            next_offset = at + 1
            if next_offset % BATCH == 0:
                commit(state, partition, next_offset)
        commit(state, partition, next_offset)
    for kind, events in state.execute("SELECT kind, events FROM outcome ORDER BY kind"):
        print(kind, events)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])

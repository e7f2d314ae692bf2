"""IMAP by libraries that programs are written with, which Debian does not have: `./dev peers` fetches them
where pip and npm are there."""

import subprocess

import pytest
from senders import PEERS
from test_imap import MESSAGE, Mail

HERE = __file__.rpartition("/")[0]


def run(stage, library, *command):
    if not (PEERS / library).exists():
        pytest.skip(f"{library} is not in build/peers")
    mail = Mail(stage)
    file = stage.directory / "message"
    file.write_bytes(MESSAGE)
    words = [str(mail.port), mail.user, mail.secret, str(file)]
    done = subprocess.run([command[0], f"{HERE}/{command[1]}", *words, PEERS / library],
                          capture_output=True, text=True, timeout=120,
                          env={"PATH": "/usr/local/bin:/usr/bin:/bin",
                               "PYTHONPATH": str(PEERS / library)})
    assert done.stdout == "all of it\n", done.stdout + done.stderr


def test_imapclient_does_what_it_can(stage):
    run(stage, "imapclient", "/usr/bin/python3", "client_imapclient.py")


def test_imapflow_does_what_it_can(stage):
    run(stage, "imapflow", "node", "client_imapflow.mjs")

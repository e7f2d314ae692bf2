"""postfix.py - a Postfix of the test's own: its configuration, queue and mailbox, never the system's.

It receives on any number of ports, each with smtpd options of its own, and files everything in one
Maildir. Postfix's processes drop to a user of their own, so its directory must be open to others
and is made beside, not below, pytest's.
"""

import os
import pathlib
import pwd
import shutil
import tempfile

import needs
import parts

MAIN = """\
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
mail_owner = postfix
setgid_group = postdrop
maillog_file = /dev/stdout
multi_instance_enable = no
myhostname = postfix.receiver.example
myorigin = $myhostname
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
virtual_mailbox_domains = regexp:{directory}/domains
virtual_mailbox_maps = static:all/
virtual_mailbox_base = {directory}/mail
virtual_minimum_uid = 100
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_mailbox_limit = 0
virtual_destination_concurrency_limit = 20
virtual_destination_recipient_limit = 1
message_size_limit = 40000000
smtputf8_enable = yes
local_header_rewrite_clients =
strict_rfc821_envelopes = yes
smtpd_forbid_bare_newline = yes
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = check_recipient_access regexp:{directory}/recipients, permit
smtpd_data_restrictions = reject_unauth_pipelining
smtpd_client_connection_rate_limit = 0
smtpd_client_connection_count_limit = 0
smtpd_peername_lookup = no
in_flow_delay = 0
"""

#: What a name of a recipient makes Postfix answer.
RECIPIENTS = """\
/^unknown/  550 5.1.1 There is nobody of that name
/^full/     452 4.2.2 This mailbox is full
/^policy/   554 5.7.1 We do not want this
"""

MASTER = """\
pickup    unix  n - n 60    1 pickup
cleanup   unix  n - n -     0 cleanup
qmgr      unix  n - n 300   1 qmgr
rewrite   unix  - - n -     - trivial-rewrite
bounce    unix  - - n -     0 bounce
defer     unix  - - n -     0 bounce
trace     unix  - - n -     0 bounce
verify    unix  - - n -     1 verify
tlsmgr    unix  - - n 1000? 1 tlsmgr
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n -     - proxymap
showq     unix  n - n -     - showq
smtp      unix  - - n -     - smtp
relay     unix  - - n -     - smtp
error     unix  - - n -     - error
retry     unix  - - n -     - error
discard   unix  - - n -     - discard
local     unix  - n n -     - local
virtual   unix  - n n -     - virtual
anvil     unix  - - n -     1 anvil
tlsmgr    unix  - - n 1000? 1 tlsmgr
postlog   unix-dgram n - n - 1 postlogd
"""


class Postfix(parts.Process):
    """`services`: {name: {option: value}}, a port each; `self.ports[name]`."""

    def __init__(self, services=None, main=""):
        needs.root("Postfix's master starts as root alone")
        # Searched by Postfix's own users, so not below a directory of mode 0700.
        super().__init__(tempfile.mkdtemp(prefix="ringpost-postfix-"), "postfix")
        self.directory.chmod(0o755)
        self.main = main  # lines of main.cf that are its own
        self.services = services or {"plain": {}}
        self.ports = dict(zip(self.services, parts.free_ports(len(self.services))))
        self.maildir = self.directory / "mail" / "all"

    def start(self):
        nobody = pwd.getpwnam("nobody")
        (self.directory / "main.cf").write_text(
            MAIN.format(directory=self.directory, uid=nobody.pw_uid, gid=nobody.pw_gid)
            + self.main)
        (self.directory / "recipients").write_text(RECIPIENTS)
        (self.directory / "domains").write_text("/./ yes\n")
        master = MASTER
        for name, options in self.services.items():
            master += f"127.0.0.1:{self.ports[name]} inet n - n - 100 smtpd\n"
            for key, value in options.items():
                master += f"  -o {{ {key} = {value} }}\n"
        (self.directory / "master.cf").write_text(master)
        for name, owner in (("queue", "root"), ("data", "postfix"), ("mail", "nobody")):
            path = self.directory / name
            path.mkdir()
            shutil.chown(path, owner)
        parts.run(["postfix", "-c", self.directory, "check"])
        daemons = parts.run(["postconf", "-d", "-h", "daemon_directory"]).stdout.strip()
        self.spawn([pathlib.Path(daemons) / "master", "-c", self.directory, "-s"])
        for port in self.ports.values():
            self.wait_port(port)
        return self

    def stop(self):
        try:
            self.end()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    def delivered(self):
        """What lies in the Maildir: (recipient, the content that Postfix was handed, in LF lines)."""
        found = []
        folder = self.maildir / "new"
        for file in sorted(folder.iterdir()) if folder.exists() else []:
            content = file.read_bytes()
            headers = {}
            # Postfix puts its own in front: Return-Path, X-Original-To, Delivered-To, Received.
            while content.startswith((b"Return-Path:", b"X-Original-To:", b"Delivered-To:")):
                line, content = content.split(b"\n", 1)
                name, value = line.split(b":", 1)
                headers[name.decode()] = value.strip().decode()
            assert content.startswith(b"Received:")
            content = content.split(b"\n", 1)[1]
            while content.startswith((b"\t", b" ")):
                content = content.split(b"\n", 1)[1]
            found.append((headers["X-Original-To"], content))
        return found

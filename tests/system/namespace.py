"""namespace.py - a server in mounts and processes of its own: it sees users, a resolver and empty
folders below /var and /run that nobody else sees, and all of it goes when its first process does."""

import grp
import os
import pathlib
import pwd
import signal

import needs
import parts

#: $1: a folder with what is laid over files of /etc. /etc/resolv.conf may be a link into /run.
ENTER = r"""
over=$1
shift
resolv=$(readlink -f /etc/resolv.conf)
for folder in /var/spool /var/lib /run; do
    mount -t tmpfs -o mode=755 none $folder
done
[ -e "$resolv" ] || { mkdir -p "${resolv%/*}" && : >"$resolv"; }
mount --bind "$over/resolv.conf" "$resolv"
mount --bind "$over/passwd" /etc/passwd
mount --bind "$over/group" /etc/group
. "$over/prepare"
exec "$@"
"""


def possible():
    """May we mount, and have processes of our own?"""
    return needs.succeeds("unshare", "--mount", "--pid", "--fork", "--kill-child",
                          "mount", "-t", "tmpfs", "none", "/run")


class Place:
    """`users`: {name: home} that are there, each with a group of that name; `prepare`: what a shell
    does there first, as root; `resolver`: the address of the name server."""

    def __init__(self, directory, resolver, users=(), prepare=""):
        self.over = pathlib.Path(directory)
        self.over.mkdir()
        passwd = pathlib.Path("/etc/passwd").read_text()
        group = pathlib.Path("/etc/group").read_text()
        known = {entry.pw_name for entry in pwd.getpwall()}, {g.gr_name for g in grp.getgrall()}
        # Numbers that no package gives to its users, for those that are not there.
        for number, (user, home) in enumerate(dict(users).items(), 64_900):
            if user not in known[0]:
                passwd += f"{user}:x:{number}:{number}::{home}:/usr/sbin/nologin\n"
            if user not in known[1]:
                group += f"{user}:x:{number}:\n"
        for file, text in (("passwd", passwd), ("group", group), ("prepare", prepare),
                           ("resolv.conf", f"nameserver {resolver}\n")):
            (self.over / file).write_text(text)

    def command(self, command):
        """What starts a command as the first process in there."""
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", ENTER, "enter",
                self.over, *command]

    @staticmethod
    def first(child):
        """The id that the first process has out here. `child`: who was started by command()."""
        children = pathlib.Path(f"/proc/{child.pid}/task/{child.pid}/children")
        return int(children.read_text().split()[0])

    def inside(self, child, *command):
        """Another command in there, to its end."""
        return parts.run(["nsenter", "--mount", "--pid", "--target", self.first(child), *command])

    def end(self, child):
        """The first process is over when all others are."""
        os.kill(self.first(child), signal.SIGKILL)
        child.wait(parts.PATIENCE)

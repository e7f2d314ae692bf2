"""ringpost and Dovecot over Maildirs that are the same, each with an account to log in to."""
import json
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import time

from peers.process import Problem, end_tree, free_port, read_stat, tree, wait_until

MAIL_USER = "nobody"  # whose Dovecot's Maildir is
ADDRESS = "anna@b.example"


def greets(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as connection:
            connection.settimeout(2)
            return connection.recv(1) in (b"*", b"+")
    except OSError:
        return False


class Side:
    has_pop3 = True

    def __init__(self, folder, args):
        self.folder = pathlib.Path(folder)
        self.args = args
        self.imap, self.pop3 = free_port(), free_port()
        self.log = self.folder / "log"
        self.process = None

    def begin(self, *command):
        with self.log.open("ab") as log:
            # pylint: disable-next=consider-using-with
            self.process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL)
        wait_until(f"{self.name}'s greeting", self.is_up, 60)

    def is_up(self):
        if self.process.poll() is not None:
            raise Problem(f"{self.name} ended by itself:\n{self.tail()}")
        return greets(self.imap) and (not self.has_pop3 or greets(self.pop3))

    def tail(self):
        return self.log.read_text(errors="replace")[-3000:]

    def cpu_us(self):
        """User and system time of all its processes: to the nanosecond of those that live, in
        ticks of those that ended."""
        total = 0.0
        for pid in tree(self.process.pid):
            stat = read_stat(pid)
            if stat is None:
                continue
            try:
                total += time.clock_gettime(~pid << 3 | 2) + stat[2]
            except OSError:
                total += stat[1] + stat[2]
        return total * 1e6

    def stop(self):
        if self.process is not None:
            end_tree(self.process.pid)
            self.process.wait()
            self.process = None

    def forget_index(self):
        """While it is stopped. What is to be forgotten must be there: else the next is not cold."""
        files = [path for path in self.index_files() if path.is_file()]
        if not any("index" in path.name for path in files):
            raise Problem(f"{self.name} has no index to forget")
        for path in files:
            path.unlink()


class RingpostMail(Side):
    """What is not named here is its default."""
    name = "ringpost"

    def prepare(self):
        self.program = self.args.build / "ringpost"
        if not os.access(self.program, os.X_OK):
            raise Problem(f"{self.program} is not built (./dev build)")
        self.folder.mkdir()
        (self.folder / "state").mkdir(mode=0o700)
        self.config = self.folder / "ringpost.yaml"
        self.config.write_text(
            f"hostname: mx.b.example\nstate_dir: {self.folder}/state\nlisteners:\n"
            f'  - {{address: "127.0.0.1:{self.imap}", service: imap}}\n'
            f'  - {{address: "127.0.0.1:{self.pop3}", service: pop3}}\n'
            'auth: {plaintext: ["127.0.0.0/8"]}\n'
            "limits: {sessions: 4000, sessions_per_client: 4000}\n")
        self.cli("tenant", "add", "bench")
        self.cli("domain", "add", "bench", "b.example", "--active", "--hosted")
        self.cli("account", "add", ADDRESS)
        made = self.cli("credential", "add", "bench", "--account", ADDRESS, "--scope", "mail", "--json")
        self.user, self.secret = ADDRESS, json.loads(made)["secret"]
        self.maildir = self.folder / "state/mail/b.example/anna"

    def cli(self, *words):
        return subprocess.run([self.program, "-c", self.config, *words], check=True,
                              capture_output=True, text=True).stdout

    def own(self):
        self.maildir.parent.parent.chmod(0o700)

    def start(self):
        self.begin(self.program, "-c", self.config, "serve")

    def index_files(self):
        """With Dovecot's lists, which it keeps as well."""
        yield from self.maildir.rglob("ringpost.index")
        yield from self.maildir.rglob("ringpost.cache")
        yield from self.maildir.rglob("dovecot-*")


class Echo(Side):
    """The engine that ringpost stands on and nothing else: a line in, the line out."""
    name = "echo"
    has_pop3 = False

    def prepare(self):
        self.program = self.args.build / "bench/ringpost-bench-echo"
        if not os.access(self.program, os.X_OK):
            raise Problem(f"{self.program} is not built (./dev build)")
        self.folder.mkdir()

    def start(self):
        self.begin(self.program, "--listen", f"127.0.0.1:{self.imap}")


CONFIG = """\
base_dir = {place}/run
state_dir = {place}/state
log_path = {place}/log
ssl = no
disable_plaintext_auth = no
protocols = {protocols}
listen = 127.0.0.1
first_valid_uid = 1
first_valid_gid = 1
default_login_user = dovenull
default_internal_user = dovecot
mail_location = maildir:{place}/mail
mail_max_userip_connections = 0
mail_fsync = optimized
# As its documentation says for many logins: processes that serve more than one session.
service imap-login {{
  service_count = 0
  process_min_avail = 1
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  service_count = 0
  process_min_avail = 1
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service imap {{
  service_count = 1000
}}
service pop3 {{
  service_count = 1000
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={place} allow_all_users=yes
}}
passdb {{
  driver = static
  args = password=secret
}}
"""


class DovecotMail(Side):
    name = "dovecot"

    def prepare(self):
        if not os.path.exists("/usr/lib/dovecot/imap"):
            raise Problem("Dovecot is not installed (apt-get install dovecot-imapd dovecot-pop3d)")
        self.has_pop3 = os.path.exists("/usr/lib/dovecot/pop3")
        self.folder.mkdir()
        self.user, self.secret = ADDRESS, "secret"
        self.maildir = self.folder / "mail"
        self.owner = pwd.getpwnam(MAIL_USER)
        (self.folder / "conf").write_text(CONFIG.format(
            place=self.folder, protocols="imap pop3" if self.has_pop3 else "imap", imap=self.imap,
            pop3=self.pop3, uid=self.owner.pw_uid, gid=self.owner.pw_gid))
        (self.folder / "state").mkdir()

    def own(self):
        """Files are links of ringpost's side as well: root's, readable by all."""
        for path in (self.folder, self.maildir, *(self.maildir / part for part in ("cur", "new", "tmp"))):
            os.chown(path, self.owner.pw_uid, self.owner.pw_gid)

    def start(self):
        self.begin(shutil.which("dovecot", path=os.environ["PATH"] + ":/usr/sbin"), "-F", "-c",
                   self.folder / "conf")

    def index_files(self):
        yield from self.maildir.rglob("dovecot*")

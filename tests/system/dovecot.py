"""A Dovecot that serves IMAP with TLS, to whom anybody logs in with the password `secret`."""

import grp
import imaplib
import os
import pathlib
import pwd
import shutil
import ssl
import tempfile

import certificates
import parts

SECRET = "secret"


class Dovecot(parts.Process):
    """Its mail lies below home/USER/Maildir. `prefix` of the namespace, with "." between parts."""

    def __init__(self, directory, prefix=""):
        super().__init__(directory, "dovecot")
        # Not below pytest's folder: every run that begins closes that to others.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp"
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="ringpost-imap-", dir=memory))
        self.port, self.tls_port = parts.free_ports(2)
        self.authority = certificates.Issued(self.place, "authority")
        self.ca_file = self.authority.path
        chain, key = certificates.Issued(self.place, "server", self.authority,
                                         hosts=["localhost"]).files()
        self.user = pwd.getpwuid(os.getuid() or pwd.getpwnam("nobody").pw_uid)
        own = "" if os.getuid() == 0 else (
            f"default_internal_user = {self.user.pw_name}\n"
            f"default_login_user = {self.user.pw_name}\n"
            f"default_internal_group = {grp.getgrgid(self.user.pw_gid).gr_name}\n")
        (self.place / "conf").write_text(f"""
protocols = imap
listen = 127.0.0.1
base_dir = {self.place}/run
state_dir = {self.place}/state
log_path = {self.place}/log
ssl = yes
ssl_cert = <{chain}
ssl_key = <{key}
disable_plaintext_auth = yes
login_trusted_networks =
first_valid_uid = 1
first_valid_gid = 1
mail_max_userip_connections = 0
mail_location = maildir:{self.place}/home/%u/Maildir
mail_fsync = never
passdb {{
  driver = static
  args = password={SECRET}
}}
userdb {{
  driver = static
  args = uid={self.user.pw_uid} gid={self.user.pw_gid} home={self.place}/home/%u
}}
namespace inbox {{
  inbox = yes
  prefix = {prefix}
  separator = .
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {self.port}
  }}
  inet_listener imaps {{
    port = {self.tls_port}
  }}
}}
service anvil {{
  chroot =
}}
{own}""")
        (self.place / "home").mkdir()
        for path in (self.place, self.place / "home"):
            path.chmod(0o755)
        os.chown(self.place / "home", self.user.pw_uid, self.user.pw_gid)

    def start(self):
        self.spawn([parts.need("dovecot"), "-F", "-c", self.place / "conf"])
        self.wait_port(self.tls_port)
        return self

    def stop(self):
        self.end()
        shutil.rmtree(self.place, ignore_errors=True)

    def tail(self, lines=40):
        log = self.place / "log"
        return super().tail(lines) + (log.read_text(errors="replace") if log.exists() else "")

    def maildir(self, user):
        """Its Maildir, made where it is missing, for files that are dropped there."""
        path = self.place / "home" / user / "Maildir"
        for part in ("cur", "new", "tmp"):
            (path / part).mkdir(parents=True, exist_ok=True)
        return path

    def give(self, user):
        """What was dropped becomes the server's."""
        for path, folders, files in os.walk(self.place / "home" / user):
            for name in [".", *folders, *files]:
                os.chown(os.path.join(path, name), self.user.pw_uid, self.user.pw_gid)

    def client(self, user):
        context = ssl.create_default_context(cafile=self.ca_file)
        client = imaplib.IMAP4_SSL("localhost", self.tls_port, ssl_context=context, timeout=60)
        client.login(user, SECRET)
        return client

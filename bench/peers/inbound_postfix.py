"""Postfix as the MX of a virtual domain, with the filters that are usually put beside it.

policyd-spf, OpenDKIM and OpenDMARC judge, Dovecot's LMTP files into Maildirs; without checks
virtual(8) does that and nobody judges. Durable as each of them is by itself."""
import os
import pathlib
import pwd
import shutil
import socket
import subprocess

from peers.inbound_names import ADDRESS, DOMAIN, USERS, count_filed, run, set_aside
from peers.postfix import MASTER, SETTINGS, check_reachable
from peers.process import Problem, cpu_seconds, end_tree, output_of, wait_until

FILERS = 20  # deliveries at the same time
MAIL_USER = "nobody"  # whose the Maildirs are
OPENDKIM = 8891
OPENDMARC = 8893


def port_answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


class InboundPostfix:
    name = "postfix"
    port = 2026

    def __init__(self, folder, args):
        self.folder = pathlib.Path(folder)
        self.etc = self.folder / "etc"
        self.has_checks = not args.without_checks
        self.sessions = args.connections + 10
        self.mail = self.folder / "mail" / DOMAIN
        self.master = None
        self.beside = []  # processes of the filters and of Dovecot

    # --- configuration ---------------------------------------------------------------------------

    def main_cf(self):
        owner = pwd.getpwnam(MAIL_USER)
        fill = {"sessions": self.sessions, "deliveries": FILERS, "next_port": 0, "port": self.port}
        settings = {name: value.format(**fill) for name, value in SETTINGS.items()
                    if "next_port" not in value}
        settings |= {
            "compatibility_level": "3.6",
            "queue_directory": self.folder / "queue",
            "data_directory": self.folder / "data",
            "daemon_directory": output_of("postconf", "-dh", "daemon_directory"),
            "command_directory": output_of("postconf", "-dh", "command_directory"),
            "mail_owner": "postfix",
            "setgid_group": "postdrop",
            "syslog_name": "postfix-bench",
            "maillog_file_prefixes": self.folder,
            "maillog_file": self.folder / "postfix.log",
            "myhostname": f"mx.{DOMAIN}",
            "mydestination": "",
            "mynetworks": "127.0.0.1/32",
            "inet_interfaces": ADDRESS,
            "inet_protocols": "ipv4",
            "virtual_mailbox_domains": DOMAIN,
            "virtual_mailbox_maps": f"hash:{self.etc}/users",
            "virtual_mailbox_base": self.folder / "mail",
            "virtual_uid_maps": f"static:{owner.pw_uid}",
            "virtual_gid_maps": f"static:{owner.pw_gid}",
            "virtual_minimum_uid": "1",
            "virtual_mailbox_limit": "0",
            "smtpd_relay_restrictions": "reject_unauth_destination",
            "smtpd_recipient_restrictions": "reject_unauth_destination",
            "virtual_destination_recipient_limit": "1",
        }
        if self.has_checks:
            settings |= {
                "smtpd_peername_lookup": "yes",
                "smtpd_recipient_restrictions":
                    "reject_unauth_destination, check_policy_service unix:private/policyd-spf",
                "smtpd_milters": f"inet:127.0.0.1:{OPENDKIM}, inet:127.0.0.1:{OPENDMARC}",
                "milter_default_action": "tempfail",
                "policyd-spf_time_limit": "3600",
                "smtp_dns_support_level": "enabled",
                "smtp_host_lookup": "dns",
                "virtual_transport": f"lmtp:unix:{self.folder}/dovecot/lmtp",
            }
        return "".join(f"{name} = {value}\n" for name, value in settings.items())

    def master_cf(self):
        text = MASTER.format(sessions=self.sessions, deliveries=FILERS, port=self.port)
        text = text.replace("127.0.0.1:", f"{ADDRESS}:", 1)
        text += f"virtual unix - n n - {FILERS} virtual\nlmtp unix - - n - {FILERS} lmtp\n"
        if self.has_checks:
            text += ("policyd-spf unix - n n - 0 spawn\n"
                     f"  user=policyd-spf argv=/usr/bin/policyd-spf {self.etc}/policyd-spf.conf\n")
        return text

    def write(self):
        check_reachable(self.folder.parent)
        for part in ("", "etc", "queue", "data", "mail", "dovecot"):
            (self.folder / part).mkdir(mode=0o755, exist_ok=True)
        self.mail.mkdir(mode=0o755)
        owner = pwd.getpwnam("postfix")
        os.chown(self.folder / "data", owner.pw_uid, owner.pw_gid)
        (self.etc / "main.cf").write_text(self.main_cf())
        (self.etc / "master.cf").write_text(self.master_cf())
        (self.etc / "users").write_text("".join(
            f"u{user}@{DOMAIN} {DOMAIN}/u{user}/\n" for user in range(USERS)))
        run("postmap", f"hash:{self.etc}/users")
        self.make_mail()

    def make_mail(self):
        owner = pwd.getpwnam(MAIL_USER)
        os.chown(self.mail, owner.pw_uid, owner.pw_gid)

    # --- the processes beside Postfix ------------------------------------------------------------

    def begin(self, *command):
        log = (self.folder / "beside.log").open("ab")
        # pylint: disable-next=consider-using-with
        self.beside.append(subprocess.Popen([str(word) for word in command], stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL))
        log.close()

    def start_filters(self):
        nobody = self.etc / "nobody"
        nobody.write_text("192.0.2.99\n")
        (self.etc / "policyd-spf.conf").write_text(
            "debugLevel = 0\nHELO_reject = Fail\nMail_From_reject = Fail\nHeader_Type = AR\n"
            f"Authserv_Id = mx.{DOMAIN}\nskip_addresses = 127.0.0.1/32\n")
        (self.etc / "opendkim.conf").write_text(
            f"Mode v\nSocket inet:{OPENDKIM}@127.0.0.1\nSyslog no\nAuthservID mx.{DOMAIN}\n"
            f"InternalHosts {nobody}\nExternalIgnoreList {nobody}\nAlwaysAddARHeader yes\n"
            f"UserID opendkim\nPidFile {self.folder}/queue/opendkim.pid\nNameservers 127.0.0.1\n")
        (self.etc / "opendmarc.conf").write_text(
            f"Socket inet:{OPENDMARC}@127.0.0.1\nSyslog false\nAuthservID mx.{DOMAIN}\n"
            f"TrustedAuthservIDs mx.{DOMAIN}\nIgnoreHosts {nobody}\nRejectFailures true\n"
            f"UserID opendmarc\nSPFSelfValidate false\n")
        self.begin("opendkim", "-f", "-x", self.etc / "opendkim.conf")
        self.begin("opendmarc", "-f", "-c", self.etc / "opendmarc.conf")
        for port in (OPENDKIM, OPENDMARC):
            wait_until(f"a filter on port {port}", lambda port=port: port_answers(port), 20)

    def start_dovecot(self):
        place = self.folder / "dovecot"
        owner = pwd.getpwnam(MAIL_USER)
        (self.etc / "dovecot.conf").write_text(f"""\
base_dir = {place}/run
state_dir = {place}/state
log_path = {place}/dovecot.log
ssl = no
protocols = lmtp
first_valid_uid = 1
first_valid_gid = 1
default_login_user = dovenull
default_internal_user = dovecot
mail_location = maildir:{self.folder}/mail/%d/%n
mail_fsync = always
userdb {{
  driver = static
  args = uid={owner.pw_uid} gid={owner.pw_gid} home={self.folder}/mail/%d/%n allow_all_users=yes
}}
passdb {{
  driver = static
  args = nopassword=y
}}
service lmtp {{
  process_limit = {FILERS}
  client_limit = 1
  unix_listener {place}/lmtp {{
    mode = 0666
  }}
}}
""")
        (place / "state").mkdir()
        self.begin("dovecot", "-F", "-c", self.etc / "dovecot.conf")
        wait_until("Dovecot's LMTP", (place / "lmtp").exists, 20)

    # --- what the bench asks ---------------------------------------------------------------------

    def start(self):
        for program in ("postfix", "opendkim", "opendmarc", "policyd-spf", "dovecot"):
            if shutil.which(program) is None:
                raise Problem(f"{program} is not installed (apt-get install postfix opendkim "
                              "opendmarc postfix-policyd-spf-python dovecot-lmtpd)")
        self.folder.mkdir()
        self.write()
        if self.has_checks:
            self.start_filters()
            self.start_dovecot()
        run("postfix", "-c", self.etc, "start")
        self.master = int((self.folder / "queue/pid/master.pid").read_text())

    def tail(self):
        texts = [path.read_text(errors="replace")[-2000:] for path in
                 (self.folder / "postfix.log", self.folder / "beside.log",
                  self.folder / "dovecot/dovecot.log") if path.exists()]
        return "\n".join(texts)

    def count(self):
        return count_filed(self.mail)

    def wait_filed(self, count):
        try:
            wait_until("Postfix's filing", lambda: self.count() >= count, 300, interval=0.05)
        except Problem as problem:
            raise Problem(f"{problem}: {self.count()} of {count} are there\n{self.tail()}") from None

    def look(self, _args):
        text = next(self.mail.glob("*/new/*")).read_text()
        if self.has_checks and not all(f"{check}=pass" in text for check in
                                       ("spf", "dkim", "dmarc")):
            raise Problem(f"the filters' checks did not pass:\n{text[:2000]}\n{self.tail()}")

    def empty(self):
        set_aside(self.mail.glob("*/new/*"), self.folder / "aside")

    def cpu_seconds(self):
        return sum(cpu_seconds(pid) for pid in
                   [self.master, *(process.pid for process in self.beside)])

    def stop(self):
        if self.master is not None:
            end_tree(self.master)
            try:
                os.waitpid(self.master, 0)
            except ChildProcessError:
                pass
        self.master = None
        for process in self.beside:
            end_tree(process.pid)
            process.wait()
        self.beside = []

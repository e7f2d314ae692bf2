"""An instance of Postfix of our own: own directories, own ports, the system's one untouched."""
import os
import pwd
import stat
import subprocess

from peers.process import (Problem, answers, cpu_seconds, end_tree, free_port, output_of,
                           wait_until)

# What a relay in this place would be given by someone who knows Postfix and wants it fast. Durable
# as always: cleanup(8) syncs a queue file before the 250.
SETTINGS = {
    # No limit but the machine's: many deliveries at once, from the first one on.
    "default_process_limit": "{sessions}",
    "default_destination_concurrency_limit": "{deliveries}",
    "smtp_destination_concurrency_limit": "{deliveries}",
    "initial_destination_concurrency": "{deliveries}",
    "default_destination_concurrency_failed_cohort_limit": "1000",
    "qmgr_message_active_limit": "100000",
    "qmgr_message_recipient_limit": "100000",
    # No brakes on who submits.
    "in_flow_delay": "0",
    "smtpd_client_connection_count_limit": "0",
    "smtpd_client_connection_rate_limit": "0",
    "smtpd_client_message_rate_limit": "0",
    "smtpd_client_recipient_rate_limit": "0",
    "smtpd_client_event_limit_exceptions": "127.0.0.0/8",
    "smtpd_peername_lookup": "no",
    "smtpd_delay_reject": "no",
    # Processes live on instead of ending after 100 uses.
    "max_use": "100000",
    "max_idle": "1h",
    # Connections to the next hop are kept.
    "smtp_connection_cache_destinations": "[127.0.0.1]:{next_port}",
    "smtp_connection_reuse_count_limit": "0",
    "smtp_connection_reuse_time_limit": "1h",
    "smtp_connection_cache_time_limit": "60s",
    "connection_cache_ttl_limit": "60s",
    # Nothing to look up.
    "smtp_dns_support_level": "disabled",
    "smtp_host_lookup": "native",
    "smtp_address_preference": "ipv4",
    "alias_maps": "",
    "alias_database": "",
    "local_recipient_maps": "",
    "smtpd_tls_security_level": "none",
    "smtp_tls_security_level": "none",
    "smtp_sasl_auth_enable": "no",
    "message_size_limit": "52428800",
    "minimal_backoff_time": "300s",
}

MASTER = """\
127.0.0.1:{port} inet n - n - {sessions} smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - {deliveries} smtp
relay unix - - n - {deliveries} smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


def check_reachable(folder):
    """Postfix's daemons run as another user and must be able to walk to their queue."""
    path = os.path.realpath(folder)
    while path != "/":
        if not os.stat(path).st_mode & stat.S_IXOTH:
            raise Problem(f"{path} is closed to user postfix; choose another --dir")
        path = os.path.dirname(path)


class Postfix:
    name = "postfix"

    def __init__(self, folder, next_port, args):
        self.folder = os.path.realpath(folder)
        self.etc = os.path.join(self.folder, "etc")
        self.port = free_port()
        self.next_port = next_port
        self.deliveries = args.postfix_deliveries
        self.sessions = args.connections + 10
        self.has_log = args.postfix_log
        self.master = None

    def describe(self):
        return {"version": output_of("postconf", "-dh", "mail_version"),
                "settings": {name: self.fill(value) for name, value in SETTINGS.items()},
                "log": "postlogd to a file" if self.has_log else "none"}

    def fill(self, text):
        return text.format(deliveries=self.deliveries, sessions=self.sessions,
                           next_port=self.next_port, port=self.port)

    def settings(self):
        yield from ((name, self.fill(value)) for name, value in SETTINGS.items())
        yield from {
            "compatibility_level": "3.6",
            "queue_directory": os.path.join(self.folder, "queue"),
            "data_directory": os.path.join(self.folder, "data"),
            "daemon_directory": output_of("postconf", "-dh", "daemon_directory"),
            "command_directory": output_of("postconf", "-dh", "command_directory"),
            "mail_owner": "postfix",
            "setgid_group": "postdrop",
            "syslog_name": "postfix-bench",
            "myhostname": "postfix.bench.example",
            "mydestination": "",
            "mynetworks": "127.0.0.0/8",
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "relayhost": f"[127.0.0.1]:{self.next_port}",
            "smtpd_relay_restrictions": "permit_mynetworks, reject",
            "smtpd_recipient_restrictions": "permit_mynetworks, reject",
        }.items()
        if self.has_log:
            yield "maillog_file_prefixes", self.folder
            yield "maillog_file", os.path.join(self.folder, "postfix.log")

    def write(self):
        check_reachable(os.path.dirname(self.folder))
        for name in ("", "etc", "queue", "data"):
            os.makedirs(os.path.join(self.folder, name), mode=0o755, exist_ok=True)
        owner = pwd.getpwnam("postfix")
        os.chown(os.path.join(self.folder, "data"), owner.pw_uid, owner.pw_gid)
        with open(os.path.join(self.etc, "main.cf"), "w", encoding="utf-8") as file:
            file.writelines(f"{name} = {value}\n" for name, value in self.settings())
        with open(os.path.join(self.etc, "master.cf"), "w", encoding="utf-8") as file:
            file.write(self.fill(MASTER))

    def start(self):
        if os.geteuid() != 0:
            raise Problem("Postfix can only be started by root")
        self.write()
        done = subprocess.run(["postfix", "-c", self.etc, "start"], check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise Problem(f"postfix does not start: {done.stdout.decode(errors='replace')}")
        with open(os.path.join(self.folder, "queue/pid/master.pid"), encoding="ascii") as file:
            self.master = int(file.read())
        wait_until("Postfix's greeting", lambda: answers(self.port), 20)

    def cpu_seconds(self):
        return cpu_seconds(self.master)

    def stop(self):
        if self.master is not None:
            end_tree(self.master)
            os.waitpid(self.master, 0)
        self.master = None

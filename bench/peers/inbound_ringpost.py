"""ringpost as the MX of a hosted domain: what is not named here is its default."""
import pathlib
import subprocess

from peers.inbound_names import ADDRESS, DOMAIN, USERS, count_filed, run, set_aside
from peers.process import Problem, cpu_seconds, end_tree, wait_until

LISTENERS = {
    True: '{{address: "{address}:{port}", service: inbound}}',
    False: '{{address: "{address}:{port}", service: submission, trust: ["{address}/32"]}}',
}


class InboundRingpost:
    name = "ringpost"
    port = 2025

    def __init__(self, folder, args):
        self.folder = pathlib.Path(folder)
        self.program = args.build / "ringpost"
        self.config = self.folder / "ringpost.yaml"
        self.log = self.folder / "ringpost.log"
        self.has_checks = not args.without_checks
        self.connections = args.connections
        self.process = None
        self.filed = 0

    def cli(self, *words):
        return run(self.program, "-c", self.config, *words)

    def start(self):
        self.folder.mkdir()
        listener = LISTENERS[self.has_checks].format(address=ADDRESS, port=self.port)
        self.config.write_text(
            f"hostname: mx.{DOMAIN}\nstate_dir: {self.folder}/state\nlisteners: [{listener}]\n"
            f'dns: {{servers: ["127.0.0.1:53"]}}\n'
            f"limits: {{sessions_per_client: {self.connections + 10}}}\n")
        (self.folder / "state").mkdir(mode=0o700)
        self.cli("tenant", "add", "bench")
        self.cli("domain", "add", "bench", DOMAIN, "--hosted", "--active")
        for user in range(USERS):
            self.cli("account", "add", f"u{user}@{DOMAIN}")
        with self.log.open("wb") as log:
            # pylint: disable-next=consider-using-with
            self.process = subprocess.Popen([self.program, "-c", self.config, "serve"], stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL)
        wait_until("ringpost", self.is_up, 20)

    def is_up(self):
        if self.process.poll() is not None:
            raise Problem(f"ringpost ended by itself:\n{self.tail()}")
        return "what=ready" in self.log.read_text(errors="replace")

    def tail(self):
        return self.log.read_text(errors="replace")[-2000:]

    def mail(self):
        return self.folder / "state/mail" / DOMAIN

    def count(self):
        return count_filed(self.mail())

    def wait_filed(self, count):
        wait_until("ringpost's filing", lambda: self.count() >= count, 120, interval=0.05)

    def look(self, args):
        """The verdicts are those that the message was made for."""
        text = next(self.mail().glob("*/new/*")).read_text()
        if self.has_checks and not all(f"{check}=pass" in text for check in
                                       ("spf", "dkim", "dmarc", "iprev")):
            raise Problem(f"ringpost's checks did not pass:\n{text[:2000]}")

    def empty(self):
        set_aside(self.mail().glob("*/new/*"), self.folder / "aside")

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)

    def stop(self):
        if self.process is not None:
            end_tree(self.process.pid)
            self.process.wait()
        self.process = None

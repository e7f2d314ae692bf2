"""ringpost with the smallest useful configuration: what is not named here is its default."""
import os
import subprocess

from peers.process import Problem, answers, cpu_seconds, end_tree, free_port, output_of, wait_until

CONFIG = """\
hostname: ringpost.bench.example
state_dir: {state}
listeners:
  - {{address: "127.0.0.1:{port}", service: submission, trust: ["127.0.0.0/8"]}}
routes:
  - {{match: "*", to: ["127.0.0.1:{next_port}"]}}
delivery: {{allow_private: ["127.0.0.0/8"]}}
"""


class Ringpost:
    name = "ringpost"

    def __init__(self, folder, next_port, args):
        self.folder = os.path.realpath(folder)
        self.program = os.path.realpath(args.ringpost)
        self.port = free_port()
        self.next_port = next_port
        self.more = args.ringpost_config
        self.process = None
        self.log = os.path.join(self.folder, "ringpost.log")

    def describe(self):
        return {"version": output_of(self.program, "--version"), "config": self.config()}

    def config(self):
        state = os.path.join(self.folder, "state")
        more = ""
        if self.more:
            with open(self.more, encoding="utf-8") as file:
                more = file.read()
        return CONFIG.format(state=state, port=self.port, next_port=self.next_port) + more

    def start(self):
        if not os.access(self.program, os.X_OK):
            raise Problem(f"{self.program} is not built (./dev build)")
        os.makedirs(os.path.join(self.folder, "state"), mode=0o700, exist_ok=True)
        path = os.path.join(self.folder, "ringpost.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.config())
        with open(self.log, "wb") as log:
            # pylint: disable-next=consider-using-with
            self.process = subprocess.Popen([self.program, "-c", path, "serve"], stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL)
        try:
            wait_until("ringpost's greeting", self.is_up, 20)
        except Problem as problem:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                raise Problem(f"{problem}\n{log.read()[-2000:]}") from None

    def is_up(self):
        if self.process.poll() is not None:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                raise Problem(f"ringpost ended by itself:\n{log.read()[-2000:]}")
        return answers(self.port)

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)

    def stop(self):
        if self.process is not None:
            end_tree(self.process.pid)
            self.process.wait()
        self.process = None

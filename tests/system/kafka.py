"""kafka.py - a real Apache Kafka for tests: brokers on loopback ports, and what reads them.

Its jars come from Maven's central repository, by mvn as it is set up, once: they are kept in
~/.cache/ringpost/kafka-VERSION. `python3 kafka.py jars` fetches them and says where they are;
`python3 kafka.py properties DIR PORT` prepares a broker's directory for ./dev run --kafka."""

import fcntl
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

import parts

VERSION = "4.1.1"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
JARS = CACHE / "ringpost" / f"kafka-{VERSION}"
PATIENCE = 2 * parts.PATIENCE  # a JVM on a busy machine
CLUSTER = "MkU3OEVBNTcwNTJENDM2Qg"
JAVA = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]

POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>ringpost.tests</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
      <version>{VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version></dependency>
  </dependencies>
</project>
"""


def jars():
    """The folder of the jars, which are fetched the first time; whole or not at all."""
    JARS.parent.mkdir(parents=True, exist_ok=True)
    with open(JARS.parent / f".{JARS.name}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if JARS.is_dir():
            return JARS
        with tempfile.TemporaryDirectory(dir=JARS.parent) as work:
            work = pathlib.Path(work)
            (work / "pom.xml").write_text(POM, encoding="ascii")
            parts.run(["mvn", "-q", "-B", "-f", work / "pom.xml", "dependency:copy-dependencies",
                       "-DincludeScope=runtime", f"-DoutputDirectory={work / 'lib'}"], timeout=600)
            shutil.move(work / "lib", JARS)
    return JARS


def java(main, *args, heap="128m"):
    return [parts.need("java"), f"-Xmx{heap}", *JAVA, "-cp", f"{jars()}/*", main, *map(str, args)]


class Broker(parts.Process):
    """One broker that is its own controller, or one of several where `voters` names them."""

    def __init__(self, directory, node=1, ports=None, voters=None, **properties):
        super().__init__(directory, f"kafka-{node}")
        self.port, self.controller_port = ports or parts.free_ports(2)
        self.file = self.directory / "server.properties"
        self.properties = {
            "process.roles": "broker,controller",
            "node.id": node,
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},"
                         f"CONTROLLER://127.0.0.1:{self.controller_port}",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": voters or f"{node}@127.0.0.1:{self.controller_port}",
            "log.dirs": self.directory / "data",
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "num.partitions": 4,
            "broker.session.timeout.ms": 3000,
            "broker.heartbeat.interval.ms": 500,
            **{key.replace("_", "."): value for key, value in properties.items()},
        }

    def prepare(self):
        """Its files; the log directory is formatted once."""
        self.file.write_text("".join(f"{key}={value}\n" for key, value in self.properties.items()),
                             encoding="ascii")
        if not (self.directory / "data").exists():
            parts.run(java("kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", self.file),
                      timeout=PATIENCE)
        return self

    def start(self, wait=True):
        self.prepare()
        self.spawn(java("kafka.Kafka", self.file, heap="256m"))
        return self.wait_ready() if wait else self

    def wait_ready(self):
        def ready():
            assert self.running(), f"{self.name} did not start:\n{self.tail()}"
            return parts.port_answers(self.port)
        parts.wait_for(ready, f"{self.name} to be ready", patience=PATIENCE)
        return self

    def stop(self):
        """It has nothing to lose, and its own stop takes two seconds."""
        self.kill()

    def kill(self):
        import signal
        return self.end(signal.SIGKILL)

    def ask(self, api, version, body):
        """A request of Kafka's protocol: what is behind the answer's correlation id and throttle time."""
        request = struct.pack(">hhi", api, version, 1) + text("ringpost-test") + body
        with socket.create_connection(("127.0.0.1", self.port), 30) as s:
            s.sendall(struct.pack(">i", len(request)) + request)
            stream = s.makefile("rb")
            return stream.read(struct.unpack(">i", stream.read(4))[0])[8:]

    def create_topic(self, name, partitions=4, replicas=1, **configs):
        """CreateTopics; tried again while the broker starts."""
        entries = b"".join(text(key.replace("_", ".")) + text(str(value))
                           for key, value in configs.items())
        body = (struct.pack(">i", 1) + text(name) + struct.pack(">ihi", partitions, replicas, 0)
                + struct.pack(">i", len(configs)) + entries + struct.pack(">i?", 20000, False))

        def created():
            answer = self.ask(19, 4, body)
            at = 4 + 2 + struct.unpack(">h", answer[4:6])[0]  # one topic: its name, error
            error = struct.unpack(">h", answer[at:at + 2])[0]
            assert error in (0, 36, 7, 41, 38, -1), f"CreateTopics of {name}: error {error}"
            return error in (0, 36)  # made now, or by an earlier try
        parts.wait_for(created, f"topic {name}", patience=PATIENCE, pause=0.5)

    def allow(self, topic, user, operation):
        """CreateAcls: the user may do it, and nobody may who is not named by one of the topic's."""
        answer = self.ask(30, 1, struct.pack(">ib", 1, 2) + text(topic) + b"\3"
                          + text(f"User:{user}") + text("*")
                          + struct.pack(">bb", {"write": 4, "describe": 8}[operation], 3))
        assert answer[:6] == struct.pack(">ih", 1, 0), answer


def text(value):
    """A string of Kafka's protocol."""
    value = value.encode()
    return struct.pack(">h", len(value)) + value


def read(port, topic, count, options=(), patience=PATIENCE):
    """By kcat, whoever wrote it: at least `count` messages of the topic, oldest first a partition,
    as (key, partition, headers, value)."""
    deadline = time.monotonic() + patience
    while True:
        done = subprocess.run(
            [parts.need("kcat"), "-b", f"127.0.0.1:{port}", "-t", topic, "-C", "-e", "-q",
             "-o", "beginning", *options, "-f", r"%k\x01%p\x01%h\x01%s\n"],
            capture_output=True, timeout=patience, check=False)
        found = [tuple(line.split("\x01")) for line in done.stdout.decode().splitlines()]
        if len(found) >= count:
            return found
        assert time.monotonic() < deadline, (
            f"{len(found)} of {count} messages in {topic}: {done.stderr.decode()[-2000:]}")
        time.sleep(0.3)


def main(args):
    if args == ["jars"]:
        print(jars())
    elif len(args) == 3 and args[0] == "properties":
        broker = Broker(args[1], ports=(int(args[2]), int(args[2]) + 1))
        broker.prepare()
        print(" ".join(java("kafka.Kafka", broker.file, heap="256m")))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])

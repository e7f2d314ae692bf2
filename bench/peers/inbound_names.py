"""The names of the inbound bench: its network, its DNS, the message that is sent."""
import base64
import os
import pathlib
import pwd
import subprocess

from peers.process import Problem, end_tree, output_of, wait_until

ADDRESS = "192.0.2.10"  # of the client and of the servers: nobody exempts it as he does loopback
CLIENT = "client.senders.bench.example"
SENDER = "senders.bench.example"  # as ringpost-bench-load has it
DOMAIN = "d0.bench.example"
USERS = 100
SELECTOR = "s1"
TTL = "$TTL 300\n"


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          check=False, **options)
    if done.returncode != 0:
        raise Problem(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done.stdout


def set_aside(files, folder):
    """What a round filed. It is not removed before the end: ext4 without a journal gives out no inode
    that was freed lately, and whoever makes files next pays for the search."""
    folder.mkdir(exist_ok=True)
    for path in files:
        path.rename(folder / path.name)


def count_filed(mail):
    """The files of all Maildirs. By names alone: it is asked again and again during a round, on the
    cores that the round is about."""
    count = 0
    for user in os.listdir(mail) if mail.exists() else []:
        try:
            count += len(os.listdir(mail / user / "new"))
        except FileNotFoundError:  # it is being made
            pass
    return count


class Names:
    """lo with an address, /etc/resolv.conf, and nsd on port 53 of this namespace."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.key = self.folder / "dkim.pem"
        self.nsd = None

    def zones(self):
        public = output_of("openssl", "pkey", "-in", str(self.key), "-pubout")
        key = "".join(public.splitlines()[1:-1])
        base64.b64decode(key, validate=True)
        texts = " ".join(f'"{part}"' for part in ("v=DKIM1; k=rsa; p=", key[:200], key[200:]))
        return {
            "example": f"{SENDER}. A {ADDRESS}\n{SENDER}. MX 10 {SENDER}.\n"
                       f'{SENDER}. TXT "v=spf1 ip4:{ADDRESS} -all"\n'
                       f'_dmarc.{SENDER}. TXT "v=DMARC1; p=reject"\n'
                       f"{SELECTOR}._domainkey.{SENDER}. TXT {texts}\n{CLIENT}. A {ADDRESS}\n"
                       f"{DOMAIN}. MX 10 mx.{DOMAIN}.\nmx.{DOMAIN}. A {ADDRESS}\n",
            "2.0.192.in-addr.arpa": f"10 PTR {CLIENT}.\n",
        }

    def start(self):
        self.folder.mkdir()
        run("ip", "link", "set", "lo", "up")
        run("ip", "address", "add", f"{ADDRESS}/32", "dev", "lo")
        resolv = self.folder / "resolv.conf"
        resolv.write_text("nameserver 127.0.0.1\noptions timeout:2\n")
        run("mount", "--bind", resolv, "/etc/resolv.conf")
        run("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out",
            self.key)
        self.key.chmod(0o600)
        config = ["server:", "  ip-address: 127.0.0.1@53", f'  zonesdir: "{self.folder}"',
                  '  database: ""', f'  pidfile: "{self.folder}/nsd.pid"',
                  f'  xfrdfile: "{self.folder}/xfrd.state"',
                  f'  zonelistfile: "{self.folder}/zone.list"',
                  f'  username: "{pwd.getpwuid(os.getuid()).pw_name}"', '  chroot: ""',
                  "  server-count: 1", "  rrl-ratelimit: 0", "remote-control:",
                  "  control-enable: no"]
        for number, (origin, text) in enumerate(self.zones().items()):
            file = self.folder / f"zone{number}"
            file.write_text(f"$ORIGIN {origin}.\n{TTL}@ SOA ns.{origin}. admin.{origin}. 1 3600 900 "
                            f"86400 60\n@ NS ns\nns A 127.0.0.1\n{text}")
            config += ["zone:", f'  name: "{origin}"', f'  zonefile: "{file.name}"']
        (self.folder / "nsd.conf").write_text("\n".join(config) + "\n")
        # pylint: disable-next=consider-using-with
        self.nsd = subprocess.Popen(["nsd", "-d", "-c", self.folder / "nsd.conf"],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        question = ("dig", "+short", "+time=1", "+tries=1", "@127.0.0.1", "TXT",
                    f"{SELECTOR}._domainkey.{SENDER}")
        wait_until("nsd", lambda: "DKIM1" in output_of(*question), 10)

    def stop(self):
        if self.nsd is not None:
            end_tree(self.nsd.pid)
            self.nsd.wait()
        self.nsd = None


def write_message(path, key, args):
    """A file with one signed message of args.size bytes, but for its signature."""
    head = (f"From: Bench <s0@{SENDER}>\r\nTo: <u0@{DOMAIN}>\r\nSubject: one of many\r\n"
            "Date: Sat, 28 Nov 2026 12:00:00 +0000\r\n"
            f"Message-ID: <one@{SENDER}>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n")
    line = "A line of the text that is hashed, sent, stored and looked at.\r\n"
    plain = path.with_suffix(".plain")
    plain.write_bytes((head + line * max(1, (args.size - len(head)) // len(line))).encode())
    config = path.with_suffix(".yaml")
    config.write_text(f"hostname: mx.{DOMAIN}\nstate_dir: {path.parent}\n")
    signed = subprocess.run(
        [args.build / "ringpost", "-c", config, "sign", "--domain", SENDER, "--selector", SELECTOR,
         "--key", key, plain], capture_output=True, check=False)
    if signed.returncode != 0:
        raise Problem(f"ringpost sign: {signed.stderr.decode()}")
    path.write_bytes(signed.stdout)
    path.chmod(0o644)
    return path

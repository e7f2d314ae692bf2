"""A mailbox as people have them: the same bytes for both sides, the same in every run."""
import os
import random
import time

WORDS = """invoice meeting report draft weekly garden ticket order shipping question answer update
release version branch review notes minutes agenda travel booking photo family holiday budget plan
server outage backup restore contract offer price list project status reminder birthday dinner""".split()
NAMES = "Anna Bela Chen Dora Emil Fatma Goran Hana Ivan Jana Kofi Lena Mina Noor Omar Pia".split()
NEEDLE = "kumquat"  # in the body of one message of a hundred
BEGIN = 1700000000


def text_of(rng, size):
    lines, length = [], 0
    while length < size:
        line = " ".join(rng.choices(WORDS, k=11))
        lines.append(line)
        length += len(line) + 1
    return "\n".join(lines) + "\n"


def message(number):
    rng = random.Random(number)
    sender, receiver = rng.choice(NAMES), rng.choice(NAMES)
    subject = ("Re: " if number % 3 == 0 else "") + " ".join(rng.choices(WORDS, k=4))
    date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(BEGIN + 601 * number))
    size = int(rng.lognormvariate(7.2, 0.9))
    body = text_of(rng, min(max(size, 200), 60000))
    if number % 100 == 7:
        body += f"{NEEDLE}\n"
    head = "".join(
        f"Received: from relay{hop}.example.net (relay{hop}.example.net [192.0.2.{hop + 1}])\n"
        f"\tby mx.example.org with ESMTPS id {rng.randrange(16 ** 12):012x};\n\t{date}\n"
        for hop in range(3))
    head += (f"Message-ID: <{number}.{rng.randrange(16 ** 8):08x}@example.net>\nDate: {date}\n"
             f"From: {sender} Example <{sender.lower()}@example.net>\n"
             f"To: {receiver} Sample <{receiver.lower()}@example.org>\nSubject: {subject}\n"
             "MIME-Version: 1.0\n")
    if number % 3:
        return (head + "Content-Type: text/plain; charset=utf-8\n\n" + body).encode()
    html = "<html><body><p>" + body.replace("\n", "</p>\n<p>") + "</p></body></html>\n"
    head += 'Content-Type: multipart/alternative; boundary="part"\n\n'
    return (head + "--part\nContent-Type: text/plain; charset=utf-8\n\n" + body
            + "\n--part\nContent-Type: text/html; charset=utf-8\n\n" + html
            + "\n--part--\n").encode()


def make(folder, count):
    """A Maildir of `count` messages, most of them read."""
    for part in ("cur", "new", "tmp"):
        (folder / part).mkdir(parents=True)
    for number in range(count):
        flags = "" if number % 5 == 0 else "S" if number % 7 else "RS"
        content = message(number)
        lines = content.count(b"\n")
        path = folder / "cur" / (f"{BEGIN + number}.M{number}P1.host,S={len(content)},"
                                 f"W={len(content) + lines}:2,{flags}")
        path.write_bytes(content)
        os.utime(path, (BEGIN + 601 * number,) * 2)


def copy(made, folder):
    """Hard links: messages are renamed and removed, never written."""
    for part in ("cur", "new", "tmp"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for entry in os.scandir(made / "cur"):
        os.link(entry.path, folder / "cur" / entry.name)

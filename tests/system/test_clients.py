"""Submissions by programs that nobody here wrote, and what becomes of their headers."""

import email
import email.policy
import os
import re
import smtplib
import subprocess

import parts
from rawsmtp import Raw

DATE = re.compile(rb"^Date: \w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}\r\n", re.M)


def start(stage, **settings):
    """A receiver and a relay that hands everything to it."""
    receiver = stage.receiver()
    relay = stage.ringpost(routes=f'[{{match: "*", to: ["127.0.0.1:{receiver.port}"]}}]', **settings)
    return receiver, relay


def arrived(receiver, relay, count):
    relay.wait_empty()
    assert not receiver.errors
    parts.wait_for(lambda: len(receiver.messages) >= count, f"{count} messages")
    assert len(receiver.messages) == count
    return receiver.messages


def header(message):
    return message.content.split(b"\r\n\r\n", 1)[0] + b"\r\n"


def parsed(message):
    return email.message_from_bytes(message.content, policy=email.policy.SMTPUTF8)


def test_swaks(stage):
    receiver, relay = start(stage)
    picture = stage.directory / "picture.bin"
    picture.write_bytes(bytes(range(256)) * 200)
    stage.run(["swaks", "--server", f"127.0.0.1:{relay.port}", "--from", "swaks@client.example",
               "--to", "a@example.com,b@example.net", "--header", "Subject: by swaks",
               "--body", "a line\n.\n..two dots\nend\n", "--attach", f"@{picture}"])
    for message in arrived(receiver, relay, len(receiver.messages) or 1):
        assert message.sender == "swaks@client.example"
        content = parsed(message)
        assert content["Subject"] == "by swaks"
        text, attachment = content.iter_parts()
        assert text.get_content().replace("\r\n", "\n").startswith("a line\n.\n..two dots\nend\n")
        assert attachment.get_content() == picture.read_bytes()
    assert sorted(receiver.taken()) == ["a@example.com", "b@example.net"]


def test_smtp_source_with_many_sessions(stage):
    receiver, relay = start(stage)
    stage.run(["smtp-source", "-4", "-d", "-N", "-s", 50, "-m", 600, "-r", 2, "-l", 4096,
               "-f", "source@client.example", "-t", "to@example.com", f"127.0.0.1:{relay.port}"])
    relay.wait_empty()
    assert len(receiver.taken()) == len(set(receiver.taken())) == 1200
    assert len(receiver.messages) == 600, "the recipients of a message leave in one transaction"
    assert {len(m.content) > 4096 for m in receiver.messages} == {True}
    assert len(relay.events(kind="delivered")) == 1200
    assert receiver.open_max <= 20, "connections of a site"


def test_smtplib_utf8_and_pipelining(stage):
    receiver, relay = start(stage)
    message = email.message.EmailMessage(policy=email.policy.SMTPUTF8)
    message["From"] = "Jürgen <jürgen@bücher.example>"
    message["To"] = "用户@例子.example"
    message["Bcc"] = "hidden@example.com"
    message["Subject"] = "Grüße"
    message.set_content("Grüße aus Köln\n", cte="8bit")
    with relay.smtp() as smtp:
        smtp.send_message(message, to_addrs=["用户@例子.example", "hidden@example.com"])
    arrived(receiver, relay, len(receiver.messages) or 1)
    assert sorted(receiver.taken()) == ["hidden@example.com", "用户@例子.example"]
    for found in receiver.messages:
        assert found.sender == "jürgen@bücher.example"
        if "用户@例子.example" in found.to():
            assert "SMTPUTF8" in found.sender_parameters
        assert "Subject: Grüße\r\n".encode() in found.content
        assert found.content.endswith("Grüße aus Köln\r\n".encode())
    delivered = relay.wait_events(2, kind="delivered")
    assert {e["recipient"] for e in delivered} == set(receiver.taken())
    with Raw(relay.port) as raw:  # without the parameter such an address is refused
        raw.ehlo()
        assert raw.code("MAIL FROM:<plain@client.example>") == "250"
        assert raw.say("RCPT TO:<用户@例子.example>").startswith("553 5.6.7")


def test_nodemailer_pool(stage):
    receiver, relay = start(stage)
    script = stage.directory / "send.js"
    script.write_text("""
const nodemailer = require("nodemailer");
const transport = nodemailer.createTransport({
  host: "127.0.0.1", port: Number(process.argv[2]), secure: false, ignoreTLS: true,
  pool: true, maxConnections: 5});
const sends = [];
for (let i = 0; i < 40; i++)
  sends.push(transport.sendMail({
    from: "Shop <shop@client.example>", to: `user${i}@example.com`, bcc: `archive${i}@example.net`,
    subject: `Bestellung № ${i}`, text: "Zeile\\n.\\n..\\nEnde", html: "<p>Grüße</p>",
    attachments: [{filename: "a.bin", content: Buffer.alloc(50000, i)}],
    dsn: {id: `order-${i}`, return: "headers", notify: ["failure", "delay"],
          recipient: "shop@client.example"}}));
Promise.all(sends).then(results => {
  for (const result of results)
    if (result.rejected.length || result.accepted.length != 2) throw new Error("rejected");
  transport.close();
}).catch(error => { console.error(error); process.exit(1); });
""")
    stage.run(["node", script, relay.port],
              env={**os.environ, "NODE_PATH": "/usr/share/nodejs:/usr/lib/nodejs"})
    relay.wait_empty()
    assert sorted(receiver.taken()) == sorted(
        [f"user{i}@example.com" for i in range(40)] + [f"archive{i}@example.net" for i in range(40)])
    for message in receiver.messages:
        content = parsed(message)
        number = int(re.search(r"№ (\d+)", content["Subject"])[1])
        assert content["Bcc"] is None
        body, attachment = content.iter_parts()
        assert body.get_body(("plain",)).get_content().split() == ["Zeile", ".", "..", "Ende"]
        assert attachment.get_content() == bytes([number]) * 50000
        assert f"ENVID=order-{number}" in message.sender_parameters
        assert "RET=HDRS" in message.sender_parameters
        for _, parameters in message.recipients:
            assert "NOTIFY=FAILURE,DELAY" in parameters
            assert "ORCPT=rfc822;shop@client.example" in parameters


def test_msmtp(stage):
    receiver, relay = start(stage)
    done = subprocess.run(
        [parts.need("msmtp"), "--host=127.0.0.1", f"--port={relay.port}", "--tls=off", "--auth=off",
         "--from=msmtp@client.example", "--read-recipients", "--remove-bcc-headers=off",
         "--set-from-header=off", "--set-date-header=off", "--set-msgid-header=off"],
        input="To: a@example.com\nBcc: secret@example.net,\n other@example.org\nSubject: by msmtp\n"
              "\nhello\n.\n", capture_output=True, text=True, timeout=parts.PATIENCE)
    assert done.returncode == 0, done.stderr
    relay.wait_empty()
    assert sorted(receiver.taken()) == ["a@example.com", "other@example.org", "secret@example.net"]
    for message in receiver.messages:
        assert b"bcc" not in message.content.lower() and b"secret" not in message.content
        assert message.content.endswith(b"\r\n\r\nhello\r\n.\r\n")


def test_headers_are_added_and_removed(stage):
    receiver, relay = start(stage)
    with Raw(relay.port) as raw:
        raw.ehlo()
        bare = raw.send(b"From: <raw@client.example>\r\nBcc: x@example.com\r\n"
                        b"Return-Path: <forged@example.com>\r\nbCC : y@example.com,\r\n\tz@q.example"
                        b"\r\nSubject: s\r\n\r\nBcc: in the body stays\r\n")
        assert bare.startswith("250 ")
        whole = b"Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-Id: <mine@client.example>\r\n" \
                b"From: <raw@client.example>\r\n\r\nbody\r\n"
        assert raw.send(whole).startswith("250 ")
        headerless = b"\r\njust a body\r\n"
        assert raw.send(headerless).startswith("250 ")
        assert raw.send(b"").startswith("250 ")
    messages = arrived(receiver, relay, 4)
    by_body = {(m.content.split(b"\r\n\r\n", 1) + [None])[1]: header(m) for m in messages}
    first = by_body[b"Bcc: in the body stays\r\n"]
    assert b"example.com" not in first.replace(b"a@example.com", b"") and b"q.example" not in first
    assert DATE.search(first) and re.search(rb"^Message-ID: <\S+@mta1.ringpost.example>\r\n", first,
                                            re.M | re.I)
    received = re.search(rb"^Received: (.*(?:\r\n[ \t].*)*)\r\n", first, re.M)[1]
    assert b"raw.client.example" in received and b"127.0.0.1" in received
    assert b"by mta1.ringpost.example" in received and b"ESMTP" in received
    assert bare.split()[-1].encode() in received, "the id is in the Received field"
    second = by_body[b"body\r\n"]
    assert second.endswith(whole.split(b"\r\n\r\n")[0] + b"\r\n")
    assert second.count(b"Date:") == 1 and second.lower().count(b"\r\nmessage-id:") == 1
    assert b"just a body\r\n" in by_body
    assert None in by_body, "without content there is a header only"


def test_bdat_binary_chunks_and_large_content(stage):
    receiver, relay = start(stage)
    big = b"From: <raw@client.example>\r\nSubject: big\r\n\r\n" + b"".join(
        b"%d .dot\r\n.%d\r\n" % (i, i) + b"y" * (i % 300) + b"\r\n" for i in range(20_000))
    with Raw(relay.port) as raw:
        assert "CHUNKING" in raw.ehlo()
        raw.tell(b"MAIL FROM:<raw@client.example> SIZE=%d BODY=8BITMIME\r\nRCPT TO:<a@example.com>\r\n"
                 % len(big))
        assert raw.reply().startswith("250") and raw.reply().startswith("250")
        sizes = [1, 7, 100_000, 65536, 0]
        position = 0
        for size in sizes:
            raw.tell(b"BDAT %d\r\n" % size + big[position:position + size])
            position += size
        raw.tell(b"BDAT %d LAST\r\n" % (len(big) - position) + big[position:])
        for _ in range(len(sizes) + 1):
            assert raw.reply().startswith("250")
        # A chunk out of order is read, refused, and the session goes on.
        raw.tell(b"BDAT 10 LAST\r\nQUIT\r\nabcd")
        assert raw.reply().startswith("503")
        assert raw.code("NOOP") == "250"
    message, = arrived(receiver, relay, 1)
    assert message.content.endswith(big)


def test_vrfy_help_and_what_ehlo_offers(stage):
    _, relay = start(stage, limits="{message_size: 1MiB, recipients: 177}")
    with relay.smtp() as smtp:
        smtp.ehlo()
        offered = smtp.esmtp_features
        assert set(offered) == {"pipelining", "8bitmime", "smtputf8", "size", "dsn", "chunking",
                                "enhancedstatuscodes", "limits"}
        assert offered["size"] == str(1 << 20) and "RCPTMAX=177" in offered["limits"]
        assert smtp.verify("a@example.com")[0] == 252
        assert smtp.docmd("HELP")[0] == 214
        assert smtp.docmd("STARTTLS")[0] == 502 and smtp.docmd("AUTH", "PLAIN")[0] == 538
        try:
            smtp.sendmail("a@client.example", ["b@example.com"], "x" * (1 << 21))
            raise AssertionError("a message over the limit was taken")
        except smtplib.SMTPSenderRefused as error:
            assert error.smtp_code == 552 and error.smtp_error.startswith(b"5.3.4")

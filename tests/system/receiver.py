"""receiver.py - an SMTP server that can be told to misbehave at every point of a session.

It runs in a thread of its own. What it does is asked of one function:

    def act(session, stage, line): return "450 4.2.0 come back"   # or CLOSE, SILENT, b"raw", None

for the stages connect, ehlo, helo, starttls, mail, rcpt, data, bdat, content, rset, noop, quit, other.
None is the well-behaved answer. With `tls`, an ssl.SSLContext, STARTTLS is offered and spoken. `content` is what follows the end of the content. Everything that was said
is in `sessions`, everything that was taken is in `messages`, byte for byte.
"""

import asyncio
import collections
import contextlib
import re
import ssl
import threading
import time

CLOSE = object()   #: the connection is closed without a word
RESET = object()   #: the same, with a TCP reset
SILENT = object()  #: nothing is ever answered, the connection stays open

EXTENSIONS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 50000000", "DSN", "CHUNKING",
              "ENHANCEDSTATUSCODES")
REPLIES = {
    "connect": "220 receiver.example ESMTP",
    "helo": "250 receiver.example",
    "starttls": "220 2.0.0 go on",
    "mail": "250 2.1.0 ok",
    "rcpt": "250 2.1.5 ok",
    "data": "354 go on",
    "bdat": "250 2.0.0 chunk taken",
    "content": "250 2.0.0 taken",
    "rset": "250 2.0.0 ok",
    "noop": "250 2.0.0 ok",
    "quit": "221 2.0.0 bye",
    "other": "502 5.5.1 not here",
}
CONTENT_MAX = 256 * 1024 * 1024


class Endless:
    """A reply that does not end: `line` again and again, until `bytes_max` or the peer goes."""

    def __init__(self, line, bytes_max):
        self.line = line
        self.bytes_max = bytes_max


class Drip:
    """A reply whose bytes come one by one."""

    def __init__(self, reply, pause):
        self.reply = reply
        self.pause = pause


class Held(str):
    """A reply that waits for its gate, a threading.Event."""

    def __new__(cls, reply, gate):
        held = super().__new__(cls, reply)
        held.gate = gate
        return held


class Message:
    def __init__(self, session):
        self.session = session
        self.address = session.address  #: of ours that was connected to
        self.sender = session.sender
        self.sender_parameters = session.sender_parameters
        self.recipients = list(session.recipients)  #: [(address, parameters)]
        self.content = b""  #: without the transparency of dots
        self.by_chunks = False
        self.time = time.time()

    def to(self):
        return [address for address, _ in self.recipients]


class Session:
    def __init__(self, receiver, reader, writer):
        self.receiver = receiver
        self.reader = reader
        self.writer = writer
        self.address = writer.get_extra_info("sockname")[0]
        self.peer = writer.get_extra_info("peername")[0]
        self.lines = []
        self.bytes_sent = 0
        self.is_open = True
        self.ehlo = None
        self.tls = None  #: an ssl.SSLObject, once there is TLS
        self.reset()

    def reset(self):
        self.sender = None
        self.sender_parameters = ""
        self.recipients = []
        self.chunks = []
        self.is_bad = False  # a chunk was refused

    def said(self, verb):
        return [line for line in self.lines if line.upper().startswith(verb)]

    async def run(self):
        if not await self.answer("connect", ""):
            return
        while True:
            line = await self.reader.readuntil(b"\r\n")
            text = line[:-2].decode("utf-8", "surrogateescape")
            self.lines.append(text)
            assert "\n" not in text and "\r" not in text, f"a bare newline in {text!r}"
            verb = text.split(" ")[0].upper()
            handler = getattr(self, "do_" + verb.lower(), None)
            if not await (handler(text) if handler else self.answer("other", text)):
                return

    async def send(self, action):
        """Does what an action says; False: the session is over."""
        if action is CLOSE:
            return False
        if action is RESET:
            self.writer.transport.abort()
            return False
        if action is SILENT:
            await self.reader.read()  # until the peer goes
            return False
        if isinstance(action, Endless):
            block = action.line * max(1, 65536 // len(action.line))
            while self.bytes_sent < action.bytes_max:
                self.writer.write(block)
                await asyncio.wait_for(self.writer.drain(), 30)
                self.bytes_sent += len(block)
            return False
        if isinstance(action, Drip):
            for byte in action.reply:
                self.writer.write(bytes([byte]))
                await self.writer.drain()
                await asyncio.sleep(action.pause)
            return True
        while isinstance(action, Held) and not action.gate.is_set():
            await asyncio.sleep(0.02)
        if isinstance(action, (list, tuple)):  # lines of one reply
            code = action[0][:3]
            action = "\r\n".join([f"{code}-{line[4:]}" for line in action[:-1]] + [action[-1]])
        data = action if isinstance(action, bytes) else (action + "\r\n").encode()
        self.bytes_sent += len(data)
        self.writer.write(data)
        await self.writer.drain()
        return True

    async def answer(self, stage, line, default=None):
        action = self.receiver.act(self, stage, line) if self.receiver.act else None
        if action is None:
            action = default or REPLIES[stage]
        self.code = action[:3] if isinstance(action, str) else ""
        if isinstance(action, (list, tuple)):
            self.code = action[0][:3]
        return await self.send(action) and not self.code.startswith("421")

    async def do_ehlo(self, line):
        self.reset()
        self.ehlo = line.split(" ", 1)[1]
        lines = ["250 receiver.example"] + [f"250 {e}" for e in self.receiver.extensions]
        if self.receiver.tls and self.tls is None:
            lines.append("250 STARTTLS")
        return await self.answer("ehlo", line, lines)

    async def do_starttls(self, line):
        if not self.receiver.tls:
            return await self.answer("other", line)
        if not await self.answer("starttls", line):
            return False
        if not self.code.startswith("220"):
            return True
        await self.writer.start_tls(self.receiver.tls, ssl_handshake_timeout=100)
        self.tls = self.writer.get_extra_info("ssl_object")
        self.ehlo = None
        self.reset()
        return True

    async def do_helo(self, line):
        self.reset()
        self.ehlo = line.split(" ", 1)[1]
        return await self.answer("helo", line)

    async def do_mail(self, line):
        path = re.fullmatch(r"MAIL FROM:<(.*?)>(?: (.*))?", line, re.I)
        alive = await self.answer("mail", line)
        if self.code.startswith("2"):
            self.reset()
            self.sender, self.sender_parameters = path[1], path[2] or ""
        return alive

    async def do_rcpt(self, line):
        path = re.fullmatch(r'RCPT TO:<((?:"(?:\\.|[^"\\])*"|[^>"])*)>(?: (.*))?', line, re.I)
        alive = await self.answer("rcpt", line)
        if self.code.startswith("2"):
            self.recipients.append((path[1], path[2] or ""))
        return alive

    async def do_data(self, line):
        default = None if self.recipients else "554 5.5.1 no valid recipients"
        if not await self.answer("data", line, default):
            return False
        if not self.code.startswith("354"):
            return True
        wire = bytearray(b"\r\n")
        while not wire.endswith(b"\r\n.\r\n"):
            wire += await self.reader.readuntil(b".\r\n")
        return await self.take(bytes(wire[:-3]).replace(b"\r\n.", b"\r\n")[2:], False)

    async def do_bdat(self, line):
        size = int(line.split()[1])
        assert size <= CONTENT_MAX
        self.chunks.append(await self.reader.readexactly(size))
        if line.upper().endswith(" LAST"):
            if not self.recipients:
                self.reset()
                return await self.answer("content", line, "554 5.5.1 no valid recipients")
            return await self.take(b"".join(self.chunks), True)
        return await self.answer("bdat", line)

    async def take(self, content, by_chunks):
        message = Message(self)
        message.content, message.by_chunks = content, by_chunks
        self.message = message
        # Kept before the reply is sent: a peer that goes on at once must find it counted.
        action = self.receiver.act(self, "content", "") if self.receiver.act else None
        action = REPLIES["content"] if action is None else action
        self.code = action[:3] if isinstance(action, str) else ""
        (self.receiver.messages if self.code.startswith("2") else
         self.receiver.refused).append(message)
        self.reset()
        return await self.send(action) and self.code != "421"

    async def do_rset(self, line):
        self.reset()
        return await self.answer("rset", line)

    async def do_noop(self, line):
        return await self.answer("noop", line)

    async def do_quit(self, line):
        await self.answer("quit", line)
        return False


class Receiver:
    """Listens on every (address, port) given; port 0 is any free one (then self.port)."""

    def __init__(self, act=None, addresses=(("127.0.0.1", 0),), extensions=EXTENSIONS, tls=None):
        self.act = act
        self.addresses = list(addresses)
        self.extensions = extensions
        self.tls = tls
        self.messages, self.refused, self.sessions, self.errors = [], [], [], []
        self.port = None
        self.open = self.open_max = 0
        self.open_at = collections.Counter()  #: sessions open now on each of our addresses
        self.open_max_at = collections.Counter()
        self.loop = self.thread = None

    def running(self):
        return self.thread is not None and self.thread.is_alive()

    def start(self):
        started = threading.Event()
        self.failure = None

        def run():
            self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self.loop)
            try:
                servers = [self.loop.run_until_complete(asyncio.start_server(
                    self.serve, host, port, limit=CONTENT_MAX, backlog=512))
                    for host, port in self.addresses]
            except OSError as error:
                self.failure = error
                self.loop.close()
                started.set()
                return
            self.port = servers[0].sockets[0].getsockname()[1]
            started.set()
            self.loop.run_forever()
            for server in servers:
                server.close()
            tasks = asyncio.all_tasks(self.loop)
            for task in tasks:
                task.cancel()
            self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self.loop.close()

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        started.wait()
        if self.failure:
            raise self.failure
        self.addresses[0] = (self.addresses[0][0], self.port)  # the same after a restart
        return self

    def stop(self):
        if self.running():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(30)

    async def serve(self, reader, writer):
        session = Session(self, reader, writer)
        self.sessions.append(session)
        self.open += 1
        self.open_max = max(self.open_max, self.open)
        here = session.address
        self.open_at[here] += 1
        self.open_max_at[here] = max(self.open_max_at[here], self.open_at[here])
        try:
            await session.run()
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError,
                asyncio.TimeoutError, asyncio.CancelledError, ssl.SSLError):
            pass
        except Exception as error:  # noqa: BLE001 - shown by the test that looks
            self.errors.append(error)
        finally:
            self.open -= 1
            self.open_at[here] -= 1
            session.is_open = False
            with contextlib.suppress(Exception):
                writer.close()

    def taken(self):
        """Recipients of accepted messages, one entry an accepted copy."""
        return [address for message in self.messages for address in message.to()]

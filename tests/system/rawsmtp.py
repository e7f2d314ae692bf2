"""rawsmtp.py - a client that sends exactly the bytes it is told to."""

import socket

import parts


class Raw:
    """A connection; say() is one command with one reply, tell() is bytes."""

    def __init__(self, port, host="127.0.0.1", source=None, greeting=True):
        self.socket = socket.create_connection((host, port), parts.PATIENCE,
                                               source_address=(source, 0) if source else None)
        self.file = self.socket.makefile("rb")
        if greeting:
            self.greeting = self.reply()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def tell(self, data):
        self.socket.sendall(data)

    def reply(self):
        """One reply, its lines joined by newlines; "" at the end of the connection."""
        lines = []
        while True:
            try:
                line = self.file.readline()
            except ConnectionResetError:
                return ""
            if not line:
                return ""
            assert line.endswith(b"\r\n"), line
            lines.append(line[:-2].decode())
            if line[3:4] != b"-":
                return "\n".join(lines)

    def say(self, line):
        self.tell((line if isinstance(line, bytes) else line.encode()) + b"\r\n")
        return self.reply()

    def code(self, line):
        return self.say(line)[:3]

    def ehlo(self):
        return self.say("EHLO raw.client.example")

    def rest(self):
        """All that comes until the server closes."""
        data = b""
        while True:
            try:
                more = self.file.read1(65536)
            except ConnectionResetError:
                return data
            if not more:
                return data
            data += more

    def open_data(self, to="a@example.com", sender="raw@client.example"):
        assert self.code(f"MAIL FROM:<{sender}>") == "250"
        assert self.code(f"RCPT TO:<{to}>") == "250"
        assert self.code("DATA") == "354"

    def send(self, content, to="a@example.com", sender="raw@client.example"):
        """A message by DATA; the reply to its end."""
        self.open_data(to, sender)
        self.tell(content)
        return self.say(b".")

"""Clients that do nothing but ask and wait for the whole answer."""
import socket


class Failed(Exception):
    pass


class Imap:
    def __init__(self, side, logs_in=True):
        self.sock = socket.create_connection(("127.0.0.1", side.imap), 60)
        self.sock.settimeout(600)
        self.number = 0
        self.rest = b""
        self.until(b"\r\n")
        if logs_in:
            self.log_in(side)

    def log_in(self, side):
        self.ask(f"LOGIN {side.user} {side.secret}")

    def until(self, mark):
        """What comes until `mark` has come and the line that it stands in is over."""
        pieces, tail = [], b""
        while True:
            piece = self.sock.recv(1 << 20)
            if not piece:
                raise Failed("the server closed the connection")
            pieces.append(piece)
            tail = (tail + piece)[-4096:]
            at = tail.rfind(mark)
            if at >= 0 and tail.find(b"\r\n", at + len(mark) - 2) >= 0:
                return b"".join(pieces)

    def ask(self, command, literal=None):
        self.number += 1
        tag = b"T%06d" % self.number
        line = tag + b" " + (command.encode() if isinstance(command, str) else command)
        if literal is not None:
            line += b"{%d+}\r\n" % len(literal) + literal
        self.sock.sendall(line + b"\r\n")
        answer = self.whole(tag)
        if not answer[answer.rfind(tag):].startswith(tag + b" OK"):
            raise Failed(f"{line[:200]}: {answer[-300:]}")
        return answer

    def whole(self, tag):
        pieces, tail = [], b"\r\n"
        while True:
            piece = self.sock.recv(1 << 20)
            if not piece:
                raise Failed("the server closed the connection")
            pieces.append(piece)
            tail = (tail + piece)[-2048:]
            at = tail.rfind(b"\r\n" + tag + b" ")
            if at >= 0 and tail.endswith(b"\r\n"):
                return b"".join(pieces)

    def close(self):
        self.ask("LOGOUT")
        self.sock.close()


class Pop3:
    def __init__(self, side):
        self.sock = socket.create_connection(("127.0.0.1", side.pop3), 60)
        self.sock.settimeout(600)
        self.line()
        self.ask(f"USER {side.user}")
        self.ask(f"PASS {side.secret}")

    def line(self):
        got = b""
        while not got.endswith(b"\r\n"):
            got += self.sock.recv(65536)
        return got

    def ask(self, command):
        self.sock.sendall(command.encode() + b"\r\n")
        answer = self.line()
        if not answer.startswith(b"+OK"):
            raise Failed(f"{command}: {answer}")
        return answer

    def ask_lines(self, command):
        self.sock.sendall(command.encode() + b"\r\n")
        got = self.sock.recv(1 << 20)
        if not got.startswith(b"+OK"):
            raise Failed(f"{command}: {got}")
        pieces, tail = [got], got[-16:]
        while not tail.endswith(b"\r\n.\r\n"):
            piece = self.sock.recv(1 << 20)
            if not piece:
                raise Failed("the server closed the connection")
            pieces.append(piece)
            tail = (tail + piece)[-16:]
        return b"".join(pieces)

    def close(self):
        self.ask("QUIT")
        self.sock.close()

"""A name server for domains of the bench: every one has an MX of its own, on one of two addresses.

names.py PORT LIVE DEAD: mx.<domain> is at LIVE, for *.gone.bench.example at DEAD.
"""
import socket
import struct
import sys

A, SOA, MX = 1, 6, 15
TTL_S = 86400
MX_LABEL = b"\x02mx"


def soa():
    name = b"\x02ns\x05bench\x07example\x00"
    return struct.pack("!BHHIH", 0, SOA, 1, TTL_S, 2 * len(name) + 20) + name + name + struct.pack(
        "!IIIII", 1, 3600, 900, 86400, TTL_S)


NOTHING = soa()


def answer(query, live, dead):
    end = query.index(b"\0", 12) + 1
    name = query[12:end].lower()  # who asks may mix cases, and gets the question back as it was
    kind = struct.unpack_from("!H", query, end)[0]
    question = query[12:end + 4]
    record, authority = b"", NOTHING
    if kind == MX and not name.startswith(MX_LABEL):
        record = b"\xc0\x0c" + struct.pack("!HHIHH", MX, 1, TTL_S, 4 + len(MX_LABEL), 10)
        record += MX_LABEL + b"\xc0\x0c"
    elif kind == A and name.startswith(MX_LABEL):
        address = dead if b"\x04gone" in name else live
        record = b"\xc0\x0c" + struct.pack("!HHIH", A, 1, TTL_S, 4) + address
    if record:
        authority = b""
    return (query[:2] + struct.pack("!HHHHH", 0x8580, 1, 1 if record else 0,
                                    0 if record else 1, 0) + question + record + authority)


def main():
    live, dead = (socket.inet_aton(text) for text in sys.argv[2:4])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        server.bind(("127.0.0.1", int(sys.argv[1])))
        while True:
            query, client = server.recvfrom(512)
            server.sendto(answer(query, live, dead), client)


if __name__ == "__main__":
    main()

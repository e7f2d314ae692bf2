"""Addresses to send from, in a network of the test's own: they come and go there."""

import fcntl
import socket
import struct

import needs
import pytest

SIOCSIFFLAGS, SIOCSIFADDR = 0x8914, 0x8916
IFF_UP_LOOPBACK_RUNNING = 0x1 | 0x8 | 0x40
GONE = "192.0.2.77"


@pytest.fixture(scope="module", autouse=True)
def own_network():
    """Seen by this process and its children alone; it goes with them."""
    needs.own_network("addresses come and go")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP_LOOPBACK_RUNNING))


def set_address(address):
    """The second address of lo; 0.0.0.0: none."""
    request = struct.pack("16sH2x4s8x", b"lo:1", socket.AF_INET, socket.inet_aton(address))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCSIFADDR, request)


def sources(*addresses):
    return "".join(f"\n  - name: s{i}\n    address: {address}"
                   for i, address in enumerate(addresses))


def test_an_address_that_is_not_here_is_refused_by_line_and_key(stage):
    relay = stage.unstarted_ringpost(sources=sources("127.0.0.1", GONE))
    line = 1 + next(i for i, text in enumerate(relay.config_file.read_text().splitlines())
                    if "name: s1" in text)
    wanted = f"{relay.config_file}:{line}: sources[1].address: this machine cannot send from {GONE}"
    for command in ("check", "serve"):
        done = relay.cli(command, check=False)
        assert done.returncode == 78 and wanted in done.stderr, done.stderr
    relay.write_config(sources=sources("127.0.0.1"))
    relay.start()
    relay.write_config(sources=sources("127.0.0.1", GONE))
    done = relay.cli("reload", check=False)
    assert done.returncode == 1 and wanted in done.stderr
    set_address(GONE)
    assert relay.cli("reload").returncode == 0
    set_address("0.0.0.0")


def test_an_address_that_goes_rests_its_source_and_not_the_host(stage):
    sink = stage.sink()
    set_address(GONE)
    relay = stage.ringpost(
        routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]',
        delivery='{allow_private: ["127.0.0.0/8"], sites: [{match: "*", idle: 0s, '
                 'messages_per_connection: 1}]}',
        retry="{first: 1h, max: 2h}", engines="1",
        sources=f'[{{name: gone, address: {GONE}, weight: 1000000}}, '
                f'{{name: here, address: 127.0.0.1}}]')
    first = relay.submit("a@example.com")
    assert relay.wait_events(1, id=first, kind="delivered")[0]["egress"]["source"] == "gone"
    set_address("0.0.0.0")
    ids = [relay.submit(f"u{i}@example.com") for i in range(5)]
    for message_id in ids:  # none of them is deferred: the host is taken from the other source
        events = relay.wait_events(2, id=message_id)
        assert [e["kind"] for e in events] == ["accepted", "delivered"]
        assert events[1]["egress"]["source"] == "here"
    relay.wait_log('source="gone"')

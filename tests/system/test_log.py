"""The log: what it says, and that the service does not depend on anybody who reads it."""

import fcntl
import os

import parts

F_SETPIPE_SZ = 1031


def unread_log(stage, **settings):
    """A ringpost whose stderr is a pipe that nobody reads; relay and the reading end."""
    relay = stage.unstarted_ringpost(**settings)
    os.mkfifo(relay.log)
    reader = os.open(relay.log, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, F_SETPIPE_SZ, 4096)
    relay.tail = lambda *_: "(its log is the subject of this test)"
    return relay, reader


def test_log_that_nobody_reads_stops_nothing(stage):
    sink = stage.sink()
    relay, reader = unread_log(stage, log="{level: debug}",
                               routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]')
    try:
        relay.start()
        with relay.smtp() as smtp:
            for i in range(1000):  # fills pipe, batch and queue
                smtp.sendmail("app@client.example", f"r{i}@example.com", "Subject: x\r\n\r\nx\r\n")
        relay.wait_empty()
        parts.wait_for(lambda: relay.metrics()["ringpost_log_dropped_total"] > 0, "dropped lines")
        relay.submit("last@example.com")
        assert relay.status()["metrics"]['ringpost_log_lines_total{level="debug"}'] > 4000
        assert relay.stop() == 0
    finally:
        os.close(reader)


def test_log_that_is_read_late_says_what_is_missing(stage):
    sink = stage.sink()
    relay, reader = unread_log(stage, log="{level: debug}",
                               routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]')
    text = b""
    try:
        relay.start()
        with relay.smtp() as smtp:
            for i in range(1000):
                smtp.sendmail("app@client.example", f"r{i}@example.com", "Subject: x\r\n\r\nx\r\n")
        relay.wait_empty()

        def read_on():
            nonlocal text
            try:
                text += os.read(reader, 1 << 20)
            except BlockingIOError:
                pass
            return b" warn dropped=" in text and text.endswith(b"\n")
        parts.wait_for(read_on, "the line that says what is missing", pause=0.001)
        child = relay.child
        child.terminate()

        def ended():
            read_on()
            return child.poll() is not None
        parts.wait_for(ended, "its end", pause=0.001)
        read_on()
        assert relay.end() == 0
        assert b"what=stopped\n" in text  # the last line comes out, too
    finally:
        os.close(reader)

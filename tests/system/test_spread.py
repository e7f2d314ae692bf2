"""Which engine a new session goes to."""

import re

import parts
from rawsmtp import Raw


def engines_of(relay, clients):
    """The engine of each client's session, as the log tells it: an address is one client."""
    def found():
        log = relay.log.read_text(errors="replace")
        sessions = {client: engine for engine, client in re.findall(
            r"session=(\d+)\.\d+ client=(127\.0\.1\.\d+) service=", log)}
        return {client: sessions[client] for client in clients} if sessions.keys() >= clients else None
    return parts.wait_for(found, "the sessions in the log")


def test_new_sessions_go_to_the_engine_that_has_fewest(stage):
    """Also when it has fewest because sessions have ended, or others were not admitted."""
    relay = stage.ringpost(engines="2", log="{level: debug}",
                           limits="{sessions: 100, sessions_per_client: 1}")
    addresses = (f"127.0.1.{i}" for i in range(1, 200))
    inside = {}

    def come(count):
        new = [next(addresses) for _ in range(count)]
        for client in new:
            inside[client] = Raw(relay.port, source=client)
            assert inside[client].greeting.startswith("220")
            with Raw(relay.port, source=client) as refused:  # its address has one already
                assert refused.greeting.startswith("421 4.7.0")
        return list(engines_of(relay, set(new)).values())

    assert sorted(come(40)) == ["0"] * 20 + ["1"] * 20
    for left in ("0", "1"):
        for client, engine in engines_of(relay, inside.keys()).items():
            if engine == left:
                inside.pop(client).close()
        parts.wait_for(lambda: relay.metrics()["ringpost_smtp_sessions"] == 20, "sessions to end")
        assert come(20) == [left] * 20
    for raw in inside.values():
        raw.close()

"""The wall clock is set while the relay runs, and while it does not: nothing expires untried, nothing
waits for a time that was, no notice goes out for it, no event file is removed."""

import datetime
import re
import time

import parts
import pytest

DAY_S = 24 * 3600
RETRY = "{first: 1s, factor: 1, max: 2s, jitter: 0%, max_age: 3d, delay_notice: 4h}"
PATIENT = "{first: 1s, factor: 1, max: 60s, jitter: 0%, max_age: 3d}"  # 2 minutes from a start on
REFUSED = "451 4.2.1 not now"


class Scene:
    """A relay whose clock can be set, beside a receiver that takes nothing until it is told to."""

    def __init__(self, stage, retry=RETRY, **settings):
        self.takes = False
        self.receiver = stage.receiver(self.act)
        self.relay = stage.unstarted_ringpost(
            retry=retry, events="{retention: 1d, file_age: 1m}",
            routes=f'[{{match: "*", to: ["127.0.0.1:{self.receiver.port}"]}}]', **settings)
        self.clock = parts.WallClock(self.relay)
        self.relay.start()

    def act(self, session, where, line):
        return REFUSED if where == "rcpt" and not self.takes else None

    def submit(self, count):
        self.relay.submit([f"user{i}@example.com" for i in range(count)],
                          rcpt_options=["NOTIFY=FAILURE,DELAY"])

    def wait_tries(self, attempt, count):
        parts.wait_for(lambda: sum(e["attempt"]["number"] >= attempt for e in
                                   self.relay.events(kind="deferred")) >= count,
                       f"{count} recipients tried {attempt} times")

    def finish(self, count):
        self.takes = True
        self.relay.wait_events(count, kind="delivered")
        self.relay.wait_empty()
        kinds = {e["kind"] for e in self.relay.events()}
        assert kinds <= {"accepted", "deferred", "delivered", "suspended"}, kinds
        assert sorted(self.receiver.taken()) == sorted(f"user{i}@example.com" for i in range(count))


@pytest.mark.parametrize("days", [4, -4])
def test_set_while_it_runs(stage, days):
    scene = Scene(stage)
    scene.submit(20)
    scene.wait_tries(1, 20)
    scene.clock.set(days * DAY_S)
    before = len(scene.relay.events(kind="deferred"))
    scene.wait_tries(4, 20)  # retries go on, neither at once without end nor days later
    assert len(scene.relay.events(kind="deferred")) - before < 20 * 20
    parts.wait_for(lambda: scene.relay.metrics()["ringpost_clock_steps_total"] == 1,
                   "the step to be counted")
    told = [int(n) for n in re.findall(r"clock_step_ms=(-?\d+)", scene.relay.log.read_text())]
    assert len(told) == 1 and abs(told[0] - days * DAY_S * 1000) < 100, told
    # Events are stamped with the clock as it stands.
    stamp = datetime.datetime.fromisoformat(
        scene.relay.events(kind="deferred")[-1]["time"].replace("Z", "+00:00"))
    assert abs(stamp.timestamp() - time.time() - days * DAY_S) < 3600
    scene.finish(20)


def test_set_back_over_a_restart(stage):
    """What was due in a second is not due in ten days because of it."""
    scene = Scene(stage)
    scene.clock.set(10 * DAY_S)
    scene.submit(20)
    scene.wait_tries(2, 20)
    scene.relay.kill()
    scene.clock.set(0)
    scene.relay.start()
    scene.finish(20)


def test_set_forward_over_a_restart(stage):
    """By its dates it is too old; nobody has tried it since, so it is tried."""
    scene = Scene(stage)
    scene.submit(20)
    scene.wait_tries(2, 20)
    scene.relay.stop()
    scene.clock.set(10 * DAY_S)
    scene.takes = True
    scene.relay.start()
    scene.finish(20)


@pytest.mark.parametrize("when", ["while it is down", "before it stops"])
def test_set_forward_over_a_restart_and_refused_again(stage, when):
    """One 4xx after such a start is no reason to give up."""
    scene = Scene(stage, retry=PATIENT)
    scene.submit(20)
    scene.wait_tries(2, 20)
    if when == "before it stops":
        scene.clock.set(10 * DAY_S)
        parts.wait_for(lambda: scene.relay.metrics()["ringpost_clock_steps_total"] == 1,
                       "the step to be counted")
    scene.relay.kill()
    scene.clock.set(10 * DAY_S)
    tried = max(e["attempt"]["number"] for e in scene.relay.events(kind="deferred"))
    scene.relay.start()
    scene.wait_tries(tried + 2, 20)
    scene.finish(20)


@pytest.mark.parametrize("days", [4, -4])
def test_suspension_lasts_as_long_as_was_said(stage, days):
    scene = Scene(stage)
    scene.takes = True
    scene.relay.cli("queue", "suspend", "--domain", "example.com", "--for", "10s")
    begun = time.monotonic()
    scene.clock.set(days * DAY_S)
    scene.submit(3)
    time.sleep(3)  # the relay looks once a second
    assert not scene.receiver.taken()
    scene.relay.wait_events(3, kind="delivered")
    assert time.monotonic() - begun > 9

"""event_schema.py - holds events against docs/events.schema.json."""

import functools
import json
import pathlib

import jsonschema

FILE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "events.schema.json"


@functools.cache
def schema():
    return json.loads(FILE.read_text())


@functools.cache
def _validator(part):
    whole = schema()
    jsonschema.Draft202012Validator.check_schema(whole)
    if part:
        whole = {**whole, "allOf": [{"$ref": f"#/$defs/{part}"}]}
    return jsonschema.Draft202012Validator(whole)


def keys(properties, prefix=""):
    """Every key that the schema names, as "attempt.times.wait_ms"."""
    for name, of in properties.items():
        yield prefix + name
        yield from keys(of.get("properties", {}), f"{prefix}{name}.")


def _event_keys(event, prefix=""):
    for name, value in event.items():
        yield prefix + name
        if isinstance(value, dict) and name != "metadata":  # whose keys are the submitter's
            yield from _event_keys(value, f"{prefix}{name}.")


@functools.cache
def _named():
    return set(keys(schema()["$defs"]["event"]["properties"]))


def hold(event, part=None):
    """The event is as the schema says (`part`: as that definition of it), and has no key more."""
    error = jsonschema.exceptions.best_match(_validator(part).iter_errors(event))
    assert error is None, f"{error.json_path}: {error.message}\n{json.dumps(event)}"
    assert set(_event_keys(event)) == _named(), set(_event_keys(event)) ^ _named()


def hold_gap(record):
    """The record of a gap is as its own definition says, and has no key more."""
    whole = schema()
    validator = jsonschema.Draft202012Validator(
        {"$ref": "#/$defs/gap", "$defs": whole["$defs"]})
    error = jsonschema.exceptions.best_match(validator.iter_errors(record))
    assert error is None, f"{error.json_path}: {error.message}\n{json.dumps(record)}"
    assert set(record) == set(whole["$defs"]["gap"]["properties"]), record


class Sampler:
    """Holds the first events of each kind: to hold every one of thousands would take its time."""

    PER_KIND = 40

    def __init__(self, since=""):
        """Events from before `since` have the keys of the version that wrote them."""
        self.since = since
        self.held = {}

    def hold(self, events):
        for event in events:
            of_kind = self.held.setdefault(event["kind"], set())
            if (len(of_kind) < self.PER_KIND and event["event_id"] not in of_kind
                    and event["time"] >= self.since):
                hold(event)
                of_kind.add(event["event_id"])

"""A span as a store gives it back, whichever of OTLP's ways of writing JSON it has.

Phoenix writes names with underscores, ids in hexadecimal and what is not there as null; MLflow ids in base64; OTLP's own
file format names in camel case. Here they are one value, so that what came can be compared with what was sent.
"""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_STATUS = {None: "", 0: "", 1: "OK", 2: "ERROR", "STATUS_CODE_ERROR": "ERROR"}
_UPPER = re.compile("[A-Z]")


@dataclass(frozen=True, slots=True)
class Stored:
    """One span. Ids in hexadecimal, times in nanoseconds since the epoch."""

    id: str
    parent: str
    name: str
    start_ns: int
    end_ns: int
    status: str  # "", OK, ERROR
    message: str
    attributes: dict[str, Any]
    events: tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]

    @property
    def is_process(self) -> bool:
        """Whether it is a process, not a call."""
        return "process.executable.name" in self.attributes


def read_file(text: str) -> list[Stored]:
    """Return the spans in lines of OTLP's file format."""
    return [
        parse(span)
        for line in text.splitlines()
        for whole in json.loads(line).get("resourceSpans", [])
        for part in whole["scopeSpans"]
        for span in part["spans"]
    ]


def parse(written: dict[str, Any]) -> Stored:
    """Return the span that is *written*."""
    span = _underscored(written)
    status = span.get("status") or {}
    return Stored(
        id=_id(span["span_id"]),
        parent=_id(span.get("parent_span_id") or ""),
        name=span["name"],
        start_ns=int(span["start_time_unix_nano"]),
        end_ns=int(span["end_time_unix_nano"]),
        status=_STATUS[status.get("code")],
        message=status.get("message") or "",
        attributes=_attributes(span),
        events=tuple(
            (event["name"], tuple(_attributes(event).items())) for event in span.get("events") or []
        ),
    )


def _underscored(value: Any) -> Any:
    """Return *value* with the names of its fields as protobuf declares them."""
    if isinstance(value, list):
        return [_underscored(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        _UPPER.sub(lambda found: "_" + found[0].lower(), key): _underscored(one)
        for key, one in value.items()
    }


def _id(text: str) -> str:
    return text if len(text) in (0, 16) else base64.b64decode(text).hex()


def _attributes(holder: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted(_pairs(holder.get("attributes") or [])))


def _pairs(attributes: list[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    for one in attributes:
        ((kind, value),) = [item for item in one["value"].items() if item[1] is not None]
        yield one["key"], int(value) if kind == "int_value" else value

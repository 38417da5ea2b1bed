"""A timeline in the trace event format, which Perfetto and Chrome's tracing page open.

The format is JSON: a list of events, of which three kinds are used here: complete slices (``X``),
counters (``C``) and names (``M``).  Its unit of time is a microsecond, which here stands for a
cycle.
"""

from __future__ import annotations

import json
from typing import Any

from penstock.host.report.timeline import Timeline

__all__ = ["to_trace_events"]

_PROCESS = 1


def _name(kind: str, track: int, **args: str | int) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": _PROCESS, "tid": track, "args": args}


def to_trace_events(timeline: Timeline, *, title: str) -> bytes:
    """Return the file's bytes.

    Parameters
    ----------
    timeline : Timeline
    title : str
        Title of the trace.
    """
    events = [_name("process_name", 0, name=title)]
    for number, (track, slices) in enumerate(timeline.tracks.items(), start=1):
        events.append(_name("thread_name", number, name=track))
        events.append(_name("thread_sort_index", number, sort_index=number))
        events += [
            {
                "ph": "X",
                "name": piece.name,
                "cat": track,
                "pid": _PROCESS,
                "tid": number,
                "ts": piece.begin,
                "dur": piece.end - piece.begin,
                "args": piece.args,
            }
            for piece in slices
        ]
    for name, counter in timeline.counters.items():
        events += [
            {
                "ph": "C",
                "name": f"{name} ({counter.unit})",
                "pid": _PROCESS,
                "ts": cycle,
                "args": {counter.unit: value},
            }
            for cycle, value in counter.points
        ]
    # One event per line, so that files can be read, searched and compared.
    lines = ",\n".join(json.dumps(event, separators=(",", ":")) for event in events)
    other = json.dumps({"time": "one microsecond is one cycle"})
    return f'{{"displayTimeUnit":"ms","otherData":{other},"traceEvents":[\n{lines}\n]}}\n'.encode()

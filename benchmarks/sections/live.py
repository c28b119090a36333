"""Cameras, several streams, the web page, and hours of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..soak import Sample, slopes
from .base import Record, Records, Section, machine, machines, ms, ratio, table


def _rtsp(records: Records) -> Iterator[str]:
    yield from machines({name: record["conditions"] for name, record in records.items()})
    columns = [_rtsp_column(record) for record in records.values()]
    yield from table(("", *records), ((words, *(column.get(words, "") for column in columns)) for words in columns[0]))


def _rtsp_column(record: Record) -> dict[str, str]:
    """What is measured -> what came out."""
    steady, kills, troubles = record["steady"], record["kills"], record["troubles"]
    age, held = steady["age_ms"], [*kills["held_before_each_and_at_the_end"], *troubles["held_before_each_and_at_the_end"]]
    found = {
        "steady part": f"{steady['seconds'] / 60:.0f} minutes, a model that takes {ms(1e3 * record['infer_s'])}",
        "age, median / p99 / longest": " / ".join(ms(age[key]) for key in ("median", "p99", "max")),
        "age of its first and of its last tenth, median": " / ".join(map(ms, steady["age_ms_first_and_last_tenth"])),
        "results, frames dropped": f"{steady['results']}, {steady['counts']['dropped']}",
        "memory": _range(steady["held"], "memory_mb", " MB"),
        "threads, file handles": f"{_range(steady['held'], 'threads')}, {_range(steady['held'], 'handles')}",
        "next result after each restart of the server": ", ".join(f"{seconds:.1f} s" for seconds in kills["resumed_after_s"]),
    }
    for name, trouble in troubles.items():
        if isinstance(trouble, Mapping) and "next_result_after_s" in trouble:
            during = f"{trouble['results']} results in {trouble['seconds']:.0f} s"
            found[f"`{name}`: meanwhile; next result after its end"] = f"{during}; {trouble['next_result_after_s']:.2f} s"
    found["memory, restarts and troubles"] = _range(held, "memory_mb", " MB")
    found["threads, file handles then"] = f"{_range(held, 'threads')}, {_range(held, 'handles')}"
    return found


def _range(held: Sequence[Mapping[str, float]], name: str, unit: str = "") -> str:
    values = [one[name] for one in held]
    return f"{values[0]:g}{unit} throughout" if min(values) == max(values) else f"{min(values):g} to {max(values):g}{unit}"


def _streams(records: Records) -> Iterator[str]:
    yield from machines({name: record["conditions"] for name, record in records.items()})
    yield from table(
        ("cameras", "p99 age against at once", "pairs lower at p99", "median age against at once", "key frames", "frames dropped"),
        (_stream_row(found) for record in records.values() for found in record["results"]),
    )
    yield from ("![How old the results of eight cameras are](benchmarks_streams.png)", "")


def _stream_row(found: Record) -> Iterator[str]:
    setting = found["setting"]
    moments = "spread moments" if setting["spread"] else "the same moment"
    yield f"{setting['cameras']}, {setting['fps']:g} frames a second each, `fixed:{setting['interval']}`, {moments}"
    yield _compared(found["p99_ms"])
    yield f"{found['p99_ms']['pairs_lower']} of {found['p99_ms']['pairs']}"
    yield _compared(found["p50_ms"])
    yield from (f"{found[name]['staggered']} against {found[name]['together']}" for name in ("key_frames", "dropped"))


def _compared(found: Record) -> str:
    low, high = found["within"]
    words = {"faster": "lower", "slower": "higher"}.get(found["staggered_is"], found["staggered_is"])
    return f"{found['ratio']:.2f} ({low:.2f} to {high:.2f}): {words}"


def _batching(records: Records) -> Iterator[str]:
    for record in records.values():
        yield from machine(record["conditions"])
        nets = {name: found for name, found in record.items() if name not in ("conditions", "rounds")}
        yield from table(
            ("network", "backend", "pictures", "one by one", "together", "times as long one by one"),
            (
                (f"`{name}`", backend, n, *(ms(one["ms_a_picture"][way]) for way in ("runs", "batch")), ratio(one["runs_over_batch"]))
                for name, backends in nets.items()
                for backend, sizes in backends.items()
                for n, one in sizes.items()
            ),
        )


def _viewers(records: Records) -> Iterator[str]:
    for record in records.values():
        case = record["case"]
        yield from machine(record["conditions"])
        yield f"{case['rounds']} rounds of {case['frames_a_stretch']} frames; {case['reading']} viewers read, {case['stuck']} never do."
        yield ""
        yield from table(
            ("", "frames a second", "time against no page", "processor time of its thread", "a write, median / p99 / longest"),
            (_viewer_row(record, name) for name in record["contenders"]),
        )


def _viewer_row(record: Record, name: str) -> Iterator[str]:
    yield from (name, f"{record['contenders'][name]['frames_a_second']:.1f}")
    if name not in record["time_against_no_page"]:
        yield from ("1", "1", "")
        return
    yield from (ratio(record["time_against_no_page"][name]), f"{record['cpu_time_against_no_page'][name]:.3f}")
    yield " / ".join(ms(record["write_us"][name][key] / 1e3) for key in ("p50", "p99", "max"))


def _soak(records: Records) -> Iterator[str]:
    for record in records.values():
        yield from machine(record["conditions"])
        growth, samples = record["slopes_per_hour"], record["samples"]
        warm = [one for one in samples if one["at_s"] >= 60 * record["warm_up_minutes"]]
        yield from table(
            ("", f"{record['minutes']:g} minutes, the first {record['warm_up_minutes']:g} left out of the slopes"),
            [
                *([("beside it", record["beside"])] if record.get("beside") else []),
                ("troubles", ", ".join(f"{count} x `{name}`" for name, count in record["troubles"].items())),
                ("results", f"{record['results']}: {', '.join(f'{count} {step}' for step, count in record['steps'].items())}"),
                ("memory", f"{_range(warm, 'memory_mb', ' MB')}; {growth['memory_mb']:+.2f} MB an hour"),
                ("memory, ten times", ", ".join(f"{one['memory_mb']:.0f}" for one in samples[:: max(1, len(samples) // 10)]) + " MB"),
                ("memory of the second half", f"{_second_half(samples):+.2f} MB an hour"),
                ("threads", f"{_range(warm, 'threads')}; {growth['threads']:+.2f} an hour"),
                ("file handles", f"{_range(warm, 'handles')}; {growth['handles']:+.2f} an hour"),
                ("age of results", f"{growth['age_ms']:+.2f} ms an hour"),
                ("after SIGTERM", f"exit code {record['exit_code_after_sigterm']}, {_last_line(record)}"),
            ],
        )


def _second_half(samples: Sequence[Mapping[str, float]]) -> float:
    """Growth of memory, MB an hour."""
    half = [Sample(**one) for one in samples[len(samples) // 2 :]]
    return slopes(half)["memory_mb"]


def _last_line(record: Record) -> str:
    return "whole lines" if record["file_ends_with_a_whole_line"] else "a line cut off"


RTSP = Section(
    "A network camera that misbehaves",
    "A real RTSP server on the same machine, 30 frames a second; the true age of results is read from the picture itself. Then the "
    "server is killed and started again, loses packets, stalls, freezes and changes its size. "
    "It needs GStreamer's RTSP server (`gir1.2-gst-rtsp-server-1.0`).",
    ("rtsp_chaos", "rtsp_chaos_loaded"),
    ("python -m benchmarks.rtsp_chaos --minutes 10 --kills 5 --out benchmarks/results/rtsp_chaos.json",),
    _rtsp,
)
SOAK = Section(
    "An hour of a camera that misbehaves",
    "`edgeseg run` itself against the same server, with its web page served to one viewer and JSON lines written all the while. Every "
    "minute has one trouble. Slopes are by least squares.",
    ("soak",),
    ("python -m benchmarks.soak --minutes 60 --out benchmarks/results/soak.json",),
    _soak,
)
STREAMS = Section(
    "Several cameras on one model",
    "The demo bundle with staggered key frames against key frames at once, in turns. Ratios are of pairs, with 99 % bounds; below 1 "
    "the results of staggered key frames are younger. Cameras that take more than the machine can do drop frames.",
    ("streams", "streams_3fps"),
    (
        "python -m benchmarks.streams --out benchmarks/results/streams.json",
        "python -m benchmarks.streams --fps 3 --pairs 10 --out benchmarks/results/streams_3fps.json",
    ),
    _streams,
)
BATCHING = Section(
    "Pictures of several cameras in one run of the network",
    "The network up to the raw predictions, with one picture after the other and with all at once, in turns; milliseconds a picture.",
    ("batching",),
    ("python -m benchmarks.batching --recipe yolact_demo_video --rounds 40 --out benchmarks/results/batching.json",),
    _batching,
)
VIEWERS = Section(
    "Viewers of the web page",
    "The demo model without a page, with one that nobody watches, and with viewers, in turns. The viewers are a process of their own "
    "on the same machine.",
    ("web_viewers",),
    ("python -m benchmarks.web_viewers --out benchmarks/results/web_viewers.json",),
    _viewers,
)

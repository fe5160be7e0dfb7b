"""A frame's way from its sender to the sink is one trace, as a real OTLP collector receives it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from cluster.trials.feed import write_feed
from cluster.trials.processes import Ends, command
from receiver.observer import Observers
from receiver.traces import ReceiverTraces
from receiver.ways import Ways
from shared.errors import SidewireError
from shared.tracing import context_of, traceparent_of, tracing
from tests.hostile import NO_TEXT, GatedPool
from tests.patience import PATIENCE
from tests.wire_client import IMAGES, good, receiving

ROWS = 5


@dataclass
class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps all spans, by the service that sent them."""

    spans: list[tuple[str, Span]] = field(default_factory=list)

    def Export(  # noqa: N802
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        for resource in request.resource_spans:
            names = {one.key: one.value.string_value for one in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [(names["service.name"], span) for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()

    def named(self, service: str, name: str) -> list[Span]:
        """The spans of one kind, by their frames' numbers."""
        found = [span for one, span in self.spans if (one, span.name) == (service, name)]
        return sorted(found, key=lambda span: int(attributes(span).get("sidewire.seq", "0")))

    def children(self, parent: Span) -> dict[str, Span]:
        """The spans right below one, by name."""
        return {
            span.name: span
            for _, span in self.spans
            if (span.trace_id, span.parent_span_id) == (parent.trace_id, parent.span_id)
        }


def attributes(span: Span) -> dict[str, str]:
    return {one.key: one.value.string_value or str(one.value.int_value) for one in span.attributes}


@pytest.fixture
def collecting() -> Iterator[tuple[Collector, str]]:
    collector, server = Collector(), grpc.server(ThreadPoolExecutor(4))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield collector, f"http://127.0.0.1:{port}"
    server.stop(None)


def transfer(folder: Path, endpoint: str, *receive: object) -> None:
    """Pictures and their captions, from feed to sink; all three programs are traced."""
    write_feed(folder / "feed.parquet", rows=ROWS, payload_bytes=60)
    traces = ("--traces", endpoint)
    noop = ("--set", "decoder=benchmark-echo", "--caption-wait", 60)
    with Ends(
        folder,
        folder / "feed.parquet",
        receive=(*noop, *receive, *traces),
        send=("--codec", "sealed", *traces),
    ) as ends:
        receiver = ends.start_receiver()
        assert ends.start_sender(captions=True).wait() == 0, ends.said("send")
        receiver.signal(15)
        assert receiver.wait() == 0


def test_one_trace_a_frame_with_its_caption_beside_it(
    collecting: tuple[Collector, str], tmp_path: Path
) -> None:
    collector, endpoint = collecting
    transfer(tmp_path, endpoint)
    pictures = collector.named("sidewire-sender", "picture")
    captions = collector.named("sidewire-captions", "caption")
    assert len(pictures) == len(captions) == ROWS
    assert len({span.trace_id for span in (*pictures, *captions)}) == 2 * ROWS
    for seq, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        assert attributes(picture) == {
            "sidewire.stream": "feed",
            "sidewire.seq": str(seq),
            "sidewire.disposition": "decoded_with_text",
        }
        below = collector.children(picture)
        assert below.keys() == {"encode", "send", "receive"}
        assert attributes(below["encode"])["sidewire.bytes"] != "0"
        assert attributes(below["send"]) == {"sidewire.sent": "1"}
        received = below["receive"]
        assert attributes(received)["sidewire.revision"] == "1"
        assert [link.span_id for link in received.links] == [caption.span_id]
        phases = collector.children(received)
        assert phases.keys() == {"join", "queue", "decode", "sink"}
        times = [received.start_time_unix_nano]
        for name in ("join", "queue", "decode", "sink"):
            times += [phases[name].start_time_unix_nano, phases[name].end_time_unix_nano]
        assert times == sorted(times)
        assert collector.children(caption).keys() == {"send"}


def test_a_later_picture_is_in_its_captions_trace(
    collecting: tuple[Collector, str], tmp_path: Path
) -> None:
    collector, endpoint = collecting
    transfer(tmp_path, endpoint, "--mode", "refine")
    pictures = collector.named("sidewire-sender", "picture")
    received = [collector.children(picture)["receive"] for picture in pictures]
    assert {attributes(span)["sidewire.disposition"] for span in received} == {"decoded_no_text"}
    captions = collector.named("sidewire-captions", "caption")
    for picture, caption in zip(pictures, captions, strict=True):
        refined = collector.children(caption)["refine"]
        assert attributes(refined)["sidewire.disposition"] == "decoded_text_late"
        # Where the frame had left memory, its container came back from the ledger, without its trace.
        assert {link.span_id for link in refined.links} <= {picture.span_id}
        assert collector.children(refined).keys() >= {"queue", "decode", "sink"}


def test_what_was_not_decoded_is_an_error_in_its_trace(
    collecting: tuple[Collector, str], tmp_path: Path
) -> None:
    collector, endpoint = collecting
    parent = "00-" + "a1" * 16 + "-" + "b2" * 8 + "-01"

    async def run() -> None:
        pool = GatedPool()
        with tracing(endpoint, "sidewire-receiver") as tracer:
            assert tracer is not None
            observer = Observers(Ways(ReceiverTraces(tracer).gone))
            async with receiving(tmp_path, pool=pool, observer=observer) as local:
                images = await local.talk(await local.peer(), IMAGES)
                for seq in range(pool.width):  # all decoders are at work
                    await images.send(frame=images.frame(seq, good(seq)))
                await pool.asked.wait()
                last = images.frame(pool.width, good(pool.width), ttl=timedelta(milliseconds=10))
                last.traceparent = parent
                await images.send(frame=last)
                broken = images.frame(pool.width + 1, good(pool.width + 1))
                broken.traceparent = "no trace context " * 100
                await images.send(frame=broken)
                await asyncio.sleep(0.1)
                pool.gate.set()
                assert (await images.end_of(pool.width + 1)).disposition == NO_TEXT

    asyncio.run(run())
    expired = [
        span for span in collector.named("sidewire-receiver", "receive") if span.parent_span_id
    ]
    assert [span.parent_span_id.hex() for span in expired] == ["b2" * 8]
    assert [span.trace_id.hex() for span in expired] == ["a1" * 16]
    assert [span.status for span in expired] == [
        Status(code=Status.STATUS_CODE_ERROR, message="ttl is over")
    ]
    assert collector.children(expired[0]).keys() == {"join", "queue"}


def test_nothing_is_imported_where_nobody_traces(tmp_path: Path) -> None:
    code = (
        "import sys, receiver.serve, sender.send, sender.captions\n"
        "from sender.traced import traced\n"
        "with traced('', 'picture', 's') as observer:\n"
        "    assert observer.traceparent(0) == ''\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("endpoint", ["127.0.0.1:4317", "ftp://x", "http://"])
def test_an_endpoint_that_is_none(tmp_path: Path, endpoint: str) -> None:
    write_feed(tmp_path / "feed.parquet", rows=1, payload_bytes=60)
    done = subprocess.run(
        command(
            *("send", "--feed", tmp_path / "feed.parquet", "--images", "127.0.0.1:1"),
            *("--state", tmp_path / "journal", "--codec", "sealed", "--traces", endpoint),
        ),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert f"traces is '{endpoint}', must be like http://127.0.0.1:4317" in done.stderr


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.grpc.trace_exporter", None)
    with (
        pytest.raises(SidewireError, match=r"pip install 'sidewire\[traces\]'"),
        tracing("http://127.0.0.1:1", "x"),
    ):
        pass


def test_a_silent_collector_costs_no_picture(tmp_path: Path) -> None:
    transfer(tmp_path, "http://127.0.0.1:1")


def test_what_a_newer_peer_adds_is_passed_over(tmp_path: Path) -> None:
    """As a receiver of before the trace context does with that."""

    async def run() -> None:
        async with receiving(tmp_path) as local:
            images = await local.talk(await local.peer(), IMAGES)
            frame = images.frame(0, good(0))
            frame.MergeFromString(b"\xa2\x06\x03new")  # field 100, a string
            await images.send(frame=frame)
            assert (await images.end_of(0)).disposition == NO_TEXT

    asyncio.run(run())


def test_contexts_travel_as_they_are() -> None:
    text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    context = context_of(text)
    assert context is not None
    assert context.is_remote
    assert traceparent_of(context) == text
    for wrong in (
        "",
        text[:-1],
        text.upper(),
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"01{text[2:]}",
    ):
        assert context_of(wrong) is None

"""``sidewire compare``: measure, hold at equal bits, show. What fails is reported; the rest goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Console
from rich.measure import Measurement
from rich.progress import Progress

from cluster.bench.provenance import provenance
from cluster.compare.choice import choose
from cluster.compare.gains import compared
from cluster.compare.page import write_page
from cluster.compare.pairs import MODES, pairs_of
from cluster.compare.plots import write_plots
from cluster.compare.rates import rate_rows
from cluster.compare.records import Comparison, NotMeasured
from cluster.compare.request import Request
from cluster.compare.side_by_side import side_by_side
from cluster.compare.tables import answers, rates
from cluster.console import progress_bars
from cluster.doctor import NOT_MEASURED
from cluster.evaluation.collect import collect
from cluster.evaluation.entries import CodecEntry, open_codec
from cluster.evaluation.measure import entries_of, tasks_of, texts_of
from cluster.evaluation.report import write_results
from cluster.evaluation.rows import ResultRow
from cluster.reproduce.sheet import MEASURES
from cluster.reproduce.tables import Section, terminal_table
from shared.codecs.interface import StreamDecoder
from shared.errors import SidewireError
from shared.metrics.matching import check_matchers
from shared.pictures import write_atomically

__all__ = ["compare", "compare_command", "print_whole"]

#: Characters of a line that no table reaches.
MOST_COLUMNS = 10_000

#: Why a measure that runs here has no figure of any picture.
NO_FIGURE = {
    "ms_ssim": "the pictures are too small for it",
    "judge": "no picture has a second caption to be judged by",
}


def compare(request: Request, progress: Progress) -> Comparison:
    """Compare codecs on a feed, and write records, rows, plots, pictures and the page.

    Args:
        progress: gets bars, and is warned on.

    Raises:
        UnknownCodecError, QualityError, BundleError: a codec or a matcher cannot be had, before any work.
        FeedError: the feed cannot be read. TextModeError: it has captions of one picture only.
        SidewireError: it has none, nothing could be measured, or the folder cannot be written.
    """
    check_matchers()
    texts = texts_of(request.feed, MODES, request.limit)
    if not any(told.caption for one in texts for told in one):
        raise SidewireError(f"{request.feed}: no picture has a caption to compare with")
    try:
        request.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SidewireError(f"cannot write {request.out}: {error.strerror}") from None
    levels, missing = choose(request)

    bar = progress.add_task("measuring", total=len(texts) * len(levels))
    tasks = tasks_of(
        request.feed,
        entries_of(levels),
        texts,
        request.ssimulacra2_every,
        matching=True,
        timed=request.jobs == 1,
    )
    rows, failures = collect(tasks, request.jobs, len(levels), progress, bar)
    if not rows:
        raise SidewireError(f"{request.feed}: no picture could be measured")
    write_results(request.out / "rows.parquet", rows)

    bar = progress.add_task("side by side", total=min(request.show, len(texts)))
    shown = side_by_side(request, rows, texts, lambda: progress.advance(bar))
    measured = tuple(name for name in levels if any(row.codec == name for row in rows))
    pairs, unpaired = pairs_of(measured)
    gains, saved = compared(pairs, rows)
    found = Comparison(
        command=request.command,
        feed=request.feed.name,
        pictures=len({row.id for row in rows}),
        rates=rate_rows(rows, levels),
        gains=gains,
        saved=saved,
        shown=shown,
        not_measured=(*missing, *unpaired, *_without_figure(rows, request), *_without_weights()),
        failures=tuple(failures),
        provenance=provenance(_models(measured)),
    )
    plots = write_plots(request.out, found)
    text = json.dumps(found.to_json(), indent=2) + "\n"
    write_atomically(request.out / "compare.json", text.encode())
    write_page(request.out / "index.html", found, plots)
    return found


def _models(codecs: Sequence[str]) -> dict[str, str]:
    """Ids of the streams' models."""
    decoders = {name: open_codec(CodecEntry(name, name)).decoder for name in codecs}
    return {
        name: decoder.model_id.hex()
        for name, decoder in decoders.items()
        if isinstance(decoder, StreamDecoder)
    }


def _without_weights() -> list[NotMeasured]:
    return [NotMeasured(name, "its weights are not on this machine") for name in NOT_MEASURED]


def _without_figure(rows: Sequence[ResultRow], request: Request) -> list[NotMeasured]:
    """Measures that run here and had nothing to measure."""
    found = [
        NotMeasured(measure.label, NO_FIGURE.get(measure.name, "no picture could be scored"))
        for measure in MEASURES
        if all(measure.of(row) is None for row in rows)
    ]
    if request.jobs > 1:
        why = "several processes measured beside each other; --jobs 1 takes times"
        found.append(NotMeasured("encode and decode times", why))
    return found


def print_whole(console: Console, sections: Sequence[Section]) -> None:
    """Print tables whole, on a narrow terminal in wrapped lines: cut figures are of no use."""
    tables = [terminal_table(section) for section in sections]
    boundless = console.options.update(max_width=MOST_COLUMNS)
    widest = max(Measurement.get(console, boundless, table).maximum for table in tables)
    console.width = max(console.width, widest)
    for table in tables:
        console.print(table)


def compare_command(request: Request, as_json: bool) -> None:
    """What ``sidewire compare`` does; prints the tables, or the records as JSON.

    Raises:
        SidewireError: as :func:`compare`.
    """
    with progress_bars() as progress:
        found = compare(request, progress)
    if as_json:
        print(json.dumps(found.to_json()))
        return
    console = Console(highlight=False)
    print_whole(console, [rates(found), *answers(found.gains)])
    for one in found.not_measured:
        console.print(f"not measured: {one.what}: {one.why}", markup=False, soft_wrap=True)
    console.print(f"The page is {request.out / 'index.html'}", markup=False, soft_wrap=True)

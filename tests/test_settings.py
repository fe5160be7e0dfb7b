"""Settings: who wins, where a value came from, what is refused, and the same through the commands."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from cluster.bench.options import BenchOptions
from cluster.console import errors_in_one_line
from cluster.demo.options import DemoOptions
from receiver.settings import ReceiveSettings
from receiver.viewer.upload.settings import PageSettings
from sender.settings import CaptionSettings, SendSettings, StatusSettings
from shared.errors import QualityError, SidewireError, StorageError, WorkLeftError
from shared.settings import Flag, Setting, Settings, SettingsError
from shared.wire.limits import Limits, Window
from shared.wire.security import SecurityError
from tests.commands import sidewire, sidewire_process

PLACES = {"state": "state", "sink": "pictures"}
FEED = {"feed": "photos.parquet", "images": "10.0.0.7:7601"}


def config(folder: Path, text: str) -> Path:
    path = folder / "conf.yaml"
    path.write_text(text)
    return path


def described(settings: Settings) -> dict[str, Setting]:
    return {one.name: one for one in settings.describe()}


# Precedence


def test_a_flag_beats_the_environment_that_a_file_and_that_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = config(tmp_path, "mode: refine\ncaption_wait: 3\nlate_window: 3\ncommit_rows: 3\n")
    monkeypatch.setenv("SIDEWIRE_RECEIVE_CAPTION_WAIT", "4")
    monkeypatch.setenv("SIDEWIRE_RECEIVE_LATE_WINDOW", "4")
    flags = PLACES | {"late_window": "5"}
    settings = ReceiveSettings.load(flags, file)
    assert settings.mode == "refine"
    assert (settings.caption_wait, settings.late_window) == (4.0, 5.0)
    found = described(settings)
    assert list(found) == list(ReceiveSettings.model_fields)
    assert found["state"].origin == "flag"
    assert found["late_window"].origin == "flag"
    assert found["caption_wait"].origin == "environment SIDEWIRE_RECEIVE_CAPTION_WAIT"
    assert found["commit_rows"].origin == f"file {file}"
    assert (found["quota_streams"].value, found["quota_streams"].origin) == (64, "default")
    assert all(one.description for one in found.values())


def test_what_is_built_directly_looks_at_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDEWIRE_RECEIVE_COMMIT_ROWS", "3")
    assert ReceiveSettings(state="state", sink="pictures").commit_rows == 256
    assert ReceiveSettings.load(PLACES).commit_rows == 3


def test_empty_and_foreign_variables_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDEWIRE_RECEIVE_COMMIT_ROWS", "")
    monkeypatch.setenv("SIDEWIRE_RECEIVE_SERVICE_HOST", "10.0.0.1")  # Kubernetes sets such
    assert ReceiveSettings.load(PLACES).commit_rows == 256


def test_lists_come_with_commas_or_from_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = PLACES | {"self_address": "b:2"}
    file = config(tmp_path, "gateways: ['a:1', 'b:2']\n")
    assert ReceiveSettings.load(flags, file).gateways == ("a:1", "b:2")
    monkeypatch.setenv("SIDEWIRE_RECEIVE_GATEWAYS", "b:2,c:3")
    assert ReceiveSettings.load(flags, file).gateways == ("b:2", "c:3")


# What is refused


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"commit_rows": 0}, "commit_rows is 0 (flag), must be greater than or equal to 1"),
        ({"caption_wait": "nan"}, "caption_wait is 'nan' (flag), must be a finite number"),
        ({"late_window": -1}, "late_window is -1 (flag), must be greater than or equal to 0"),
        ({"mode": "hurry"}, "mode is 'hurry' (flag), must be 'wait' or 'refine'"),
        ({"images": "7601"}, "images is '7601' (flag), must be host:port, such as 127.0.0.1:7601"),
        ({"frame_bytes": 1 << 40}, "frame_bytes is 1099511627776 (flag), must be less than or"),
        (
            {"image_window_bytes": 1 << 20},
            "image_window_bytes is 1048576, must be at least 8388608",
        ),
        ({"caption_window_bytes": 100}, "caption_window_bytes is 100, must be at least 16384"),
        ({"quota_bytes": 1 << 20}, "quota_bytes is 1048576, must be at least 8388608"),
        ({"sink": None}, "sink is missing: give --sink, the place for sink_kind folder"),
        ({"gateways": "a:1,b"}, "gateways is 'b' (flag), must be host:port"),
        ({"gateways": "a:1"}, "self_address is '', must be one of gateways (a:1)"),
        ({"imagse": "h:1"}, "no setting is called 'imagse' (flag); did you mean images?"),
        ({"advertise_images": "rx"}, "advertise_images is 'rx' (flag), must be host:port"),
        ({"images": "0.0.0.0:1"}, "images is 0.0.0.0:1, which others can reach, and there is no"),
        ({"captions": "rx:7602"}, "captions is rx:7602, which others can reach, and there is no"),
    ],
)
def test_wrong_settings_of_a_receiver(flags: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        ReceiveSettings.load(PLACES | flags)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"images": "h:0"}, "with a port of 1 to 65535"),
        ({"stream": ".hidden"}, "stream is '.hidden' (flag), "),
        ({"stream": "x" * 65}, "stream is 'xxx"),
        ({"caption_drop": 1.5}, "caption_drop is 1.5 (flag), must be less than or equal to 1"),
        ({"rate": 0}, "rate is 0 (flag), must be greater than 0"),
        ({"journal_bytes": 1000}, "journal_bytes is 1000 (flag), must be greater than"),
        ({"feed": ""}, "feed is '' (flag), "),
        ({"token": "hush", "token_file": "x"}, "token and token_file are both given"),
        ({"token": 4711}, "token is ********** (flag), must be a valid string"),
    ],
)
def test_wrong_settings_of_a_sender(flags: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        SendSettings.load(FEED | flags)
    assert message in str(refused.value)
    assert "hush" not in str(refused.value)
    assert "4711" not in str(refused.value)


def test_all_problems_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDEWIRE_SEND_QUALITY", "best")
    with pytest.raises(SettingsError) as refused:
        SendSettings.load({"feed": "photos.parquet"})
    assert "images is missing: give --images, SIDEWIRE_SEND_IMAGES or " in str(refused.value)
    assert "quality is 'best' (environment SIDEWIRE_SEND_QUALITY), must be" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("commit_rowss: 3", r"no setting is called 'commit_rowss' \(file .*conf.yaml\); did you"),
        ("7: 3", r"no setting is called 7 \(file"),
        ("commit_rows: x", r"commit_rows is 'x' \(file .*conf.yaml\), must be a valid integer"),
        ("- commit_rows", "holds a list, must hold names and values"),
        ("mode: [wait", "is not YAML: "),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as refused:
        ReceiveSettings.load(PLACES, config(tmp_path, text))
    assert "\n" not in str(refused.value)
    assert ReceiveSettings.load(PLACES, config(tmp_path, "")).commit_rows == 256
    with pytest.raises(SettingsError, match=r"cannot read .*none\.yaml: No such file"):
        ReceiveSettings.load(PLACES, tmp_path / "none.yaml")


@pytest.mark.parametrize("address", ["0.0.0.0:7601", "[::]:7601", "rx.example.org:7601"])
def test_beyond_this_machine_a_receiver_wants_tls_or_a_word(address: str) -> None:
    flags = PLACES | {"images": address}
    with pytest.raises(SettingsError, match="--plaintext-on-the-network"):
        ReceiveSettings.load(flags)
    assert ReceiveSettings.load(flags | {"plaintext_on_the_network": True}).images == address
    assert ReceiveSettings.load(flags | {"tls_cert": "c", "tls_key": "k"}).images == address
    for here in ("127.0.0.1:0", "unix:/run/images.sock"):
        assert ReceiveSettings.load(PLACES | {"images": here}).images == here


# What settings lead to


def test_limits_of_a_receiver() -> None:
    assert ReceiveSettings.load(PLACES).limits == Limits()
    changed = {"frame_bytes": 4096, "image_window_frames": 5, "caption_window_bytes": 1 << 20}
    limits = ReceiveSettings.load(PLACES | changed).limits
    assert limits.frame_bytes == 4096
    assert limits.image_window == Window(5, Limits.image_window.bytes)
    assert limits.caption_window == Window(Limits.caption_window.frames, 1 << 20)


def test_security_of_both_sides(tmp_path: Path) -> None:
    assert ReceiveSettings.load(PLACES).security().credentials is None
    tokens = PLACES | {"tokens": tmp_path / "tokens.yaml"}
    with pytest.raises(SecurityError, match="tokens need TLS"):
        ReceiveSettings.load(tokens).security()
    assert SendSettings.load(FEED).security().credentials is None
    (tmp_path / "token").write_text("hush\n")
    with pytest.raises(SecurityError, match="over TLS alone"):
        SendSettings.load(FEED | {"token_file": tmp_path / "token"}).security()
    (tmp_path / "token").write_text("\n")
    with pytest.raises(SecurityError, match=r"token_file .* is empty"):
        SendSettings.load(FEED | {"token_file": tmp_path / "token"}).security()
    with pytest.raises(SecurityError, match=r"cannot read token_file .*none: No such file"):
        StatusSettings.load({"token_file": tmp_path / "none"}).security()


def test_a_sender_tells_its_publisher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDEWIRE_CAPTIONS_DROP", "0.9")  # for the command of that name alone
    own = {"captions": "10.0.0.7:7602", "repeat": 3, "ttl": 60, "token": "hush", "tls_ca": "ca.pem"}
    told = {"caption_delay": 2, "caption_drop": 0.25, "caption_ttl": 5, "caption_seed": 7}
    sender = SendSettings.load(FEED | own | told)
    publisher = sender.caption_settings("news")
    expected = {
        "feed": "photos.parquet",
        "to": "10.0.0.7:7602",
        "stream": "news",
        "repeat": 3,
        "delay": 2.0,
        "drop": 0.25,
        "ttl": 5.0,
        "seed": 7,
        "tls_ca": Path("ca.pem"),
        "token": sender.token,
    }
    assert publisher.model_dump(exclude_defaults=True) == expected
    assert pickle.loads(pickle.dumps(publisher)) == publisher  # it goes to another process
    with pytest.raises(SettingsError, match="captions is missing"):
        SendSettings.load(FEED).caption_settings("news")


def test_a_publisher_can_be_told_all_that_a_sender_can_tell_it() -> None:
    told = {name.removeprefix("caption_") for name in SendSettings.model_fields}
    apart = {"to", "stream", "feed", "repeat", "rate", "reconnect_seconds"}
    assert CaptionSettings.model_fields.keys() <= told | apart


def test_the_journal_is_in_the_users_state_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SendSettings.load(FEED)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert settings.state_folder("news") == tmp_path / "sidewire" / "send" / "news"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    state = tmp_path / ".local" / "state"
    assert settings.state_folder("news") == state / "sidewire" / "send" / "news"
    assert SendSettings.load(FEED | {"state": "here"}).state_folder("news") == Path("here")


# Commands

COMMANDS: dict[str, type[Settings]] = {
    "receive": ReceiveSettings,
    "send": SendSettings,
    "captions": CaptionSettings,
    "status": StatusSettings,
    "demo": DemoOptions,
    "page": PageSettings,
    "bench": BenchOptions,
}


@pytest.mark.parametrize(("command", "kind"), COMMANDS.items())
def test_help_tells_flags_bounds_and_defaults_of_a_model(
    command: str, kind: type[Settings]
) -> None:
    words = " ".join(sidewire(command, "--help", COLUMNS="400").stdout.split())
    flags = {
        name: field
        for name, field in kind.model_fields.items()
        if any(isinstance(one, Flag) for one in field.metadata)
    }
    assert flags
    for name, field in flags.items():
        assert f"--{name.replace('_', '-')} " in words
        assert field.description
        assert field.description[1:] in words
        if type(field.default) in (int, float):
            assert f"[default: {field.default}]" in words
        assert field.is_required() == (f"{field.description[1:]}. [required]" in words)


def test_bounds_are_shown_as_the_model_has_them() -> None:
    text = sidewire("bench", "--help").stdout
    for shape in ("<int> [1<=x<=64]", "<float> [0<=x<=1]", "<processes|ray>", "--no-captions"):
        assert shape in text


def test_show_config_prints_every_setting_and_its_origin(tmp_path: Path) -> None:
    file = config(tmp_path, "quota_streams: 9\n")
    text = sidewire(
        *("receive", "--state", "s", "--sink", "p", "--config", file, "--set", "commit_rows=2"),
        "--show-config",
        SIDEWIRE_RECEIVE_MODE="refine",
    ).stdout
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in text.splitlines()}
    assert list(rows) == list(ReceiveSettings.model_fields)
    assert rows["mode"] == ["refine", "environment SIDEWIRE_RECEIVE_MODE"]
    assert rows["commit_rows"] == ["2", "flag"]
    assert rows["quota_streams"] == ["9", f"file {file}"]
    assert rows["caption_wait"] == ["2.0", "default"]
    assert rows["tls_cert"] == ["-", "default"]
    columns = {line.index(rows[line.split()[0]][1]) for line in text.splitlines()}
    assert len(columns) == 1


def test_show_config_as_json_masks_secrets() -> None:
    text = sidewire(
        *("send", "--feed", "-", "--images", "h:1", "--again", "--show-config", "--json"),
        SIDEWIRE_SEND_TOKEN="hush",
    ).stdout
    found = json.loads(text)
    assert "hush" not in text
    assert found["token"]["value"] == "**********"
    assert found["token"]["origin"] == "environment SIDEWIRE_SEND_TOKEN"
    assert (found["again"]["value"], found["again"]["origin"]) == (True, "flag")
    assert (found["quality"]["value"], found["quality"]["origin"]) == (None, "default")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["receive"], "state is missing: give --state, SIDEWIRE_RECEIVE_STATE or state in a file"),
        (["receive", "--state", "s", "--sink", "p", "--images", "0.0.0.0:1"], "there is no TLS"),
        (["send", "--feed", "f"], "images is missing"),
        (["captions", "--feed", "f"], "to is missing"),
        (["captions", "--feed", "f", "--to", "h:1", "--drop", "2"], "drop is 2.0 (flag), must be"),
        (["status", "--images", "nowhere"], "images is 'nowhere' (flag), must be host:port"),
        (["status", "--set", "images"], "--set images: must be NAME=VALUE"),
        (["status", "--set", "image=h:1"], "no setting is called 'image' (flag); did you mean"),
        (["status", "--images", "h:1", "--set", "images=h:2"], "images is given twice"),
        (["bench", "--out", "o", "--senders", "65"], "senders is 65 (flag), must be less than or"),
        (["bench", "--out", "o", "--caption-loss", "2"], "caption_loss is 2.0 (flag), must be"),
        (["bench", "--out", "o", "--sink", "sea"], "sink is 'sea' (flag), must be 'folder' or"),
        (["bench", "--out", "o", "--size", "big"], "size is 'big' (flag), must be WIDTHxHEIGHT"),
        (["bench"], "out is missing: give --out"),
        (["demo", "--rate", "0"], "rate is 0.0 (flag), must be greater than or equal to 0.1"),
        (["demo", "--report", "r"], "report is written at the end of a feed: give --headless too"),
        (["status", "--config", "/nonexistent.yaml"], "cannot read /nonexistent.yaml: No such"),
    ],
)
def test_a_wrong_setting_is_one_line_and_exits_with_two(arguments: list[str], message: str) -> None:
    run = sidewire(*arguments, code=2)
    assert run.stderr.startswith("sidewire: ")
    assert message in run.stderr
    assert run.output == run.stderr
    assert run.stderr.count("\n") == 1


def test_a_process_says_the_same_and_exits_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDEWIRE_STATUS_IMAGES", "nowhere")
    run = sidewire_process("status", code=2)
    said = "images is 'nowhere' (environment SIDEWIRE_STATUS_IMAGES), must be host:port"
    assert run.stderr.startswith(f"sidewire: {said}")
    assert run.stderr.count("\n") == 1
    assert run.stdout == ""
    shown = sidewire_process("status", "--set", "images=h:1", "--show-config").stdout
    assert shown.splitlines()[-1].split() == ["images", "h:1", "flag"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SidewireError("x"), 1),
        (SecurityError("x"), 1),
        (QualityError("x"), 2),
        (StorageError("x"), 3),
        (WorkLeftError("x"), 4),
    ],
)
def test_exit_codes(error: SidewireError, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as stopped, errors_in_one_line():
        raise error
    assert stopped.value.exit_code == code
    assert capsys.readouterr().err == "sidewire: x\n"


def test_settings_need_no_torch() -> None:
    code = (
        "import sys, receiver.settings, sender.settings, cluster.cli;"
        "print([name for name in ('torch', 'pyarrow') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
    code = (
        "import sys, cluster.cli;"
        "print([name for name in ('pydantic', 'grpc', 'numpy') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"

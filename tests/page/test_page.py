"""The lane's page: what it shows, in three languages, and what a hostile network gets."""

from __future__ import annotations

import io
import json
import re
import stat
import subprocess
import sys
import tarfile
import time
from itertools import pairwise
from pathlib import Path

import pytest
from bench import wait_for
from eyes_bench import TOKEN, EyesBench
from served import ask, contrast, served

from drivers.events import LinkState
from edge.cli import main
from edge.page.app import Page
from edge.page.feed import Feed
from edge.page.words import Words, texts
from edge.web.guard import Guard
from edge.web.language import language_of
from edge.weighing.recording import open_recording

STATIC = Path(__file__).parents[2] / "edge" / "page" / "static"


def page(port: int, path: str = "/") -> str:
    status, kind, body = ask(port, path)
    assert (status, kind) == (200, "text/html; charset=utf-8")
    return body.decode()


def test_it_shows_alarms_lanes_vehicles_and_devices(bench: EyesBench, port: int) -> None:
    bench.device("daq", LinkState.ONLINE, "in order")
    bench.device("tag", LinkState.DOWN, "no answer <b>at all</b>")
    bench.pass_truck()
    text = page(port)
    assert "<strong>critical</strong> <code>device_down</code>" in text
    assert "no answer &lt;b&gt;at all&lt;/b&gt;" in text
    assert "Test &lt;bridge&gt;" in text
    assert "<b>" not in text
    assert "1 vehicles weighed, the last" in text
    assert re.search(r"<h3>1[56]\.\d\d t <small>± 0\.2\d · class 5", text)
    assert text.count('<circle class="wheel') == 2
    assert text.count('<circle class="wheel over"') == 1  # 10 t on a single axle
    assert "Canadian MoU single axle, axle 2: 10.00 t &gt; 9.10 t" in text


def test_a_quiet_lane_says_that_it_is(bench: EyesBench, port: int) -> None:
    bench.device("daq", LinkState.ONLINE, "in order")
    text = page(port)
    assert "No alarm holds." in text
    assert "No vehicle was weighed yet." in text
    assert "No interval has ended yet." in text


def test_without_a_daemon_the_page_says_so(tmp_path: Path) -> None:
    config = tmp_path / "lane.toml"
    config.write_text(f'[store]\npath = "{tmp_path}"\n')
    with served(Guard(Page(Feed(config)).app())) as port:
        status, _, body = ask(port, "/?lang=fr")
        assert status == 503
        assert "Le service ne répond pas" in body.decode()
        assert ask(port, "/api/v1/state")[0] == 503
        assert b"borderflow_up 0.0" in ask(port, "/metrics")[2]


def test_the_lanes_page_has_the_current_and_the_fitted_gain(bench: EyesBench, port: int) -> None:
    state = json.loads(ask(port, "/api/v1/state")[2])
    assert state["lanes"][0]["calibration"] == {"trucks": 0, "seen": None, "sigma": None, "factor": None}
    text = page(port, "/lane/C03")
    assert text.count("<td>4.0000</td>") == 4
    assert "0 clean trucks so far" in text
    assert ask(port, "/lane/none")[0] == 404


# ---- the scope ---------------------------------------------------------------------------------------------------


def scope(port: int, query: str = "seconds=10") -> dict[str, object]:
    status, _, body = ask(port, f"/lane/C03/scope?{query}")
    assert status == 200, body
    found: dict[str, object] = json.loads(body)
    return found


def test_the_scope_shows_waveforms_excursions_and_where_the_axles_should_be(bench: EyesBench, port: int) -> None:
    assert scope(port) == {"first": None, "ended": False}
    wait_for("the scope", lambda: bench.crossing.scope is not None, 5)
    bench.pass_truck(reversed_half=True)
    wait_for("samples", lambda: scope(port)["first"] is not None, 5)
    view = scope(port, "seconds=10&columns=200")
    sensors = {sensor["name"]: sensor for sensor in view["sensors"]}  # type: ignore[attr-defined]
    assert len(sensors["line1-left"]["low"]) == 200
    assert max(sensors["line1-left"]["high"]) > 1500
    assert [sign for _, _, _, sign in sensors["line1-left"]["prints"]] == [1, 1]
    assert [sign for _, _, _, sign in sensors["line2-right"]["prints"]] == [-1, -1]
    (vehicle,) = view["vehicles"]  # type: ignore[misc]
    found = [centroid for _, _, centroid, _ in sensors["line2-left"]["prints"]]
    assert vehicle["expected"][2] == pytest.approx(found, abs=8)  # 4 cm at 5 m/s
    early = scope(port, f"seconds=1&columns=200&end={view['first']}")
    assert early["end"] == view["oldest"] + 1  # type: ignore[operator]


def test_it_costs_the_daemon_nothing_once_nobody_looks(
    bench: EyesBench, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope(port)
    wait_for("the scope", lambda: bench.crossing.scope is not None, 5)
    monkeypatch.setattr("edge.page.feed.LINGER_S", 0.0)
    time.sleep(1.1)
    ask(port, "/api/v1/state")
    wait_for("the end", lambda: bench.crossing.scope is None, 5)


def test_the_last_minutes_are_saved_for_the_token_alone(bench: EyesBench, port: int, tmp_path: Path) -> None:
    own = {"Origin": f"http://127.0.0.1:{port}"}
    assert ask(port, "/lane/C03/save", "POST", x_borderflow_token="wrong", **own)[0] == 403
    assert ask(port, "/lane/C03/save", "POST", x_borderflow_token=TOKEN, **own)[0] == 429  # for a second
    assert ask(port, "/lane/C03/save", "POST", x_borderflow_token=TOKEN, Origin="http://evil.example")[0] == 403
    assert ask(port, "/lane/C03/save", "POST", x_borderflow_token=TOKEN)[0] == 403
    time.sleep(1.1)
    assert ask(port, "/lane/C03/save", "POST", x_borderflow_token=TOKEN, **own)[0] == 409  # nothing came yet
    wait_for("the scope", lambda: bench.crossing.scope is not None, 5)
    bench.pass_truck()
    wait_for("samples", lambda: scope(port)["first"] is not None, 5)
    status, kind, body = ask(port, "/lane/C03/save", "POST", x_borderflow_token=TOKEN, **own)
    assert (status, kind) == (200, "application/x-tar")
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        archive.extractall(tmp_path / "saved", filter="data")
    (meta,) = (tmp_path / "saved").rglob("*.sigmf-meta")
    recording = open_recording(meta)
    assert (recording.lane, recording.channels, recording.scans) == ("C03", 5, 5200)
    with served(Guard(Page(Feed(bench.config_path)).app())) as reading:  # without a token nothing can be asked for
        assert ask(reading, "/lane/C03/save", "POST", Origin=f"http://127.0.0.1:{reading}")[0] == 405
        assert "Token" not in page(reading, "/lane/C03")


@pytest.mark.parametrize("query", ["seconds=x", "columns=1e9", "end=zz", "seconds=nan", "end=99999999999999999999999x"])
def test_nonsense_is_refused(bench: EyesBench, port: int, query: str) -> None:
    assert ask(port, f"/lane/C03/scope?{query}")[0] == 400


@pytest.mark.parametrize(
    "query", ["seconds=1e300", "seconds=-5", "columns=99999999", "columns=-1", "end=-999", "end=999999999"]
)
def test_extremes_are_bounded(bench: EyesBench, port: int, query: str) -> None:
    scope(port)
    wait_for("the scope", lambda: bench.crossing.scope is not None, 5)
    bench.pass_truck()
    wait_for("samples", lambda: scope(port)["first"] is not None, 5)
    view = scope(port, query)
    assert len(view["sensors"][0]["low"]) <= 1600  # type: ignore[index]


# ---- metrics -----------------------------------------------------------------------------------------------------


def test_metrics_have_a_sample_for_what_is_known_alone(bench: EyesBench, port: int) -> None:
    bench.device("tag", LinkState.DOWN, "no answer")
    text = ask(port, "/metrics")[2].decode()
    assert 'borderflow_device_online{device="tag",driver="transcore_encompass",lane="C03"} 0.0' in text
    assert 'borderflow_alarms{severity="critical"} 1.0' in text
    assert 'borderflow_lane_vehicles_total{lane="C03"} 0.0' in text
    assert "borderflow_lane_last_vehicle_age_seconds{" not in text
    assert "borderflow_expected_wait_seconds{" not in text
    assert 'borderflow_backlog_messages{collector="national"} 7.0' in text


def test_promtool_finds_nothing_to_say(bench: EyesBench, port: int) -> None:
    import shutil

    if shutil.which("promtool") is None:
        pytest.skip("promtool (Debian package prometheus) is not installed")
    bench.device("tag", LinkState.DOWN, "no answer")
    bench.pass_truck()
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=ask(port, "/metrics")[2], capture_output=True, timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


# ---- words, colours, structure -----------------------------------------------------------------------------------


def test_every_text_is_there_in_three_languages() -> None:
    english = texts()["en"]
    for language in ("fr", "es"):
        assert texts()[language].keys() == english.keys()
        for key, text in texts()[language].items():
            assert re.findall(r"\{\w+\}", text) == re.findall(r"\{\w+\}", english[key]), (language, key)


def test_the_language_is_what_is_asked_for() -> None:
    assert language_of("fr", "es") == "fr"
    assert language_of(None, "de, es-MX;q=0.8, fr;q=0.9") == "fr"
    assert language_of("xx", "es;q=0, de") == "en"
    assert language_of(None, "q;q=;;,,") == "en"


def test_numbers_and_ages_are_said_as_people_say_them() -> None:
    assert Words("en").tonnes(5380.0) == "5.38"
    assert Words("fr").tonnes(5380.0) == "5,38"
    assert [Words("fr").age(seconds) for seconds in (None, 5, 150, 7300, 400_000)] == [
        "inconnu",
        "5 s",
        "2 min",
        "2 h",
        "4 j",
    ]


def test_every_text_has_the_contrast_of_wcag_aa() -> None:
    """WCAG 2.2, 1.4.3: at least 4.5, in light and dark."""
    themes = re.findall(r"\{ (color-scheme[^}]*|--ink[^}]*)\}", (STATIC / "page.css").read_text())
    assert len(themes) == 2
    for theme in themes:
        colours = dict(re.findall(r"--(\w+): (#\w+)", theme))
        pairs = [(ink, back) for ink in ("ink", "soft", "accent", "bad", "warn", "good") for back in ("paper", "panel")]
        for one, other in [*pairs, ("paper", "accent"), ("ink", "print"), ("ink", "wrong")]:
            assert contrast(colours[one], colours[other]) >= 4.5, (one, other)


def test_headings_go_down_by_one_and_every_drawing_has_a_name(bench: EyesBench, port: int) -> None:
    bench.pass_truck()
    for path in ("/", "/lane/C03"):
        text = page(port, path)
        levels = [int(level) for level in re.findall(r"<h(\d)", text)]
        assert levels[0] == 1
        assert all(b <= a + 1 for a, b in pairwise(levels))
        assert text.count("<svg") == len(re.findall(r'<svg[^>]*role="img" aria-label="[^"]', text))
        assert not re.search(r'(?:src|href)="(?:https?:)?//', text)  # nothing from elsewhere
        assert "style=" not in text  # which the content security policy would refuse


# ---- the command -------------------------------------------------------------------------------------------------


def test_a_token_that_others_may_read_or_guess_is_refused(
    bench: EyesBench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = tmp_path / "token"
    start = ["page", "--config", str(bench.config_path), "--token-file", str(token), "--listen", "127.0.0.1:0"]
    assert main(start) == 78
    token.write_text(TOKEN)
    token.chmod(0o644)
    assert main(start) == 78
    token.write_text("short")
    token.chmod(stat.S_IRUSR | stat.S_IWUSR)
    assert main(start) == 78
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[2].rpartition("token: ")[2] for line in said] == [
        "cannot be read (No such file or directory); write a long random word into it",
        f"others may read it; chmod 600 {token}",
        "5 characters can be guessed; write at least 16",
    ]
    assert main(["page", "--listen", "nowhere"]) == 73


def test_the_command_serves_until_it_is_told_to_stop(bench: EyesBench) -> None:
    command = [sys.executable, "-m", "edge", "page", "--config", str(bench.config_path), "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    url = process.stderr.readline().strip()
    number = int(url.rstrip("/").rpartition(":")[2])
    try:

        def answers() -> bool:
            try:
                return "Test &lt;bridge&gt;" in page(number)
            except OSError:
                return False

        wait_for("the page", answers, 20)
    finally:
        process.terminate()
        assert process.wait(15) == 0
        process.stderr.close()

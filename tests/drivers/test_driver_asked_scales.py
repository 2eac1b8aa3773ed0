"""sma_scale and mt_sics: answers of the manuals, what is no weight, and the drivers against scripted scales."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from driver_peers import in_chunks, pty, running, without_rejects
from hypothesis import given
from hypothesis import strategies as st

from drivers.asked_scale import AskedScaleOptions, Refused, Weight
from drivers.events import InputChange, LinkState, Measurement, Rejected, SampleBlock
from drivers.mt_sics import MtSics, SicsCodec
from drivers.sma_scale import SmaCodec, SmaOptions, SmaScale

STANDING = b"\n 1G       18250kg \r"
SICS = b"S S     182.50 kg\r\n"


def sma(data: bytes) -> list[object]:
    return list(SmaCodec("s").feed(data, 7))


def sics(data: bytes) -> list[object]:
    return list(SicsCodec("s").feed(data, 7))


@pytest.mark.parametrize(
    ("answer", "kg", "more"),
    [
        (STANDING, 18250.0, {}),
        (b"\n 1G       5.025lb \r", 5.025 * 0.45359237, {}),
        (b"\n 1N      100000lb \r", 100000 * 0.45359237, {"net": True}),
        (b"\n 1g      5.0025lb \r", 5.0025 * 0.45359237, {}),
        (b"\nZ1G       0.000lb \r", 0.0, {}),
        (b"\n 1GM      7.650kg \r", 7.65, {"moving": True}),
        (b"\nO1G       61000kg \r", 61000.0, {"out_of_range": True}),
        (b"\nU1G        -120kg \r", -120.0, {"out_of_range": True}),
        (b"\n 1T       12000kg \r", 12000.0, {"tare": True}),
        (b"\n 1G        18.2tn \r", 18.2 * 2000 * 0.45359237, {}),
        (b"\n 1G        18.2t\r", 18200.0, {}),
    ],
)
def test_sma_answers_of_the_manuals(answer: bytes, kg: float, more: dict[str, bool]) -> None:
    (weight,) = sma(answer)
    assert isinstance(weight, Weight)
    assert weight.kg == pytest.approx(kg)
    assert weight == Weight(**({"time_ns": 7, "kg": weight.kg} | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"\nE1G  ----------kg \r", "no_weight"),
        (b"\nT1N  ----------lb \r", "no_weight"),
        (b"\n 1G            kg \r", "blank"),
        (b"\n 1G        1250N  \r", "unit_no_weight"),
        (b"\n 1G        1250pcs\r", "unit_no_weight"),
    ],
)
def test_what_is_no_weight_is_named_and_is_a_sign_of_life(answer: bytes, reason: str) -> None:
    rejected, weight = sma(answer)
    assert rejected == Rejected("s", 7, reason)
    assert isinstance(weight, Weight)
    assert weight.kg is None


def test_an_unknown_command_and_lines_of_other_kinds() -> None:
    assert sma(b"\n?\r") == [Refused(7)]
    assert sma(b"\nSMA:2/1.0\r" + STANDING) == [Rejected("s", 7, "bad_fields"), *sma(STANDING)]
    assert sma(b"\n 1G      18" + STANDING) == [Rejected("s", 7, "no_end"), *sma(STANDING)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (SICS, Weight(7, 182.5, None)),
        (b"S D     182.46 kg\r\n", Weight(7, 182.46, None, moving=True)),
        (b"S S      -0.20 kg\r\n", Weight(7, -0.2, None)),
        (b"S +\r\n", Weight(7, None, None, out_of_range=True)),
        (b"S -\r\n", Weight(7, None, None, out_of_range=True)),
        (b"S I\r\n", Refused(7)),
        (b"ES\r\n", Refused(7)),
        (b"TA A      12.00 kg\r\n", Weight(7, 12.0, None, tare=True)),
    ],
)
def test_sics_answers_of_the_manuals(answer: bytes, expected: object) -> None:
    assert sics(answer) == [expected]


def test_sics_errors_and_other_units() -> None:
    assert sics(b"S S Error 10b\r\n")[0] == Rejected("s", 7, "no_weight")
    assert sics(b"S S     100.00 N\r\n")[0] == Rejected("s", 7, "unit_no_weight")
    assert sics(b'I4 A "B021002593"\r\n') == [Rejected("s", 7, "bad_fields")]


@pytest.mark.parametrize(("make", "frame"), [(SmaCodec, STANDING), (SicsCodec, SICS)])
@given(noise=st.binary(max_size=60), sizes=st.lists(st.integers(1, 9)))
def test_cutting_does_not_matter(make: Callable[[str], SmaCodec], frame: bytes, noise: bytes, sizes: list[int]) -> None:
    data = frame + noise + frame + frame
    assert in_chunks(make("s"), data, sizes) == make("s").feed(data, 0)


@pytest.mark.parametrize(("make", "frame"), [(SmaCodec, STANDING), (SicsCodec, SICS)])
@given(noise=st.binary(max_size=300))
def test_back_in_step_within_two_frames(make: Callable[[str], SmaCodec], frame: bytes, noise: bytes) -> None:
    made = make("s")
    made.feed(noise, 0)
    assert without_rejects(made.feed(frame + frame, 0))[-1:] == without_rejects(make("s").feed(frame, 0))


def scripted(answers: dict[bytes, bytes]) -> Callable[[bytes], bytes]:
    return lambda data: b"".join(reply for question, reply in answers.items() if question in data)


async def test_a_net_weight_is_made_gross_with_the_tare_of_the_scale() -> None:
    with pty() as line:
        line.on_data(scripted({b"\nW\r": b"\n 1N        6250kg \r", b"\nM\r": b"\n 1T       12000kg \r"}))
        async with running(SmaScale("scale", line.path, SmaOptions(poll_hz=20.0))) as events:
            await events.until_count(SampleBlock, 3)
            assert events.of(Measurement)[0].value == 18250.0
            assert events.of(SampleBlock)[0].samples.tolist() == [[9125]]
            assert InputChange("scale", 0, "stable", True).name in {change.name for change in events.of(InputChange)}
            assert not events.of(Rejected)


async def test_a_net_weight_without_a_tare_is_no_sample() -> None:
    with pty() as line:
        line.on_data(scripted({b"\nW\r": b"\n 1N        6250kg \r", b"\nM\r": b"\n?\r"}))
        async with running(SmaScale("scale", line.path, SmaOptions(poll_hz=20.0))) as events:
            await events.until(lambda: any(r.reason == "net_without_tare" for r in events.of(Rejected)))
            assert events.states[-1] is LinkState.ONLINE
            assert not events.of(SampleBlock)


async def test_a_scale_without_tare_commands_weighs_gross() -> None:
    with pty() as line:
        line.on_data(scripted({b"SI\r\n": b"S D      18250 kg\r\n", b"TA\r\n": b"ES\r\n"}))
        async with running(MtSics("scale", line.path, AskedScaleOptions(poll_hz=20.0))) as events:
            await events.until_count(SampleBlock, 2)
            assert events.of(Measurement)[0].value == 18250.0
            assert [(change.name, change.on) for change in events.of(InputChange)] == [
                ("stable", False),
                ("overload", False),
            ]

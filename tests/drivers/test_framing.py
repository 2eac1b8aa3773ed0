"""The loop of all frame codecs: a run of garbage goes on being counted, whatever its chunks; frames end it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from drivers.events import Rejected
from drivers.framing import GARBAGE_BYTES, Frame, FrameCodec, Skip


class Letters(FrameCodec[str]):
    """A frame is a small letter in brackets, a space is padding, all else garbage."""

    def scan(self, buffer: bytearray, time_ns: int) -> Frame[str] | Skip | None:
        if buffer[:1] == b" ":
            return Skip(1)
        if buffer[:1] != b"<":
            return Skip(1, "no_start")
        if len(buffer) < 3:
            return None
        if buffer[2:3] == b">" and buffer[1:2].islower():
            return Frame(3, (buffer[1:2].decode(),))
        return Skip(1, "no_frame")


def counted(codec: Letters, data: bytes, time_ns: int = 0) -> int:
    return sum(record.count for record in codec.feed(data, time_ns) if isinstance(record, Rejected))


def test_a_line_of_pure_garbage_is_counted_as_long_as_it_lasts() -> None:
    codec = Letters("d")
    per_second = [counted(codec, b"#" * 960, second) for second in range(60)]  # 9600 baud
    assert per_second == [15] * 60
    assert codec.feed(b"#" * GARBAGE_BYTES + b"<a>", 60) == [Rejected("d", 60, "no_start"), "a"]


def test_a_healthy_line_and_its_padding_count_nothing() -> None:
    codec = Letters("d")
    assert sum(counted(codec, b"<a>     <b>" + 100 * b" ") for _ in range(100)) == 0
    assert counted(codec, b"#<a>") == 1  # a single bad byte is one
    assert counted(codec, b"##<a>#<b>") == 2


@given(st.binary(max_size=400).map(lambda raw: bytes(b"<a> #"[byte % 5] for byte in raw)), st.data())
def test_the_count_does_not_depend_on_the_chunks(data: bytes, draw: st.DataObject) -> None:
    whole, cut = Letters("d"), Letters("d")
    expected = whole.feed(data, 7)
    found: list[str | Rejected] = []
    while data:
        size = draw.draw(st.integers(1, len(data)))
        found += cut.feed(data[:size], 7)
        data = data[size:]
    assert found == expected

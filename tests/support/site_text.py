"""The text of a configuration made of pieces: what a test is about stands in the test, the usual lane here.

Values may hold `{marks}`, to be filled in by `str.format`.
"""

from __future__ import annotations

import json

READER = "transcore_encompass"


def table(header: str, **values: object) -> str:
    """A TOML table: `header` with its brackets."""
    return "".join([f"{header}\n", *(f"{key} = {json.dumps(value)}\n" for key, value in values.items())])


def lane_tables(*points: str | tuple[str, float], site: dict[str, object] | None = None, **values: object) -> str:
    """A site with the commercial lane C03 and its points (names, or with their x_m), the lane last; what is given comes
    beside or instead.
    """
    named = [point if isinstance(point, tuple) else (point,) for point in points or ("approach", "booth")]
    places = "".join(table("[[point]]", **dict(zip(("name", "x_m"), point, strict=False))) for point in named)
    here = {"country": "CA", "port": "0453", **(site or {})}
    return table("[site]", **here) + places + table("[[lane]]", **{"id": "C03", "traffic": "commercial", **values})


def array_tables(*lines_m: float, rate_hz: float = 5000.0, loop_m: float | None = None, **values: object) -> str:
    """The array of the lane before it: lines of two strips each, then a loop."""
    text = table("[lane.wim]", sample_rate_hz=rate_hz, **values)
    halves = (("left", [0.0, 1.75]), ("right", [1.75, 3.5]))
    for number, x_m in enumerate(lines_m):
        for place, (side, y_m) in enumerate(halves):
            text += table(
                "[[lane.wim.sensor]]", name=f"line{number + 1}-{side}", type="strip", channel=2 * number + place,
                x_m=x_m, y_m=y_m, width_m=0.053, gain_n=4.0,
            )  # fmt: skip
    if loop_m is not None:
        text += table(
            "[[lane.wim.sensor]]", name="loop", type="loop", channel=2 * len(lines_m), x_m=loop_m, width_m=2.0,
            threshold_counts=500.0,
        )  # fmt: skip
    return text


def device_tables(
    name: str, driver: str = READER, url: str = "serial:///dev/null", *, point: str | None = None, **options: object
) -> str:
    """A device of the lane C03."""
    text = table(
        "[[device]]", name=name, driver=driver, url=url, lane="C03", **({} if point is None else {"point": point})
    )
    return text + (table("[device.options]", **options) if options else "")


def input_tables(**signals: str) -> str:
    """Inputs of the device before it, a loop at a point each: `approach_loop="approach"`."""
    return "".join(
        table("[[device.input]]", name=name.replace("_", "-"), point=point) for name, point in signals.items()
    )


def store_tables(store: str = "{store}", key: str | None = None, **values: object) -> str:
    """Where the journal lives, and the secret of the pseudonyms."""
    return ("" if key is None else table("[identity]", key_file=key)) + table("[store]", path=store, **values)

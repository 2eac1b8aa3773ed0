"""What a plate reader makes of a plate: the truth in, a text with its confusions and a confidence out.

Called by `crossing.py`. Characters are taken for others that look like them, are lost, or rarely are added; the table
is symmetric look-alikes, not measured on any product.
"""

from __future__ import annotations

import numpy as np

CONFUSIONS = {
    "0": "OQD",
    "O": "0QD",
    "Q": "O0",
    "D": "0O",
    "1": "I7L",
    "I": "1L",
    "L": "1I",
    "7": "1T",
    "T": "7Y",
    "8": "B36",
    "B": "83",
    "3": "8",
    "5": "S6",
    "S": "5",
    "6": "G5",
    "G": "6C",
    "C": "G",
    "2": "Z7",
    "Z": "2",
    "4": "A",
    "A": "4",
    "9": "P",
    "P": "F9R",
    "F": "PE",
    "E": "F",
    "V": "YU",
    "U": "V",
    "Y": "VT",
    "M": "NW",
    "N": "MH",
    "H": "NM",
    "W": "M",
    "K": "X",
    "X": "K",
    "R": "P",
    "J": "I",
}


def read_plate(plate: str, char_error: float, rng: np.random.Generator) -> tuple[str, float]:
    """The plate as read, and the reader's confidence 0..1, which is lower where it erred, but not always."""
    text = []
    wrong = 0
    for character in plate:
        if rng.random() >= char_error:
            text.append(character)
            continue
        wrong += 1
        if rng.random() < 0.2:
            continue  # lost
        others = CONFUSIONS.get(character, character)
        text.append(others[int(rng.integers(len(others)))])
    confidence = float(np.clip(rng.normal(0.93 - 0.09 * wrong, 0.05), 0.3, 0.99))
    return "".join(text) or plate[:1], round(confidence, 2)

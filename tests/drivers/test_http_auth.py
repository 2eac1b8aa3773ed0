"""HTTP authentication: the examples of the RFCs, and the two sides against each other and against odd headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.http_auth import Guard, authorization

NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
RFC_7616 = f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=%s, nonce="{NONCE}", opaque="FQ"'
WHO = ("Mufasa", "Circle of Life")


def answered(challenges: list[str], target: str = "/dir/index.html") -> str:
    made = authorization(challenges, "GET", target, *WHO, cnonce=CNONCE)
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_example_of_rfc_7616(algorithm: str, response: str) -> None:
    made = answered([RFC_7616 % algorithm, 'Basic realm="x"'])
    assert f'response="{response}"' in made
    assert 'opaque="FQ"' in made
    assert "nc=00000001" in made


def test_the_strongest_is_answered_and_what_is_not_known_is_not() -> None:
    assert "algorithm=SHA-256" in answered([RFC_7616 % "MD5", RFC_7616 % "SHA-256"])
    assert answered(['Basic realm="x"', "Negotiate"]) == "Basic TXVmYXNhOkNpcmNsZSBvZiBMaWZl"
    old = answered(['Digest realm="r", nonce="n"'])  # RFC 2069
    assert "qop" not in old
    assert "algorithm" not in old
    assert (
        authorization(["Negotiate", 'Digest realm="r", nonce="n", algorithm=X'], "GET", "/", *WHO, cnonce="c") is None
    )


def test_a_guard_lets_in_who_knows_the_password() -> None:
    now_s = 1000.0
    guard = Guard(*WHO, now_s=lambda: now_s)
    challenges = [value for _, value in guard.challenges()]
    good = answered(challenges, "/p?q=1")
    assert good.startswith("Digest ")
    assert guard.admits("GET", "/p?q=1", good)
    assert guard.admits("GET", "/p?q=1", answered(challenges[1:]))
    assert not guard.admits("POST", "/p?q=1", good)
    assert not guard.admits("GET", "/other", good)
    assert not Guard(*WHO).admits("GET", "/p?q=1", good), "a nonce of another start"
    wrong = authorization(challenges, "GET", "/p", "Mufasa", "wrong", cnonce="c")
    assert wrong is not None
    assert not guard.admits("GET", "/p", wrong)
    now_s += 3600.0
    assert not guard.admits("GET", "/p?q=1", good)


@given(
    st.text(max_size=200), st.sampled_from(["", "Digest ", "Basic ", 'Digest nonce="1-', "Digest nonce=", "Bearer "])
)
def test_odd_headers_are_answered_by_no(text: str, scheme: str) -> None:
    assert not Guard(*WHO).admits("POST", "/", scheme + text)
    authorization([scheme + text], "GET", "/", *WHO, cnonce="c")

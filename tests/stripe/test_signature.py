"""
The signature of a webhook: every row of bad input, and 40,000 hostile ones judged beside Stripe's own library.

Stripe's library is the oracle for what is good. Where the two disagree, the ways are named here, and each is one
that ptmeter is stricter in, or reads white space as HTTP does.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from ptmeter import ConfigurationError, SignatureInvalidError
from ptmeter.stripe import Endpoint
from ptmeter.stripe.endpoints import verified
from ptmeter.stripe.signature import LONGEST_HEADER, MOST_SIGNATURES, sign, verify

if TYPE_CHECKING:
    from collections.abc import Callable

AT = datetime(2026, 11, 27, 12, tzinfo=UTC)
NOW = int(AT.timestamp())
SECRET, OTHER = "whsec_one", "whsec_two"
BODY = b'{"id": "evt_1", "object": "event"}'
TOLERANCE = timedelta(minutes=5)
CASES = 40_000


def mac(body: bytes = BODY, *, t: object = NOW, secret: str = SECRET) -> str:
    """The signature of a body at a time, worked out without ptmeter."""
    return hmac.new(secret.encode(), f"{t}.".encode() + body, hashlib.sha256).hexdigest()


def is_good(header: str | None, body: bytes = BODY, *secrets: str) -> bool:
    """Whether ptmeter takes it; anything but its own error goes through."""
    try:
        verify(body, header, [each.encode() for each in secrets or (SECRET,)], at=AT, tolerance=TOLERANCE)
    except SignatureInvalidError:
        return False
    return True


def is_good_to_stripe(header: str | None, body: bytes, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether Stripe's library takes it; whatever it raises, it does not."""
    monkeypatch.setattr("stripe._webhook.time.time", lambda: NOW)
    try:
        return bool(stripe.WebhookSignature.verify_header(body.decode(), header, SECRET, tolerance=300))
    except Exception:  # noqa: BLE001 - it raises all kinds
        return False


GOOD = {
    "as Stripe sends it": f"t={NOW},v1={mac()}",
    "with the v0 of test events": f"t={NOW},v1={mac()},v0={'0' * 64}",
    "a secret being rolled: bad, then good": f"t={NOW},v1={'0' * 64},v1={mac()}",
    "the time last": f"v1={mac()},t={NOW}",
    "white space after a comma, as HTTP allows": f"t={NOW}, v1={mac()}",
    "299 s old": f"t={NOW - 299},v1={mac(t=NOW - 299)}",
    "299 s ahead": f"t={NOW + 299},v1={mac(t=NOW + 299)}",
    "a scheme to come": f"t={NOW},v1={mac()},v2=whatever",
}

BAD: dict[str, str | None] = {
    "no header": None,
    "an empty one": "",
    "garbage": "hello",
    "no time": f"v1={mac()}",
    "a time that is none": f"t=abc,v1={mac(t='abc')}",
    "only a time": f"t={NOW}",
    "only a v0, and a right one": f"t={NOW},v0={mac()}",
    "a right v0 and a wrong v1": f"t={NOW},v0={mac()},v1={'0' * 64}",
    "not ASCII": f"t={NOW},v1=é",
    "capitals": f"t={NOW},v1={mac().upper()}",
    "something after it": f"t={NOW},v1={mac()}=junk",
    "too short": f"t={NOW},v1={mac()[:-1]}",
    "an empty v1 beside a good one": f"t={NOW},v1=,v1={mac()}",
    "a sign": f"t=+{NOW},v1={mac(t=f'+{NOW}')}",
    "underscores": f"t={NOW // 1000}_000,v1={mac(t=f'{NOW // 1000}_000')}",
    "digits of another script": f"t=١٧٩٥,v1={mac(t='١٧٩٥')}",
    "two times": f"t={NOW},t={NOW},v1={mac()}",
    "5,000 digits": f"t={'1' * 4000},v1={mac()}",
    "301 s old": f"t={NOW - 301},v1={mac(t=NOW - 301)}",
    "301 s ahead": f"t={NOW + 301},v1={mac(t=NOW + 301)}",
    "ten years ahead": f"t={NOW + 315_360_000},v1={mac(t=NOW + 315_360_000)}",
    "another secret": f"t={NOW},v1={mac(secret=OTHER)}",
    "another body": f"t={NOW},v1={mac(b'{}')}",
    "too many signatures": f"t={NOW}" + f",v1={mac()}" * (MOST_SIGNATURES + 1),
    "too long": f"t={NOW},v1={mac()},v9={'x' * LONGEST_HEADER}",
}


@pytest.mark.parametrize("header", GOOD.values(), ids=GOOD)
def test_what_stripe_sends_is_taken(header: str) -> None:
    """What Stripe sends is taken."""
    assert is_good(header)


@pytest.mark.parametrize("header", BAD.values(), ids=BAD)
def test_what_stripe_does_not_send_is_refused(header: str | None) -> None:
    """What Stripe does not send is refused."""
    assert not is_good(header)


def test_any_of_several_secrets_will_do() -> None:
    """Any of several secrets will do."""
    assert is_good(f"t={NOW},v1={mac(secret=OTHER)}", BODY, SECRET, OTHER)


def test_what_is_signed_here_is_good_to_stripe(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is signed here is good to Stripe."""
    header = sign(BODY, SECRET.encode(), at=AT)

    assert is_good(header)
    assert is_good_to_stripe(header, BODY, monkeypatch)


@given(st.text(), st.binary())
def test_whatever_comes_nothing_else_is_raised(header: str, body: bytes) -> None:
    """Whatever comes nothing else is raised."""
    assert not is_good(header, body)


def test_hostile_input_is_judged_as_stripe_judges_it_or_more_strictly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Taken means that the HMAC is right; refused where Stripe's library takes it only for a reason that is named."""
    random, taken, stricter = Random(7), 0, 0
    for _ in range(CASES):
        body = BODY if random.random() < 0.6 else random.choice(BODIES)(random)
        header = hostile(random, body)
        good = is_good(header, body)
        if good:
            taken += 1
            assert mac_in(header, body)
        if good is not is_good_to_stripe(header, body, monkeypatch):
            stricter += not good
            assert reason_to_differ(header, body), (header, body)

    assert taken > CASES // 50, "too few were good for this to say anything"
    assert stricter, "there was nothing to be stricter about"


@pytest.mark.parametrize("secrets", ["", "  ", [], ["whsec_a", "\n"]])
def test_an_endpoint_without_a_secret_cannot_be(secrets: str | list[str]) -> None:
    """An endpoint without a secret cannot be."""
    with pytest.raises(ConfigurationError, match="secret"):
        Endpoint(secrets=secrets, livemode=False)


def test_white_space_around_a_secret_is_taken_off_and_said(caplog: pytest.LogCaptureFixture) -> None:
    """White space around a secret is taken off and said."""
    endpoint = Endpoint(secrets=f"{SECRET}\n", livemode=False)

    assert verified(BODY, f"t={NOW},v1={mac()}", [endpoint], at=AT) == [endpoint]
    assert "white space" in caplog.text


def test_a_secret_is_not_shown() -> None:
    """A secret is not shown."""
    assert SECRET not in repr(Endpoint(secrets=SECRET, livemode=False))


# --- hostile input ------------------------------------------------------------------------------

BODIES: list[Callable[[Random], bytes]] = [
    lambda random: random.randbytes(random.randrange(40)),
    lambda random: b"\xff\xfe" + BODY,
    lambda random: b"",
    lambda random: "é€𝄞".encode(),
]


def hostile(random: Random, body: bytes) -> str | None:
    """A header that is good, nearly good, or anything at all."""
    if random.random() < 0.2:
        t = NOW + random.randrange(-310, 310)
        return f"t={t},v1={mac(body, t=t)}"
    t = random.choice([NOW, NOW, NOW - 300, NOW + 300, NOW - 301, NOW + 301, NOW + 10**9, 0, 10**13])
    written = random.choice([str(t), str(t), str(t), f"+{t}", f" {t}", f"{t:_}", f"0{t}", "", "x"])
    right = mac(body, t=written)
    v1 = random.choice(
        [right, right, right, right.upper(), right + "=junk", right[:-1], "", "é", "0" * 64, f" {right}"]
    )
    parts = [f"t={written}", f"{random.choice(['v1', 'v1', 'v1', 'v0', 'v2', 'V1', ''])}={v1}"]
    if random.random() < 0.3:
        parts.append(random.choice([f"t={NOW}", f"v1={right}", "v0=", "x", "", "=", "v1=0", "\x00=1"]))
    if random.random() < 0.1:
        random.shuffle(parts)
    header = random.choice([",", ",", ",", ", ", ";"]).join(parts)
    if random.random() < 0.1:
        cut = random.randrange(len(header) + 1)
        header = header[:cut] + random.choice(["", "\x00", "é", " ", ",", "="]) + header[cut + 1 :]
    return None if random.random() < 0.01 else header


def mac_in(header: str | None, body: bytes) -> bool:
    """Whether a header says an HMAC that is right for its time."""
    assert header is not None
    pairs = [part.strip().split("=") for part in header.split(",")]
    (t,) = (pair[1] for pair in pairs if pair[0] == "t")
    return any(pair[0] == "v1" and pair[1] == mac(body, t=t) for pair in pairs)


def reason_to_differ(header: str | None, body: bytes) -> bool:
    """Whether there is something about it that ptmeter reads otherwise, on purpose."""
    assert header is not None
    pairs = [part.split("=") for part in header.split(",")]
    times = [pair[1] for pair in pairs if pair[0].strip() == "t" and len(pair) > 1]
    return (
        any(len(pair) != 2 for pair in pairs)  # something that is no name=value
        or any(not time.isascii() or not time.isdigit() or len(time) > 12 for time in times)
        or len(times) != 1
        or any(int(time) > NOW + 300 for time in times if time.isascii() and time.isdigit())
        or any(part != part.strip() for part in header.split(","))
        or any(not pair[0].isalnum() or not pair[0].islower() for pair in pairs)
        or any(pair[0] == "v1" and not re.fullmatch("[0-9a-f]{64}", pair[1]) for pair in pairs)
        or not _is_text(body)
        or not header.isascii()
    )


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True

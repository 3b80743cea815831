"""What is billed by the piece, as people meter it; every test runs against `Meter` and `AsyncMeter` alike."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.rerating import card

from ptmeter import PT, GenaiPrices, UnknownModelError

if TYPE_CHECKING:
    from tests.facade.conftest import Opener

pytestmark = pytest.mark.anyio

OCR = "mistral-ocr-2512"


def pages(model: str, count: int) -> dict[str, Any]:
    """An answer of Mistral's OCR endpoint."""
    return {"model": model, "pages": [], "usage_info": {"pages_processed": count, "doc_size_bytes": 9}}


async def test_pages_are_charged_what_the_list_has_for_them(opened: Opener) -> None:
    """Ten pages at US$0.002, a buffer of 33 %, and a core PT that pays for US$0.001."""
    async with opened(card=card(), catalogue=GenaiPrices()) as meter:
        await meter.funds.grant("acme", core=100, source="trial", key="trial")

        receipt = await meter.record("acme", model=OCR, response=pages(OCR, 10), key="r1")

    assert PT.of("26.6") == receipt.charged["core"]
    assert receipt.usage
    assert {"ocr_page": 10} == receipt.usage.tool_calls


async def test_pages_without_a_price_are_charged_to_nobody_and_wait(opened: Opener) -> None:
    """A model with a price for tokens and none for pages is not read from for nothing: the call is in quarantine."""
    async with opened(card=card(), catalogue=GenaiPrices()) as meter:
        await meter.funds.grant("acme", core=100, source="trial", key="trial")

        with pytest.raises(
            UnknownModelError, match="no price for ocr_page is known for model 'gpt-4o-mini'"
        ):
            await meter.record("acme", model="gpt-4o-mini", response=pages("gpt-4o-mini", 10), key="r1")

        [call] = (await meter.quarantine.list()).calls
        assert 10 == json.loads(call.payload)["pages_processed"]
        assert PT.of(100) == (await meter.balance("acme")).core.available
        assert (await meter.verify()).clean

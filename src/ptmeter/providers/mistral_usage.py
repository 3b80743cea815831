"""
Mistral's usage where it is not in OpenAI's format: pages that were read, billed by the page.

Source: docs.mistral.ai, the OCR endpoint (``usage_info``). Chat is in OpenAI's format: see `dialects`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..domain.usage import Usage
from ..errors import UsageMissingError
from .payloads import object_at, text_at
from .readings import Counts, Reading

if TYPE_CHECKING:
    from .payloads import Payload

PROVIDER: Final = "mistral"


def read_pages(body: Payload) -> Reading:
    """
    Read an answer of the OCR endpoint: its pages count as calls of a tool, ``ocr_page``.

    Raises:
        UsageMissingError: It carries no usage.
        UsageInconsistentError: The pages are no whole number.
    """
    raw = object_at(body, "usage_info") or object_at(body, "usage")
    if not raw:
        msg = "the answer carries no usage: usage_info is missing"
        raise UsageMissingError(msg)
    pages = Counts(raw, raw).need("pages_processed")
    usage = Usage(tool_calls={"ocr_page": pages} if pages else {})
    return Reading(usage, text_at(body, "model"), PROVIDER, None, raw)

"""
Mistral's usage where it is not in OpenAI's format: pages that were read, billed by the page.

A page has another price if the document or a picture in it was annotated. Some answers count those pages apart
(``pages_processed_annotation``, Azure's among them, where the others may be none); where that is not said, the answer
holds what was asked for.

Source: docs.mistral.ai, the OCR endpoint (``usage_info``) and Annotations; litellm, ``ocr_cost``, which adds the two
counts of pages up as well. Chat is in OpenAI's format: see `dialects`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..domain.usage import Usage
from ..errors import UsageMissingError
from .payloads import object_at, objects_at, text_at
from .readings import Counts, Reading

if TYPE_CHECKING:
    from .payloads import Payload

PROVIDER: Final = "mistral"


def read_pages(body: Payload) -> Reading:
    """
    Read an answer of the OCR endpoint: its pages count as ``ocr_page``, or as ``ocr_annotated_page``.

    Raises:
        UsageMissingError: It carries no usage.
        UsageInconsistentError: The pages are no whole number.
    """
    raw = object_at(body, "usage_info") or object_at(body, "usage")
    if not raw:
        msg = "the answer carries no usage: usage_info is missing"
        raise UsageMissingError(msg)
    counts = Counts(raw, raw)
    pages, annotated = counts.need("pages_processed"), counts.count("pages_processed_annotation")
    if not annotated and _is_annotated(body):
        pages, annotated = 0, pages
    read = {"ocr_page": pages, "ocr_annotated_page": annotated}
    usage = Usage(tool_calls={page: count for page, count in read.items() if count})
    return Reading(usage, text_at(body, "model"), PROVIDER, None, raw)


def _is_annotated(body: Payload) -> bool:
    pictures = (picture for page in objects_at(body, "pages") for picture in objects_at(page, "images"))
    return bool(body.get("document_annotation")) or any(one.get("image_annotation") for one in pictures)

"""
Input that is divided twice, by modality and by cache, in the disjoint classes of both.

How the two divisions overlap is reported in part: by Gemini and by OpenAI's Realtime API, if they care to.
What is not said of sound and pictures counts as fresh as far as it may, which is the dear side; what does
not fit in there can only have come from the cache.
"""

from __future__ import annotations

from typing import NamedTuple

from ..domain.usage import Usage


class Share(NamedTuple):
    """How many tokens of a modality there are, and how many of them were cached as far as that is said."""

    total: int
    cached: int


def by_modality(fresh: int, cached: int, *, audio: Share, image: Share) -> Usage:
    """
    Return an input of *fresh* and *cached* tokens, among them so much sound and so many pictures.

    They sum to *fresh* and *cached*, whatever the shares are. Sound or pictures beyond both have gone into
    tokens that were written to the cache, which have one price.
    """
    fresh_audio = min(audio.total - audio.cached, fresh)
    fresh_image = min(image.total - image.cached, fresh - fresh_audio)
    cached_audio = min(audio.total - fresh_audio, cached)
    cached_image = min(image.total - fresh_image, cached - cached_audio)
    return Usage(
        input_uncached=fresh - fresh_audio - fresh_image,
        input_cache_read=cached - cached_audio - cached_image,
        input_cache_read_audio=cached_audio,
        input_cache_read_image=cached_image,
        input_audio=fresh_audio,
        input_image=fresh_image,
        requests=0,
    )

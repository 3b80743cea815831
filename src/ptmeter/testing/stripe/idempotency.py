"""Answers that are given again to who repeats an idempotency key, as Stripe's v1 API does it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from .refusals import RefusedError

if TYPE_CHECKING:
    from collections.abc import Generator

    from .values import Obj

KEPT_FOR = 24 * 3600
"""Seconds after which a key is forgotten, as Stripe documents it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client is sent: a status and a body."""

    status: int
    body: Obj


@dataclass(slots=True)
class _Kept:
    fingerprint: str
    at: int
    answer: Answer | None = None


class Answers:
    """The first answer to each key, errors of the execution included."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: dict[str, _Kept] = {}

    def replayed(self, key: str, path: str, params: Obj, *, at: int) -> Answer | None:
        """
        Return the answer that was given to *key*; None if it is new, and from now on in flight.

        Raises:
            RefusedError: The key was used for another request, or its first request is not answered yet.
        """
        fingerprint = f"{path} {json.dumps(params, sort_keys=True, default=str)}"
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or kept.at + KEPT_FOR <= at:
                self._kept[key] = _Kept(fingerprint, at)
                return None
        if kept.fingerprint != fingerprint:
            raise RefusedError(
                "Keys for idempotent requests can only be used with the same parameters they were first used "
                f"with. Try using a key other than '{key}' if you meant to execute a different request.",
                kind="idempotency_error",
            )
        if kept.answer is None:
            raise RefusedError(
                f"There is currently another in-progress request using this Idempotent Key: {key}.",
                status=409,
                kind="idempotency_error",
                code="idempotency_key_in_use",
            )
        return kept.answer

    def keep(self, key: str, answer: Answer) -> None:
        """Keep the first answer to *key*."""
        with self._lock:
            self._kept[key].answer = answer

    @contextmanager
    def in_flight(self, key: str) -> Generator[None]:
        """Forget *key* after a block that was left without an answer: nothing had been executed."""
        try:
            yield
        finally:
            with self._lock:
                if (kept := self._kept.get(key)) and kept.answer is None:
                    del self._kept[key]

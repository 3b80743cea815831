"""
Worker processes that all begin at the same moment, and are stopped by their own handles whatever happens.

Each is a fresh interpreter with its own meter, as the workers of a web server are. They stay for the whole
session, because starting four interpreters takes longer than what they are asked to do.
"""

from __future__ import annotations

import multiprocessing
import traceback
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess
    from multiprocessing.synchronize import Barrier

_context = multiprocessing.get_context("spawn")


class WorkerError(AssertionError):
    """A worker failed, hung or died."""


class Fleet:
    """So many processes; they are started when there is something to do."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._workers: list[tuple[SpawnProcess, Connection]] = []

    def run(self, orders: Sequence[tuple[Any, ...]], *, seconds: float = 90) -> list[Any]:
        """Have each process carry out a function of `jobs` with its arguments, all at once."""
        self.send(orders)
        deadline = monotonic() + seconds
        try:
            return [self._answer(pipe, deadline) for _, pipe in self._workers]
        except BaseException:
            self.stop()  # what the others are at is nobody's business any more
            raise

    def send(self, orders: Sequence[tuple[Any, ...]]) -> None:
        """Have each process begin, and wait for nothing."""
        assert len(orders) == self.size
        if not self._workers:
            self._start()
        for (_, pipe), (job, *arguments) in zip(self._workers, orders, strict=True):
            pipe.send((job, arguments))

    def stop(self) -> None:
        """End the processes, those that hang too."""
        for process, pipe in self._workers:
            process.kill()
            process.join()
            process.close()
            pipe.close()
        self._workers.clear()

    def _start(self) -> None:
        self._gate = gate = _context.Barrier(self.size)  # it lasts as long as somebody here knows of it
        for _ in range(self.size):
            here, there = _context.Pipe()
            process = _context.Process(target=_serve, args=(there, gate), daemon=True)
            process.start()
            there.close()
            self._workers.append((process, here))

    @staticmethod
    def _answer(pipe: Connection, deadline: float) -> Any:
        if not pipe.poll(max(0.0, deadline - monotonic())):
            msg = "a worker hangs"
            raise WorkerError(msg)
        try:
            succeeded, value = pipe.recv()
        except (EOFError, OSError) as died:
            msg = "a worker died"
            raise WorkerError(msg) from died
        if not succeeded:
            raise WorkerError(value)
        return value


def _serve(pipe: Connection, gate: Barrier) -> None:
    while True:
        try:
            job, arguments = pipe.recv()
            gate.wait(timeout=60)
            answer = True, job(*arguments)
        except EOFError:
            return
        except BaseException:  # noqa: BLE001 - whatever it was, the test is to say so
            answer = False, traceback.format_exc()
        pipe.send(answer)

"""Client processes: started, watched until they have been told something, killed."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from tests.soak.client import Orders, start
from tests.soak.evidence import Notes, read_notes

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

PATIENCE = 60.0


@dataclass
class Clients:
    """The processes that run, and the notes of all that ever ran."""

    folder: Path
    running: list[tuple[Path, subprocess.Popen[bytes]]] = field(
        default_factory=list[tuple["Path", "subprocess.Popen[bytes]"]]
    )
    started: int = 0

    def start(self, url: str, **orders: Any) -> None:
        """One more client; the colours take turns unless said otherwise."""
        notes = self.folder / f"notes-{self.started}"
        notes.touch()
        asynchronous = orders.pop("asynchronous", bool(self.started % 2))
        order = Orders(url, str(notes), f"c{self.started}", asynchronous=asynchronous, **orders)
        self.running.append((notes, start(order)))
        self.started += 1

    def wait_until_told(self, lines: int) -> None:
        """Wait until each has been told so many more things."""
        deadline = monotonic() + PATIENCE
        wanted = {notes: told(notes) + lines for notes, _ in self.running}
        while any(told(notes) < count for notes, count in wanted.items()):
            assert monotonic() < deadline, f"a client is told nothing: {self.last_lines()}"
            assert all(process.poll() is None for _, process in self.running), self.last_lines()
            sleep(0.02)

    def kill(self, *, first: int | None = None) -> None:
        """SIGKILL for the *first* so many of them, or all."""
        doomed, self.running = self.running[:first], [] if first is None else self.running[first:]
        for _, process in doomed:
            process.kill()
        for _, process in doomed:
            process.wait()

    def notes(self) -> Notes:
        """What all of them noted."""
        return read_notes(sorted(self.folder.glob("notes-*")))

    def last_lines(self) -> list[str]:
        """What the running ones noted last."""
        return [line for notes, _ in self.running for line in notes.read_text().splitlines()[-3:]]


def told(notes: Path) -> int:
    """How many answers a client has noted."""
    return notes.read_bytes().count(b"told\t")

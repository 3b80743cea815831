"""The keys of signed checkpoints: where they are written, and what is no such key."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from ptmeter import ConfigurationError, PublicKey, SigningKey

if TYPE_CHECKING:
    from pathlib import Path


def test_a_key_is_written_for_its_owner_alone_and_read_back(tmp_path: Path) -> None:
    """The private key has mode 0600; what it signs, the public key beside it proves, and nothing else."""
    made = SigningKey.new()
    public = PublicKey.read(made.write(tmp_path / "key"))
    read = SigningKey.read(tmp_path / "key")

    assert 0o600 == (tmp_path / "key").stat().st_mode & 0o777
    assert public.proves(read.sign(b"message"), b"message")
    assert not public.proves(read.sign(b"message"), b"another")
    assert not SigningKey.new().public.proves(read.sign(b"message"), b"message")
    assert public.fingerprint == read.public.fingerprint


@pytest.mark.parametrize("there", ["key", "key.pub"])
def test_no_key_is_overwritten(there: str, tmp_path: Path) -> None:
    """A file of either name is left alone, and nothing is written beside it."""
    (tmp_path / there).write_text("precious")

    with pytest.raises(ConfigurationError, match="is there already"):
        SigningKey.new().write(tmp_path / "key")

    assert [there] == [path.name for path in tmp_path.iterdir()]
    assert "precious" == (tmp_path / there).read_text()


def test_a_key_needs_a_place(tmp_path: Path) -> None:
    """A folder or a file that is not there is named."""
    with pytest.raises(ConfigurationError, match="cannot be written"):
        SigningKey.new().write(tmp_path / "no" / "key")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        SigningKey.read(tmp_path / "key")


def test_what_is_no_key_is_named(tmp_path: Path) -> None:
    """Text, keys of another kind, keys with a password, and one half in the place of the other."""
    pem, pkcs8 = Encoding.PEM, PrivateFormat.PKCS8
    made, curve = Ed25519PrivateKey.generate(), generate_private_key(SECP256R1())
    public = made.public_key().public_bytes(pem, PublicFormat.SubjectPublicKeyInfo)
    locked = made.private_bytes(pem, pkcs8, BestAvailableEncryption(b"secret"))
    for no_key in (b"", b"text", public, locked, curve.private_bytes(pem, pkcs8, NoEncryption())):
        with pytest.raises(ConfigurationError, match="no private Ed25519 key"):
            SigningKey.from_pem(no_key)
    other = curve.public_key().public_bytes(pem, PublicFormat.SubjectPublicKeyInfo)
    for no_key in (b"", b"text", locked, other):
        with pytest.raises(ConfigurationError, match="no public Ed25519 key"):
            PublicKey.from_pem(no_key)


def test_a_key_that_is_shown_shows_no_secret() -> None:
    """What a log or a debugger prints of it is the public fingerprint."""
    made = SigningKey.new()

    assert f"SigningKey({made.public.fingerprint})" == repr(made)
    assert f"PublicKey({made.public.fingerprint})" == repr(made.public)


def test_without_the_package_it_says_which_extra_to_install() -> None:
    """Where cryptography is not installed, a key is a sentence and not a traceback; the rest works."""
    program = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from ptmeter import ConfigurationError, Meter, SigningKey\n"
        "with Meter.open('memory://') as meter: assert meter.verify().clean\n"
        "try: SigningKey.new()\n"
        "except ConfigurationError as error: print(error)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "pip install 'ptmeter[signing]'" in ran.stdout

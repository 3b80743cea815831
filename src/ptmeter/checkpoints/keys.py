"""
The keys of signed checkpoints: Ed25519, in PEM files as openssl and others write and read them.

The private key signs and belongs to the job that takes checkpoints; the public key proves and may go anywhere.
They come with ``pip install 'ptmeter[signing]'``; nothing else here needs the cryptography package.
"""

from __future__ import annotations

import os
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


class PublicKey:
    """The key by which whoever has it can tell who signed a checkpoint."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        """Most callers want `PublicKey.read` or `PublicKey.from_pem`."""
        self._key = key

    def __repr__(self) -> str:
        return f"PublicKey({self.fingerprint})"

    @classmethod
    def read(cls, file: Path | str) -> Self:
        """
        Read the key in a PEM file.

        Raises:
            ConfigurationError: There is no such file, or no public Ed25519 key in it.
        """
        return cls.from_pem(_bytes(file), name=str(file))

    @classmethod
    def from_pem(cls, pem: bytes, *, name: str = "the public key") -> Self:
        """
        Take the key from PEM (``-----BEGIN PUBLIC KEY-----``); *name* is what errors call it.

        Raises:
            ConfigurationError: It is no public Ed25519 key.
        """
        _need_cryptography()
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        try:
            key = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PublicKey):
            msg = (
                f"{name} holds no public Ed25519 key in PEM: name the .pub file that was made with the key"
            )
            raise ConfigurationError(msg)
        return cls(key)

    def pem(self) -> bytes:
        """The key in PEM, to be written to a file."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    @property
    def fingerprint(self) -> str:
        """Its short name in hexadecimal: BLAKE2b-128 of the key's 32 bytes."""
        return blake2b(self._key.public_bytes_raw(), digest_size=16).hexdigest()

    def proves(self, signature: bytes, message: bytes) -> bool:
        """Whether *signature* was made over *message* with the private key that belongs to this one."""
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """The private key that checkpoints are signed with: keep it where the database's administrators cannot go."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        """Most callers want `SigningKey.read`, `SigningKey.from_pem` or `SigningKey.new`."""
        self._key = key

    def __repr__(self) -> str:
        return f"SigningKey({self.public.fingerprint})"

    @classmethod
    def new(cls) -> Self:
        """Make a key; it is nowhere else, so `write` it."""
        _need_cryptography()
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def read(cls, file: Path | str) -> Self:
        """
        Read the key in a PEM file.

        Raises:
            ConfigurationError: There is no such file, or no private Ed25519 key in it.
        """
        return cls.from_pem(_bytes(file), name=str(file))

    @classmethod
    def from_pem(cls, pem: bytes, *, name: str = "the signing key") -> Self:
        """
        Take the key from PEM (``-----BEGIN PRIVATE KEY-----``, not encrypted), as a secret store gives it.

        *name* is what errors call it.

        Raises:
            ConfigurationError: It is no private Ed25519 key.
        """
        _need_cryptography()
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):  # a TypeError: it is encrypted
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            msg = f"{name} holds no private Ed25519 key in PEM without a password: make one with --new-key"
            raise ConfigurationError(msg)
        return cls(key)

    def write(self, file: Path | str) -> Path:
        """
        Write the key to *file*, which nobody else can read, and the public key beside it, with ``.pub`` added.

        Returns the public key's file. What is there already is left alone.

        Raises:
            ConfigurationError: There is a file of one of the names, or no place for one.
        """
        private, public = Path(file), Path(f"{file}.pub")
        if public.exists():  # before anything is written: a private key without its public one helps nobody
            raise ConfigurationError(_taken(public))
        _create(private, self._pem(), mode=0o600)
        _create(public, self.public.pem(), mode=0o644)
        return public

    @property
    def public(self) -> PublicKey:
        """The public key that belongs to it."""
        return PublicKey(self._key.public_key())

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes that only this key makes of *message*."""
        return self._key.sign(message)

    def _pem(self) -> bytes:
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _bytes(file: Path | str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        msg = f"the key {file} cannot be read: {error.strerror}"
        raise ConfigurationError(msg) from error


def _create(file: Path, content: bytes, *, mode: int) -> None:
    try:
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise ConfigurationError(_taken(file)) from error
    except OSError as error:
        msg = f"the key {file} cannot be written: {error.strerror}"
        raise ConfigurationError(msg) from error
    with os.fdopen(opened, "wb") as written:
        written.write(content)


def _taken(file: Path) -> str:
    return f"{file} is there already, and a key that was overwritten is lost: choose another name"


def _need_cryptography() -> None:
    if find_spec("cryptography") is None:
        msg = "signed checkpoints need the cryptography package: pip install 'ptmeter[signing]'"
        raise ConfigurationError(msg)

"""The keys of receipts: Ed25519, one secret key in the secrets file, its public key for everybody.

A public key is exchanged as PEM (SubjectPublicKeyInfo), which other tools read too.
"""

import hashlib
from typing import Final, NoReturn

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from hitl.errors import InvalidReceiptKeyError
from hitl.form_token import TokenKey

RECEIPT_KEY_BYTES: Final = 32
_DERIVED: Final = b"greenroom receipt key 1"


class ReceiptVerifier:
    """The public key by which receipts are checked."""

    __slots__ = ("_key",)

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key

    @classmethod
    def of_pem(cls, pem: bytes) -> "ReceiptVerifier":
        """Return the key in a PEM file.

        Raises:
            InvalidReceiptKeyError: it holds no Ed25519 public key.
        """
        try:
            key = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            raise InvalidReceiptKeyError() from None
        if not isinstance(key, Ed25519PublicKey):
            raise InvalidReceiptKeyError()
        return cls(key)

    @property
    def pem(self) -> str:
        """The key as PEM."""
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def key_id(self) -> str:
        """The name of the key in receipts: the first 16 hex digits of the SHA-256 of its 32 bytes."""
        return hashlib.sha256(self._key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        """Return whether ``signature`` is of this key and over ``message``."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


class ReceiptKey:
    """The secret key that receipts are signed with.

    It does not show itself in ``repr`` and refuses to be pickled, so it cannot leave its process by accident.
    """

    __slots__ = ("_key",)

    def __init__(self, secret: bytes) -> None:
        """Take the key whose ``secret`` has 32 bytes.

        Raises:
            ValueError: it has another length.
        """
        self._key = Ed25519PrivateKey.from_private_bytes(secret)

    @classmethod
    def derived_from(cls, key: TokenKey) -> "ReceiptKey":
        """Return the key of an installation whose secrets file names none: the same in every process that has it."""
        return cls(key.sign(_DERIVED))

    def __repr__(self) -> str:
        return "ReceiptKey(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a receipt key does not leave its process")

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the signature over ``message``, the same on every call."""
        return self._key.sign(message)

    @property
    def verifier(self) -> ReceiptVerifier:
        """The public key that belongs to it."""
        return ReceiptVerifier(self._key.public_key())

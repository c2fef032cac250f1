"""Makes sure that every process derives form tokens with the key that this database was used with."""

from actors.errors import KeyMismatchError
from actors.wiring import Ports
from hitl.form_token import TokenKey, key_id
from store.installation import TOKEN_KEY_ID, Installation


async def check_key(key: TokenKey, installation: Installation) -> None:
    """Return when ``key`` is the key of this database; the first key used becomes it.

    Raises:
        KeyMismatchError: the database was used with another key.
        UnavailableError: the store is away.
    """
    ours = key_id(key)
    found = await installation.claim(TOKEN_KEY_ID, ours)
    if found != ours:
        raise KeyMismatchError(found, ours)


class CheckedKey:
    """The form token key of one process, read and checked against the database at its first use."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._key: TokenKey | None = None

    async def get(self) -> TokenKey:
        """Return the key.

        Raises:
            SecretsFileError: the file with it cannot be used.
            KeyMismatchError: the database was used with another key.
            UnavailableError: the store is away.
        """
        if self._key is None:
            key = self._ports.secrets.token_key
            await check_key(key, self._ports.installation)
            self._key = key
        return self._key

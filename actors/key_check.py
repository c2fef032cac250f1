"""Makes sure that every process derives form tokens with the key that this database was used with."""

from actors.errors import KeyMismatchError
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

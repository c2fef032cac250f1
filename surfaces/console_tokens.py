"""The two tokens that a login carries besides its refresh token: access and CSRF, JWTs signed with a key of their own.

Both name the login and its account, and nothing that an account may do: that is asked of the store on each request, so
a login that has ended is worth nothing at once.

Source: spec/http.md 1.3.
"""

from dataclasses import dataclass
from typing import Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from graph.ports import Clock
from hitl.form_token import TokenKey

ACCESS_LIFETIME_S: Final = 3600
_KEY_MESSAGE: Final = b"greenroom console token key 1"
_ALGORITHM: Final = "HS256"
_HEADER: Final = {"alg": _ALGORITHM, "typ": "JWT"}
_HEAD: Final = jwt.encode(_HEADER, {}, OctKey.import_key(bytes(32))).partition(".")[0] + "."
"""How every token of ours begins; it does not depend on the key."""
_ACCESS: Final = "greenroom console access"
_CSRF: Final = "greenroom console csrf"


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a token names: a login, and the account that logged in."""

    login_id: str
    account_id: str


class ConsoleTokens:
    """Makes and reads access and CSRF tokens."""

    def __init__(self, key: TokenKey, clock: Clock) -> None:
        """Prepare; the signing key is derived from ``key``, so that neither kind of token is ever one of the other."""
        self._key = OctKey.import_key(key.sign(_KEY_MESSAGE))
        self._clock = clock

    def access(self, bearer: Bearer) -> str:
        """Return an access token, valid for an hour."""
        return self._signed(_ACCESS, bearer)

    def csrf(self, bearer: Bearer) -> str:
        """Return a CSRF token, valid for an hour and for this login only."""
        return self._signed(_CSRF, bearer)

    def read_access(self, token: str) -> Bearer | None:
        """Return whom an access token names; None for any other text, and when its time is over."""
        return self._read(_ACCESS, token)

    def is_csrf(self, token: str, bearer: Bearer) -> bool:
        """Whether ``token`` is a CSRF token of this login whose time is not over."""
        return self._read(_CSRF, token) == bearer

    def _signed(self, audience: str, bearer: Bearer) -> str:
        now = int(self._clock.now())
        claims = {
            "aud": audience,
            "sub": bearer.account_id,
            "sid": bearer.login_id,
            "iat": now,
            "exp": now + ACCESS_LIFETIME_S,
        }
        return jwt.encode(_HEADER, claims, self._key)

    def _read(self, audience: str, token: str) -> Bearer | None:
        if not token.startswith(_HEAD):
            # All of ours begin alike; so no head of others is ever looked at.
            return None
        registry = jwt.JWTClaimsRegistry(
            now=lambda: int(self._clock.now()),
            leeway=0,
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
            sid={"essential": True},
        )
        try:
            claims = jwt.decode(token, self._key, algorithms=[_ALGORITHM]).claims
            registry.validate(claims)
        except (JoseError, ValueError):
            return None
        return Bearer(claims["sid"], claims["sub"])

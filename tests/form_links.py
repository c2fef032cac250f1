"""Links to forms as people hold them, and a browser without scripts that uses them."""

import re

import httpx2

from approval import RUN
from hitl.form_token import Purpose, derive_token
from hitl.recipient import Recipient, RecipientType
from hitl.surface import Surface
from surface_world import KEY, World


async def link_of(world: World, surface: Surface = Surface.WEB) -> str:
    """Start a run and return the path of the link to its form, minted for ``surface``."""
    async with world.client() as client:
        await client.post("/v1/workflows/run", json=RUN)
    return f"/form/{token_for(world, RecipientType.STANDALONE_WEB_APP, surface)}"


async def token_of(world: World) -> str:
    """Start a run and return the token of its form on the web surface."""
    return (await link_of(world)).rpartition("/")[2]


def token_for(
    world: World, kind: RecipientType, surface: Surface = Surface.WEB, purpose: Purpose = Purpose.SUBMIT
) -> str:
    """Return the token of the newest recipient of ``kind`` on ``surface``."""
    return token_to(newest(world, kind), surface, purpose)


def newest(world: World, kind: RecipientType) -> Recipient:
    """Return the newest recipient of ``kind``."""
    return [each for each in world.store.recipients.values() if each.type == kind][-1]


def token_to(recipient: Recipient, surface: Surface = Surface.WEB, purpose: Purpose = Purpose.SUBMIT) -> str:
    """Return the token of a recipient."""
    return derive_token(KEY, purpose, recipient.form_id, recipient.recipient_id, surface, recipient.generation)


async def opened(client: httpx2.AsyncClient, link: str) -> tuple[str, httpx2.Response]:
    """Open a link as a browser does; return the form's own address and its page."""
    entered = await client.get(link)
    assert entered.status_code == 303, entered.text
    address = entered.headers["location"]
    return address, await client.get(address)


def guard_of(page: httpx2.Response) -> str:
    """Return the hidden guard of a page."""
    found = re.search(r'name="guard" value="([0-9a-f]+)"', page.text)
    assert found is not None
    return found[1]


async def sent(client: httpx2.AsyncClient, link: str, **fields: str) -> httpx2.Response:
    """Open a link and send its page with ``fields``."""
    address, page = await opened(client, link)
    return await client.post(address, data={"guard": guard_of(page), **fields})

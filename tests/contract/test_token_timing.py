"""How long a look-up of a form token takes says nothing about the token."""

import statistics
import time
from dataclasses import replace

import pytest

from approval import approval
from hitl.errors import FormNotFoundError
from hitl.form_token import Purpose, derive_token, hash_token
from hitl.recipient import Recipient, RecipientType
from hitl.surface import Surface
from store.form_record import TokenRow
from store_world import StoreWorld, make_id, new_form, new_run, start
from surface_world import KEY, make_world
from surfaces.form_lookup import form_of_token
from surfaces.ports import SurfacePorts

PAIRS = 2000
LARGEST_SHARE = 0.15
"""How far the medians may differ. A look-up takes a tenth of a millisecond, so this is less than any network lets
through; reading the form, which is large here, would take as long again."""

pytestmark = pytest.mark.long


async def nanoseconds(token: str, ports: SurfacePorts) -> int:
    """Return how long it takes to find that a token opens nothing."""
    began = time.perf_counter_ns()
    with pytest.raises(FormNotFoundError):
        await form_of_token(token, Surface.WEB, ports)
    return time.perf_counter_ns() - began


@pytest.mark.parametrize("kind", ["console", "upload", "revoked"])
async def test_miss_takes_as_long_whatever_the_token(world: StoreWorld, kind: str) -> None:
    """A token that exists and opens nothing here is looked up as fast as one that nobody has ever seen."""
    if world.kind == "memory":
        pytest.skip("nobody comes to the memory twin from outside")
    run = await start(world, new_run("run"))
    form = new_form(run, "form")
    form = replace(form, definition=replace(form.definition, form_content="Well? " * 5000))
    of_type, surface, purpose = RecipientType.STANDALONE_WEB_APP, Surface.WEB, Purpose.SUBMIT
    if kind == "console":
        of_type, surface = RecipientType.BACKSTAGE, Surface.CONSOLE
    elif kind == "upload":
        purpose = Purpose.UPLOAD
    recipient = Recipient(make_id("recipient"), form.form_id, of_type)
    known = derive_token(KEY, purpose, form.form_id, recipient.recipient_id, surface, 1)
    row = TokenRow(hash_token(known), recipient.recipient_id, surface, purpose, 1)
    await world.forms.open(form, [recipient], [row])
    if kind == "revoked":
        await world.forms.revoke(recipient.recipient_id, 1.0)
    ports = replace((await make_world(approval())).ports, forms=world.forms)
    of_known: list[int] = []
    of_unknown: list[int] = []
    for number in range(PAIRS):
        # In turns, so that whatever else this machine does meets both alike.
        unknown = f"{number:043d}"
        for token in (known, unknown) if number % 2 else (unknown, known):
            (of_known if token == known else of_unknown).append(await nanoseconds(token, ports))
    medians = statistics.median(of_known), statistics.median(of_unknown)
    assert abs(medians[0] - medians[1]) < LARGEST_SHARE * medians[1], medians

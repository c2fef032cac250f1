"""The rules of the store of files, on every kind of store."""

import asyncio
from dataclasses import replace
from io import BytesIO

from store.errors import UploadLimitError
from store.file_record import ANY_APP, FileOwner, FileRecord, FormUpload, NewFile
from store.files import FileShelf, RunShelf, shortened
from store_world import NOW, StoreWorld, make_id, new_form, new_run, open_form

OWNER = FileOwner(make_id("workspace"), make_id("app"), "end_user", make_id("ada"))
OTHER = replace(OWNER, owner_id=make_id("bob"))
ELSEWHERE = replace(OWNER, app_id=make_id("other app"))


def record(name: str = "file", owner: FileOwner = OWNER, **changes: str | None) -> FileRecord:
    """Return a record whose id stands for its name."""
    made = FileRecord(make_id(name), owner, f"{name}.pdf", "application/pdf", ".pdf", 7, "d" * 64, NOW)
    return replace(made, **changes)


async def test_record_comes_back_as_it_was(world: StoreWorld) -> None:
    """A file is kept as it is; a second one of the same id changes nothing."""
    kept = await world.files.add(record(form_id="form-1"))
    assert kept == record(form_id="form-1") == await world.files.get(kept.file_id)
    assert await world.files.add(record(name="file", digest="e" * 64)) == kept
    assert await world.files.get("gone") is None


async def test_owner_finds_only_their_own(world: StoreWorld) -> None:
    """Files of another person or another app do not exist for an owner."""
    mine, bobs, others = record("a"), record("b", OTHER), record("c", ELSEWHERE)
    for each in (mine, bobs, others):
        await world.files.add(each)
    ids = [mine.file_id, bobs.file_id, others.file_id, "gone", mine.file_id]
    assert await world.files.of_owner(OWNER, ids) == {mine.file_id: mine}
    assert await world.files.of_owner(replace(OWNER, role="account"), ids) == {}
    assert await world.files.of_owner(OWNER, []) == {}


async def test_run_reads_its_owners_files_and_those_of_its_forms(world: StoreWorld) -> None:
    """What another person uploaded for a form of the run may be read in that run, and in no other."""
    run = new_run("run")
    form = new_form(run)
    await open_form(world, form)
    mine, answer = record("a"), record("b", OTHER, form_id=form.form_id)
    foreign, bobs = record("c", ELSEWHERE, form_id=form.form_id), record("d", OTHER)
    for each in (mine, answer, foreign, bobs):
        await world.files.add(each)
    found = [await world.files.for_run(OWNER, run.run_id, each.file_id) for each in (mine, answer, foreign, bobs)]
    assert found == [mine, answer, None, None]
    assert await world.files.for_run(OWNER, "another run", answer.file_id) is None


async def test_file_of_no_app_is_its_accounts_in_every_app(world: StoreWorld) -> None:
    """What an account uploads without an app goes into its answers and runs of any app of the workspace alone."""
    ann = replace(OWNER, role="account")
    kept = await world.files.add(record("a", replace(ann, app_id=ANY_APP)))
    for owner, is_theirs in (
        (ann, True),
        (replace(ann, app_id=ELSEWHERE.app_id), True),
        (replace(ann, workspace_id=make_id("other workspace")), False),
        (replace(ann, owner_id=OTHER.owner_id), False),
        (OWNER, False),
    ):
        assert await world.files.of_owner(owner, [kept.file_id]) == ({kept.file_id: kept} if is_theirs else {})
        assert await world.files.for_run(owner, "run", kept.file_id) == (kept if is_theirs else None)
    of_app = await world.files.add(record("b", ann))
    assert await world.files.of_owner(replace(ann, app_id=ANY_APP), [of_app.file_id]) == {}


async def test_file_of_a_run_is_named_by_its_content(world: StoreWorld) -> None:
    """A node that runs again stores the same file, not a second one; its run reads it, a stranger's does not."""
    shelf = RunShelf(world.files, world.blobs, OWNER, "run", NOW)
    first = await shelf.put(b"content", "a.png", "image/png")
    again = await RunShelf(world.files, world.blobs, OWNER, "run", NOW + 9).put(b"content", "a.png", "image/png")
    assert again == first and first.size_bytes == 7
    assert (await shelf.put(b"content", "b.png", "image/png")).file_id != first.file_id
    assert await shelf.content(first.file_id) == b"content"
    assert await RunShelf(world.files, world.blobs, OTHER, "run", NOW).content(first.file_id) is None


async def test_upload_is_bound_to_form_and_recipient(world: StoreWorld) -> None:
    """What a recipient uploads for a form is found by that recipient of that form, and by the run."""
    run = new_run("run")
    form, other = new_form(run), new_form(run, "other")
    recipient, stranger = await open_form(world, form), await open_form(world, other)
    kept = await world.files.add_upload(record("a", form_id=form.form_id), recipient.recipient_id, 9)
    assert await world.files.add_upload(kept, recipient.recipient_id, 9) == kept
    await world.files.add_upload(record("b", form_id=other.form_id), stranger.recipient_id, 9)
    await world.files.add(record("c", form_id=form.form_id))
    ids = [kept.file_id, make_id("b"), make_id("c"), "gone"]
    assert await world.files.of_recipient(form.form_id, recipient.recipient_id, ids) == {kept.file_id: kept}
    assert await world.files.of_recipient(form.form_id, stranger.recipient_id, ids) == {}
    assert await world.files.of_recipient(form.form_id, recipient.recipient_id, []) == {}
    assert await world.files.for_run(OTHER, run.run_id, kept.file_id) == kept
    assert await world.files.uploads(form.form_id) == [
        FormUpload(kept.file_id, form.form_id, recipient.recipient_id, NOW)
    ]


async def test_uploads_of_a_recipient_are_counted(world: StoreWorld) -> None:
    """One more than the limit is refused and leaves nothing, also when they come at once."""
    form = new_form(new_run("run"))
    recipient = await open_form(world, form)
    records = [record(str(number), form_id=form.form_id) for number in range(8)]
    work = (world.files.add_upload(each, recipient.recipient_id, 5) for each in records)
    outcomes = await asyncio.gather(*work, return_exceptions=True)
    assert sum(isinstance(each, UploadLimitError) for each in outcomes) == 3
    stored = [await world.files.get(each.file_id) for each in records]
    assert len([each for each in stored if each is not None]) == len(await world.files.uploads(form.form_id)) == 5


async def test_shelf_keeps_content_and_name(world: StoreWorld) -> None:
    """An upload is stored with its content; a long name is cut and keeps its extension."""
    shelf = FileShelf(world.files, world.blobs)
    made = NewFile(make_id("up"), OWNER, "x" * 300 + ".PDF", "application/pdf", NOW)
    kept = await shelf.put_file(BytesIO(b"abc"), made)
    assert await shelf.content(kept) == b"abc"
    assert (len(kept.name), kept.name[-4:], kept.extension) == (200, ".PDF", ".pdf")
    assert shortened("a.txt") == "a.txt"

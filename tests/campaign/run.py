"""``dev/chaos``: serves a Greenroom, lets people use it while a monkey strikes, and says what was violated.

The parts beside it: ``workflows.py`` has the apps that run meanwhile, ``people.py`` clients that start, follow, answer
and stop runs and keep what they were told, ``monkey.py`` what is killed, stopped or locked and when, ``databases.py``
the database servers that it restarts, ``nodes.py`` the second node that it loses, ``checker.py`` the journal, effects
and transcripts against the guarantees.
"""

import argparse
import asyncio
import json
import random
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

from sqlalchemy import select

from actors.settings import Settings
from actors.wiring import Ports
from campaign.checker import Found, violations
from campaign.databases import Blows, postgres_blows, redis_blows
from campaign.monkey import Monkey
from campaign.nodes import SecondNode
from campaign.people import Person, Report
from campaign.workflows import apps
from local_postgres import local_postgres
from local_server import LocalServer, local_server
from local_valkey import local_valkey
from serve_options import set_serve_options
from served import SCRIPTED_MODELS, Served
from store.tables import runs

SETTLE_S = 150.0
"""How long everything may take to end after the last blow."""
PROGRESS_S = 15.0
TWO_NODES = {
    "http_host": "0.0.0.0",
    "actor_cpus": 0.1,
    "runs_per_actor": 5,
    "RAY_scheduler_spread_threshold": "0",
}
"""The proxies of both nodes reach the HTTP replicas of both; and new actors, of which there are always some, go to the
node that has fewer: actors are to be on both."""


def main() -> None:
    """Run one campaign; exit code 0 if nothing was violated."""
    set_serve_options()
    parser = argparse.ArgumentParser(prog="dev/chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=None, help="decides what strikes when; default: a new one")
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL, which is stopped and started too")
    parser.add_argument("--redis", action="store_true", help="hints over a Redis, which is killed too")
    parser.add_argument("--nodes", type=int, choices=(1, 2), default=1, help="2: the second one is lost; on PostgreSQL")
    given = parser.parse_args()
    around = Around(given.postgres or given.nodes > 1, given.redis, given.nodes > 1)
    seed = random.SystemRandom().randrange(1_000_000) if given.seed is None else given.seed
    print(f"seed {seed}, {given.minutes:g} minutes, {given.people} people, {around}", flush=True)
    folder = Path(mkdtemp(prefix="greenroom-chaos-"))
    try:
        wrong = asyncio.run(campaign(folder, given.minutes * 60, seed, given.people, around, print))
    except KeyboardInterrupt:
        sys.exit(f"stopped before anything was checked; data and logs are in {folder}")
    for text in wrong:
        print(f"VIOLATION {text}")
    print(f"{len(wrong)} violations" + (f"; data, logs and transcripts are kept in {folder}" if wrong else ""))
    if not wrong:
        shutil.rmtree(folder)
    sys.exit(1 if wrong else 0)


@dataclass(frozen=True, slots=True)
class Around:
    """What a campaign runs on: PostgreSQL instead of SQLite, a Redis for hints, a second node (on PostgreSQL only)."""

    is_postgres: bool = False
    has_redis: bool = False
    has_second_node: bool = False

    def __str__(self) -> str:
        parts = ["PostgreSQL" if self.is_postgres else "SQLite"]
        parts += ["Redis"] if self.has_redis else []
        return ", ".join([*parts, "two nodes" if self.has_second_node else "one node"])


async def campaign(
    folder: Path, duration_s: float, seed: int, people: int, around: Around, say: Callable[[str], None]
) -> list[str]:
    """Return what was violated in one campaign.

    Args:
        folder: an empty folder, which keeps data and logs.
        duration_s: how long the monkey strikes.
        seed: decides what people and monkey do.
        people: how many clients work at once.
        around: what it runs on.
        say: takes lines of progress.
    """
    async with AsyncExitStack() as stack:
        effects = await stack.enter_async_context(local_server())
        for path in ("/before", "/after"):
            effects.reply(path, b"{}")
        blows: Blows = {}
        settings: dict[str, Any] = {
            "http_allowed_networks": "127.0.0.0/8", "max_recoveries": 100, "pool_size": 3, "ping_interval_s": 1.0,
        }  # fmt: skip
        if around.is_postgres:
            database = stack.enter_context(local_postgres())
            settings["database_url"] = database.url
            blows |= postgres_blows(database, random.Random(f"database/{seed}"))
        if around.has_redis:
            valkey = stack.enter_context(local_valkey())
            settings["redis_url"] = valkey.url
            blows |= redis_blows(valkey, random.Random(f"redis/{seed}"))
        if around.has_second_node:
            settings |= TWO_NODES
        # A node that joins notes the cluster there as the one that other programs of the machine are to connect to.
        settings["RAY_TMPDIR"] = stack.enter_context(TemporaryDirectory(prefix="gr-", dir="/tmp"))
        server = Served(folder, SCRIPTED_MODELS, **settings)
        stack.callback(server.stop)
        await asyncio.to_thread(server.start)
        keys = {name: await asyncio.to_thread(server.import_app, app) for name, app in apps(effects.url).items()}
        second = SecondNode(server, random.Random(f"node/{seed}"))
        stack.callback(second.stop)
        if around.has_second_node:
            await asyncio.to_thread(second.start)
            blows |= second.blows()
        report = Report()
        monkey = Monkey(server, seed, lambda name: say(f"        {name}"), blows, second.processes)
        await _let_them_work(server, keys, report, monkey, duration_s, seed, people, say)
        found, untaken = await _settled(server)
        wrong = violations(report, found, untaken, effects.asked)
        transcripts = [json.dumps(asdict(seen)) + "\n" for seen in report.transcripts]
        (folder / "transcripts.jsonl").write_text("".join(transcripts), encoding="utf-8")
        _summarise(report, monkey, found, effects, say)
        if around.has_second_node:
            lost = [f"{count} x {title}" for title, count in second.lost.items() if count]
            say("lost with nodes: " + (", ".join(lost) or "nothing"))
        return wrong


async def _let_them_work(
    server: Served,
    keys: dict[str, str],
    report: Report,
    monkey: Monkey,
    duration_s: float,
    seed: int,
    people: int,
    say: Callable[[str], None],
) -> None:
    until = time.monotonic() + duration_s
    give_up_at = until + SETTLE_S
    async with asyncio.TaskGroup() as group:
        work = [
            group.create_task(Person(number, seed, server.url, keys, report).work(until, give_up_at))
            for number in range(people)
        ]
        work.append(group.create_task(monkey.work(until)))
        while pending := [task for task in work if not task.done()]:
            await asyncio.wait(pending, timeout=PROGRESS_S)
            over = sum(seen.is_complete for seen in report.transcripts)
            say(
                f"{max(0.0, until - time.monotonic()):5.0f} s left: {len(report.transcripts)} runs, {over} over, "
                f"{sum(monkey.done.values())} blows, {len(pending) - (not work[-1].done())} people at work"
            )


async def _settled(server: Served) -> tuple[dict[str, Found], list[Any]]:
    """Return what the database holds once no run executes and every inbox is empty, or when patience ends."""
    ports = Ports(Settings.model_validate(_settings_of(server)))
    deadline = time.monotonic() + SETTLE_S
    try:
        while True:
            running, untaken = await ports.journal.running_runs(), await ports.journal.untaken()
            if not (running or untaken) or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.5)
        found = {}
        for run_id in await _all_runs(ports):
            record = await ports.journal.get(run_id)
            assert record is not None
            forms = await ports.forms.by_run(run_id)
            submissions = {form.form_id: await ports.forms.submission(form.form_id) for form in forms}
            found[run_id] = Found(record, await ports.journal.read(run_id), forms, submissions)
        return found, untaken
    finally:
        await ports.close()


async def _all_runs(ports: Ports) -> list[str]:
    return await ports.database.read(lambda connection: list(connection.execute(select(runs.c.run_id)).scalars()))


def _settings_of(server: Served) -> dict[str, Any]:
    prefix = "GREENROOM_"
    own = {
        name.removeprefix(prefix).lower(): value
        for name, value in server.environment.items()
        if name.startswith(prefix)
    }
    return {name: value for name, value in own.items() if name in ("data_dir", "database_url", "database_password")}


def _summarise(
    report: Report, monkey: Monkey, found: dict[str, Found], effects: LocalServer, say: Callable[[str], None]
) -> None:
    ends: dict[str, int] = {}
    for each in found.values():
        ends[each.record.status] = ends.get(each.record.status, 0) + 1
    answers = [answer for seen in report.transcripts for answer in seen.answers]
    say("")
    say("blows")
    for name, count in sorted(monkey.done.items(), key=lambda item: -item[1]):
        say(f"  {count:5d}  {name}")
    say(f"runs        {len(found)}: " + ", ".join(f"{count} {status}" for status, count in sorted(ends.items())))
    accepted, late = (sum(answer.status == status for answer in answers) for status in (200, 412))
    say(f"answers     {accepted} accepted, {late} too late")
    say(f"stops       {sum(seen.stop_status == 200 for seen in report.transcripts)}")
    say(f"effects     {len(effects.asked)} calls")
    say(f"connections {sum(seen.connections for seen in report.transcripts)} to follow runs")
    say("HTTP        " + ", ".join(f"{count} x {status}" for status, count in sorted(report.statuses.items())))


if __name__ == "__main__":
    main()

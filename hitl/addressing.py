"""Whom the rules of a workflow mean: groups become addresses, and stand-ins join those they stand in for."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from graph.human_rules import FormRules, group_of
from hitl.recipient import Member, Recipient, RecipientSpec, RecipientType


def plain_address(address: str) -> str:
    """Return an e-mail address as it is compared: without blanks around it, lower-case."""
    return address.strip().lower()


def addresses(people: Iterable[str], groups: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the addresses that ``people`` (addresses and ``group:NAME``) stand for, each once, in their order.

    A group that the file does not have stands for nobody; importing the file has told its author.
    """
    found: dict[str, None] = {}
    for person in people:
        group = group_of(person)
        for address in (person,) if group is None else groups.get(group, ()):
            found[plain_address(address)] = None
    return tuple(found)


def with_stand_ins(
    asked: Iterable[str], stand_ins: Mapping[str, str], groups: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    """Return ``asked`` and the addresses of whoever stands in for one of them, each once.

    A stand-in of a stand-in is not asked: two people who stand in for each other would ask nobody new.
    """
    first = tuple(asked)
    found = dict.fromkeys(first)
    for person, stand_in in stand_ins.items():
        if not set(first).isdisjoint(addresses([person], groups)):
            found |= dict.fromkeys(addresses([stand_in], groups))
    return tuple(found)


def person_spec(member: Member, needs_login: bool) -> RecipientSpec:
    """Return the recipient that asks one account in person.

    Args:
        member: the account.
        needs_login: whether the form counts only people who have logged in; then no link is made for it.
    """
    if needs_login:
        return RecipientSpec(RecipientType.CONSOLE, {"account_id": member.account_id, "email": member.email})
    return RecipientSpec(RecipientType.EMAIL_MEMBER, {"user_id": member.account_id, "email": member.email})


def people_specs(
    specs: Sequence[RecipientSpec], rules: FormRules, groups: Mapping[str, Sequence[str]], members: Sequence[Member]
) -> list[RecipientSpec]:
    """Return the further recipients of a new form: its named approvers, and whoever stands in for somebody asked.

    Args:
        specs: the recipients by the node's delivery methods.
        rules: the node's rules.
        groups: the groups of the workflow file, name -> addresses.
        members: every account of the workspace; an address that is none of theirs is left out.
    """
    by_mail = tuple(plain_address(spec.payload["email"]) for spec in specs if spec.payload.get("email"))
    approvers = addresses(rules.approval.approvers, groups) if rules.approval else ()
    asked = dict.fromkeys((*by_mail, *approvers))
    by_address = {plain_address(member.email): member for member in members}
    return [
        person_spec(member, rules.approval is not None)
        for address in with_stand_ins(asked, rules.stand_ins, groups)
        if address not in by_mail and (member := by_address.get(address)) is not None
    ]


def account_of(recipient: Recipient) -> str | None:
    """Return the account that a recipient asks in person, None where it asks nobody in particular.

    The inbox of the workspace (backstage) carries the account that started the run, which is not asked thereby.
    """
    match recipient.type:
        case RecipientType.EMAIL_MEMBER:
            return recipient.payload.get("user_id")
        case RecipientType.CONSOLE:
            return recipient.payload.get("account_id")
        case _:
            return None


def asked_accounts(recipients: Iterable[Recipient]) -> tuple[str, ...]:
    """Return the accounts that these recipients ask in person, each once; revoked recipients ask nobody."""
    found = [account_of(each) for each in recipients if each.is_active]
    return tuple(dict.fromkeys(account_id for account_id in found if account_id))


def to_remind(recipients: Iterable[Recipient], away: Collection[str]) -> list[Recipient]:
    """Return the recipients that a reminder goes to: active ones with an address.

    Args:
        recipients: of the form.
        away: accounts that have put the form away for now, or have voted.
    """
    return [
        each for each in recipients if each.is_active and each.payload.get("email") and account_of(each) not in away
    ]

"""How the courier sends what the outbox holds: mails with the recipient's link, signed events to webhooks.

The link is made here, right before it is handed to the mail server, and is kept nowhere.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from actors.delivery import Dropped, Sent
from actors.errors import NoMailServerError
from effects.mail import Mailer, MailRefusedError, MailServerAwayError, OutgoingMail
from effects.webhook import WebhookPoster, WebhookSecretError
from graph.ports import Clock
from hitl.errors import FormAlreadySubmittedError, FormExpiredError
from hitl.form import Form
from hitl.form_state import check_open
from hitl.form_token import Purpose, TokenKey, derive_token
from hitl.mail_text import write_mail
from hitl.recipient import ApprovalChannel, Recipient
from hitl.surface import Surface
from store.forms import FormStore
from store.outbox_record import OutboxEntry

_HIDDEN: Final = "***"


class MailSender:
    """Sends the mails of forms, each if its form waits and its recipient may still answer."""

    def __init__(
        self,
        forms: FormStore,
        mailer: Mailer | None,
        token_key: Callable[[], Awaitable[TokenKey]],
        public_url: str,
        clock: Clock,
    ) -> None:
        """Prepare.

        Args:
            forms: the stored forms.
            mailer: None where no mail server is configured.
            token_key: gives the key that form tokens are derived with.
            public_url: what links begin with.
            clock: Unix seconds.
        """
        self._forms = forms
        self._mailer = mailer
        self._token_key = token_key
        self._public_url = public_url.rstrip("/")
        self._clock = clock

    async def send(self, entry: OutboxEntry) -> Sent | Dropped:
        """Send one mail, with the text of its delivery method and the link of its recipient.

        Raises:
            NoMailServerError: none is configured.
            MailRefusedError: the recipient has no address, or the server refused the mail for good.
            UnavailableError: the mail server or the store is away.
        """
        form, recipient = await self._found(entry)
        reason = self._obstacle(form, recipient)
        if reason is not None or form is None or recipient is None:
            return Dropped(reason or "")
        if self._mailer is None:
            raise NoMailServerError()
        email = str(recipient.payload.get("email") or "")
        if not email:
            raise MailRefusedError("the recipient has no e-mail address")
        token = await self._token(recipient)
        text = write_mail(_template(form, recipient), entry.occasion, form, email, self._link(form, token), token)
        message_id = f"<{entry.entry_id}.{recipient.generation}@{self._mailer.domain}>"
        mail = OutgoingMail(email, text.subject, text.text, text.html, message_id, self._clock.now())
        try:
            await self._mailer.send(mail)
        except (MailRefusedError, MailServerAwayError) as error:
            # A server may quote what it refuses.
            raise type(error)(error.reason.replace(token, _HIDDEN) if token else error.reason) from None
        return Sent(message_id)

    async def _found(self, entry: OutboxEntry) -> tuple[Form | None, Recipient | None]:
        form_id = entry.form_id or ""
        form = await self._forms.get(form_id)
        recipients = (await self._forms.recipients([form_id])).get(form_id, [])
        return form, next((each for each in recipients if each.recipient_id == entry.recipient_id), None)

    def _obstacle(self, form: Form | None, recipient: Recipient | None) -> str | None:
        if form is None or recipient is None:
            return "the form is gone"
        if not recipient.is_active:
            return "the recipient was revoked"
        try:
            check_open(form, self._clock.now())
        except FormAlreadySubmittedError:
            return "the form had its answer"
        except FormExpiredError:
            return "the form had expired"
        return None

    async def _token(self, recipient: Recipient) -> str:
        """Return the recipient's token; "" for one who answers after a login."""
        if recipient.type.channel is not ApprovalChannel.EMAIL:
            return ""
        key = await self._token_key()
        ids = (recipient.form_id, recipient.recipient_id)
        return derive_token(key, Purpose.SUBMIT, *ids, Surface.WEB, recipient.generation)

    def _link(self, form: Form, token: str) -> str:
        return f"{self._public_url}/form/{token}" if token else f"{self._public_url}/inbox/forms/{form.form_id}"


def _template(form: Form, recipient: Recipient) -> Mapping[str, str] | None:
    """Return the text of the recipient's delivery method; whoever came in later is sent that of the first one."""
    mails = form.definition.mails
    method_id = str(recipient.payload.get("delivery_method_id"))
    return mails.get(method_id) or next(iter(mails.values()), None)


class WebhookSender:
    """Sends the events of runs and forms, signed with a secret of this process's environment."""

    def __init__(self, poster: WebhookPoster, environment: Mapping[str, str], clock: Clock) -> None:
        self._poster = poster
        self._environment = environment
        self._clock = clock

    async def send(self, entry: OutboxEntry) -> Sent | Dropped:
        """Send one event.

        Raises:
            WebhookSecretError: its secret is not in the environment.
            WebhookGoneError: the receiver is gone for good.
            WebhookAwayError: it did not take the event now.
        """
        secret = self._environment.get(entry.secret_env)
        if not secret:
            raise WebhookSecretError(entry.secret_env)
        now = self._clock.now()
        await self._poster.post(entry.target, entry.occasion, entry.entry_id, entry.body, secret, now)
        return Sent()

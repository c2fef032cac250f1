"""Human in the loop, pure: who may answer a form, from where, until when, and with what.

No clock, no randomness, no I/O: times, keys and files come in as arguments.

surface.py       Surface: the API families
recipient.py     RecipientType with its approval channel; which recipients a form gets
policy.py        the one table surface x recipient type: what is emitted, what is accepted
form_token.py    derive, hash and recognise form tokens
disposition.py   what a form looks like from one surface: its form token there and the channels elsewhere
form.py          Form, FormDefinition, FormStatus
form_state.py    waiting -> submitted | timeout | expired; the first decision wins
deadline.py      node deadline and global deadline
schedule.py      reminders and escalation: the moments of a form
addressing.py    whom groups and stand-ins mean
claim.py         an account says that it will answer a form
hand_over.py     reassign and delegate: who may
submission.py    an answer checked against its form
digest.py        the digest of a form; canonical JSON
approval.py      approvers, quorum, groups: what one more vote means
receipt.py       the signed statement of who decided what, and how it is checked
receipt_key.py   the keys that sign and check receipts
form_preview.py  a node tried out without a run: what it would ask, what an answer would give
mail_text.py     the text of a mail about a form
webhook.py       what a webhook is told, and how it is signed
answer_file.py   the files of an answer: ownership, type, extension, transfer method
errors.py        what can be wrong with a form, an answer or a token
"""

"""What people do around forms: votes, claims, mails, conversations, sessions."""

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables; what each is for is said in ``store.tables``."""

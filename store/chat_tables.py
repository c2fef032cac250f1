"""The tables of conversations; ``store.tables`` says how columns are to be read.

    conversations              the messages of one person with one app
    messages                   question and answer of one run of a chatflow; message_id is the run's id
    conversation_variables     what a conversation keeps from message to message
    message_feedbacks          what people think of answers, one a message

A run's facts change its message and the variables in the transaction that appends them, so the run's row is locked
before any row here; variables of one transaction are written in the order of their names.
"""

from sqlalchemy import Column, Double, Index, LargeBinary, String, Table

from store.tables import Id, OutsideText, metadata

conversations = Table(
    "conversations",
    metadata,
    Column("conversation_id", Id(64), primary_key=True),
    Column("app_id", Id(64), nullable=False),
    Column("owner_role", String(16), nullable=False),
    Column("owner_id", Id(64), nullable=False),
    Column("name", OutsideText, nullable=False),
    Column("inputs", LargeBinary, nullable=False),
    Column("introduction", OutsideText, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Index("ix_conversations_owner", "app_id", "owner_role", "owner_id", "updated_at"),
)

messages = Table(
    "messages",
    metadata,
    Column("message_id", Id(64), primary_key=True),
    Column("conversation_id", Id(64), nullable=False),
    Column("query", OutsideText, nullable=False),
    Column("inputs", LargeBinary, nullable=False),
    Column("files", LargeBinary, nullable=False),
    Column("answer", OutsideText, nullable=False),
    Column("status", String(16), nullable=False),
    Column("error", OutsideText),
    Column("resources", LargeBinary, nullable=False),
    Column("created_at", Double, nullable=False),
    Index("ix_messages_conversation_id", "conversation_id", "created_at"),
)

conversation_variables = Table(
    "conversation_variables",
    metadata,
    Column("conversation_id", Id(64), primary_key=True),
    Column("name", OutsideText, primary_key=True),
    Column("variable_id", Id(64), nullable=False),
    Column("value_type", String(32), nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("description", OutsideText, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    sqlite_with_rowid=False,
)

message_feedbacks = Table(
    "message_feedbacks",
    metadata,
    Column("message_id", Id(64), primary_key=True),
    Column("conversation_id", Id(64), nullable=False),
    Column("app_id", Id(64), nullable=False),
    Column("end_user_id", Id(64), nullable=False),
    Column("rating", String(16), nullable=False),
    Column("content", OutsideText, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Index("ix_message_feedbacks_app_id", "app_id", "created_at"),
    Index("ix_message_feedbacks_conversation_id", "conversation_id"),
)

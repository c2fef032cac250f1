"""What Greenroom keeps: runs and their journal, forms, apps, people. SQL for SQLite and PostgreSQL, memory for tests.

database.py                   transactions and retries; sqlite_lane.py: one writer thread for SQLite,
                              postgres_lane.py: the few connections that a process has to PostgreSQL
tables.py, migrations/        the schema and its revisions; migrate.py applies them
journal.py, run_rows.py       Journal and SqlJournal: facts, fence, inbox, snapshots, blow by blow in SQL
run_record.py                 what goes into a journal and comes out of it
packing.py, blobs.py          large values outside the database, by content; compression.py: the rest made small
forms.py, form_rows.py        FormStore and SqlForms: forms, recipients, tokens, answers
audit_rows.py                 who did what to a form
decisions.py, decision_tables.py  DecisionStore and SqlDecisions: votes, who decided a form, who has read it
form_record.py                what goes into the store of forms and comes out of it
human_time.py                 HumanTimeStore and SqlHumanTime: reminders, escalation, claims, handing over, inboxes
form_desk.py, sql_desk.py     what people and time do to a waiting form; its rows in SQL
human_time_rows.py, inbox_rows.py  the other statements of it; human_time_tables.py: its tables
human_time_record.py, inbox_record.py  what goes into it and comes out of it
outbox.py, outbox_rows.py     Outbox and SqlOutbox: mails and events to send, and how they fare
outbox_record.py, outbox_tables.py  what goes into the outbox, and its table
insert_once.py                rows inserted, all or those whose key is new
driver.py                     the statements of the busiest paths, on SQLite past SQLAlchemy
apps.py, app_record.py        AppStore and SqlApps: apps, workflow versions, API keys
accounts.py, account_record.py  AccountStore and SqlAccounts: workspaces, accounts, members, end users
console_tables.py             the schema of logins and drafts
logins.py, login_record.py    LoginStore and SqlLogins: passwords, who is logged in, tries
bearers.py, bearer_record.py   BearerStore and SqlBearers: bearer tokens and devices that ask for one;
                              bearer_tables.py: their tables
drafts.py                     DraftStore, SqlDrafts, MemoryDrafts: workflows as they are being edited
listings.py                   Listings: the apps of a workspace, the runs of an app
files.py, file_record.py      FileTable, SqlFiles and the shelves: files, whose they are, their content
chats.py, chat_record.py      ChatStore and SqlChats: conversations, messages, their variables, feedback
chat_tables.py, chat_rows.py  their tables, and what a run's append changes in them
sites.py, site_record.py      SiteStore and SqlSites: the web address of an app
mcp_servers.py, mcp_record.py  McpServerStore and SqlMcpServers: which apps agents may call; mcp_tables.py: their table
web_tables.py                 the tables of sites and of uploads for forms
rate_counters.py              RateCounter: how often something was done, in memory or in Redis
hint_record.py, redis_streams.py  HintCarrier and RedisHints: hints between processes over a Redis Stream
run_tables.py                 which rows of which tables belong to a run
archive.py, bundle.py, archive_tables.py  Archive: ended runs outside the tables, in bundles, and back
retention.py, forget.py       which runs go there; everything of one person deleted
sqlite_copy.py                a SQLite database copied while it is used
kept_objects.py, blob_sweep.py  objects by path; unused large values deleted beside their writers
installation.py               values of the whole installation, such as the id of the form token key
memory_store.py               the rows of the memory twins: memory_journal.py, memory_forms.py, memory_apps.py,
                              memory_accounts.py, memory_files.py, memory_decisions.py, memory_human_time.py,
                              memory_outbox.py, memory_logins.py, memory_bearers.py, memory_chats.py, memory_sites.py,
                              memory_mcp.py
errors.py                     what can go wrong with the store
"""

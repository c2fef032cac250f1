"""What Greenroom keeps: runs and their journal, forms, apps, people. SQL for SQLite and PostgreSQL, memory for tests.

database.py, sqlite_lane.py   transactions: one writer thread for SQLite, a pool for PostgreSQL; retries
tables.py, migrations/        the schema and its revisions; migrate.py applies them
journal.py, run_rows.py       Journal and SqlJournal: facts, fence, inbox, snapshots, blow by blow in SQL
run_record.py                 what goes into a journal and comes out of it
packing.py, blobs.py          large values outside the database, by content
forms.py, form_rows.py        FormStore and SqlForms: forms, recipients, tokens, answers, audit
form_record.py                what goes into the store of forms and comes out of it
apps.py, app_record.py        AppStore and SqlApps: apps, workflow versions, API keys
accounts.py, account_record.py  AccountStore and SqlAccounts: workspaces, accounts, members, end users
files.py, file_record.py      FileTable, SqlFiles and the shelves: files, whose they are, their content
hint_record.py, redis_streams.py  HintCarrier and RedisHints: hints between processes over a Redis Stream
run_tables.py                 which rows of which tables belong to a run
archive.py, bundle.py, archive_tables.py  Archive: ended runs outside the tables, in bundles, and back
retention.py, forget.py       which runs go there; everything of one person deleted
sqlite_copy.py                a SQLite database copied while it is used
kept_objects.py, blob_sweep.py  objects by path; unused large values deleted beside their writers
installation.py               values of the whole installation, such as the id of the form token key
memory_store.py               the rows of the memory twins: memory_journal.py, memory_forms.py, memory_apps.py,
                              memory_accounts.py, memory_files.py
errors.py                     what can go wrong with the store
"""

"""The revisions of the schema, one file each, numbered; ``store.migrate`` applies them.

0001_first_tables.py  everything of the first version
0002_people.py        what people do around forms; the archive of ended runs
"""

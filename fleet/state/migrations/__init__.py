"""How the tables of the state came to be what they are, one file per step, run by alembic.

A new step is a file `versions/vNNNN_what_it_does.py` with `revision` and `down_revision`; the tables in `schema.py` changed
to match, which a test compares on SQLite and PostgreSQL; and its number at the end of `LAYOUTS` in `layout.py`, with the older
numbers taken out of `READABLE` if reading needs what is new.

Steps never import the tables: those change, a step does not. All steps of one upgrade are one transaction.
"""

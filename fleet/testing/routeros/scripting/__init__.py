"""RouterOS scripts on the simulated router: parsed strictly as the manual writes the language, run against its menus.

Sources: the vendor's manual "Scripting" (line structure, data types, escapes, operators, commands), "Scripting tips and
tricks", "Scheduler"; sheet sections 5.3 and 6. Where the manual is silent or says that something is bad, a script gets an
error here: what runs here is meant to run on a router, not the other way round.
"""

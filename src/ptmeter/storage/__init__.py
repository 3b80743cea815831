"""
The ledger on a database: SQLAlchemy Core on SQLite, PostgreSQL and MariaDB/MySQL, and in memory.

Words: a *store* opens *books* (the repositories inside one transaction); a *dialect* is what one database
needs done differently. It owns every table named ``ptm_…`` and all SQL. What always holds: a decision is
read and written under its wallets' locks, at READ COMMITTED or under SQLite's write lock, and nothing is
acknowledged before it is durable. It decides nothing: it must not know what a command means.
"""

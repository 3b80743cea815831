"""
Signed checkpoints outside the database: the keys that sign them, and the file they are appended to.

Its words are *checkpoint*, *mark* and *seal*: a checkpoint is an opening line, a line for each mark, and a line
with the seal, which is its hash and the signature over it. A file that was read has been proved whole: every line
is in its place, every hash is right, every signature is by the key that was given, and no checkpoint is missing
between the first and the last. It decides nothing about the ledger; `domain.checkpoint_audit` compares.
"""

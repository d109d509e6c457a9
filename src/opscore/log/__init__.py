"""The append-only log: canonical form, hash chain, encryption of personal fields, append and read."""

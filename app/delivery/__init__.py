"""Delivery: state first, then messages, then the offset.

An agent is handed batches. Between one batch and the next this package makes the batch's effects last,
in the one order in which a crash at any point loses nothing:

1. the new states go to the changelog, and the broker acknowledges them;
2. they are written to RocksDB, together with the changelog offset that they reach up to;
3. the outgoing messages are sent, and the broker acknowledges them;
4. the input's offsets may be committed.
"""

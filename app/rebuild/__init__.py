"""The rebuild: sorts the topics of messages in a scratch store, and makes the states anew from them.

It decides nothing: `models.rebuild` does, with the saga, the stock keeper and the payment themselves. Stages
and what they do outside (the provider, messages) are no part of it, so nothing is sent.

The partitions are shared out among processes, each with a scratch RocksDB of its own. An order's records lie
in its partition, its requests for stock in those of its SKUs; what another process needs is left to it in a
file. RocksDB sorts a process's records by order, and by SKU and order; then one after the other is made anew,
and compared with the last row that the changelog has of it. In memory is one order at a time.
"""

"""The auditor: reads the topics of messages, and no table, and checks that all is as was promised.

It shares no decision with the saga, the stock keeper or the payments: what is right is said here a second
time (`ends`, `stock` and `holds`, `payments`, `causes`), in terms of what the topics must look like. It
shares the messages themselves and the codec.

Memory does not grow with the topics. What belongs together is not read together: an order's requests for
stock lie in the partitions of its SKUs, its answers in its own. So every record is first put into a scratch
RocksDB in a temporary folder, under its case (the order, or the restock), which sorts them on the disk. Then
one case after another is judged, and how it moved the stock is put back, under its SKU and time; then one
SKU after another. In memory are one case and one SKU's counters at a time, RocksDB's buffers, and as many
offences as are shown. The disk needs about as much as the topics have uncompressed.
"""

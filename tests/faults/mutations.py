"""What would break the promise if it were otherwise, and the test that must find it so.

Each mutation swaps two neighbouring steps of the delivery order, or drops what a receiver knows a repeat by.
It is made in a copy of the source, where its test then has to fail.
"""

from dataclasses import dataclass

COMMITTING = "app/delivery/committing.py"
SAGA = "models/saga.py"
STOCK = "models/stock.py"
PAYMENT = "models/payment.py"
OUTBOUND = "models/outbound.py"

TEST_COMMITTING = "tests/app/delivery/test_committing.py"
TEST_SAGA = "tests/models/test_saga.py"
TEST_STOCK = "tests/models/test_stock.py"
TEST_PAYMENT = "tests/models/test_payment.py"
TEST_OUTBOUND = "tests/models/test_outbound.py"
TEST_STATISTICS = "tests/tables/test_analytics.py"


@dataclass(frozen=True)
class Mutation:
    """Be one place of the source that says something else, and the test that must fail for it."""

    name: str
    file: str
    before: str
    after: str
    caught_by: str


IN_ORDER = f"{TEST_COMMITTING}::test_a_commit_takes_its_steps_in_order"

DELIVERY = (
    Mutation(
        "states are sent before the partitions are surely its own",
        COMMITTING,
        """\
    await means.ownership.lease.hold()
    means.reached("begun")
    await _save(batch, means)
""",
        """\
    await _save(batch, means)
    await means.ownership.lease.hold()
    means.reached("begun")
""",
        f"{TEST_COMMITTING}::test_nothing_is_begun_where_the_partitions_may_be_anothers",
    ),
    Mutation(
        "messages go out before the states are safe",
        COMMITTING,
        """\
    await _save(batch, means)
    await means.producer.publish(batch.outgoing)
""",
        """\
    await means.producer.publish(batch.outgoing)
    await _save(batch, means)
""",
        IN_ORDER,
    ),
    Mutation(
        "messages go out before the disk has the states",
        COMMITTING,
        "    await _save(batch, means)\n",
        """\
    publish = means.producer.publish

    async def both(states):
        offsets = await publish(states)
        await publish(batch.outgoing)
        return offsets

    means.producer.publish = both
    await _save(batch, means)
    means.producer.publish = publish
""",
        IN_ORDER,
    ),
    Mutation(
        "the input is acknowledged before the messages are",
        COMMITTING,
        """\
    await means.producer.publish(batch.outgoing)
    means.reached("messages acknowledged")
    means.progress.reach([given.source for given in batch.inputs if given.source is not None])
""",
        """\
    means.progress.reach([given.source for given in batch.inputs if given.source is not None])
    await means.producer.publish(batch.outgoing)
    means.reached("messages acknowledged")
""",
        IN_ORDER,
    ),
    Mutation(
        "the provider is called before the input is acknowledged",
        COMMITTING,
        """\
    means.progress.reach([given.source for given in batch.inputs if given.source is not None])
    means.reached("input acknowledged")
    for callback in batch.afterwards:
        callback()
""",
        """\
    for callback in batch.afterwards:
        callback()
    means.progress.reach([given.source for given in batch.inputs if given.source is not None])
    means.reached("input acknowledged")
""",
        IN_ORDER,
    ),
    Mutation(
        "the disk is written before the changelog has the states",
        COMMITTING,
        """\
    offsets = await means.producer.publish(
        {(state.changelog, partition): records for (state, partition), records in rows.items()}
    )
""",
        """\
    for (state, partition), records in rows.items():
        state.write(partition, [(record["key"], record["value"]) for record in records], 0)
    offsets = await means.producer.publish(
        {(state.changelog, partition): records for (state, partition), records in rows.items()}
    )
""",
        IN_ORDER,
    ),
    Mutation(
        "the disk is written before it is known whose the partition is",
        COMMITTING,
        """\
        foreign = () if gap is None else await means.ownership.examine(state, partition, gap)
        state.write(partition, [(record["key"], record["value"]) for record in records], offset)
""",
        """\
        state.write(partition, [(record["key"], record["value"]) for record in records], offset)
        foreign = () if gap is None else await means.ownership.examine(state, partition, gap)
""",
        f"{TEST_COMMITTING}::test_anothers_rows_are_looked_at_before_the_disk_is_written_and_put_right_before_messages",
    ),
    Mutation(
        "another's rows are put right before one's own are on the disk",
        COMMITTING,
        """\
        state.write(partition, [(record["key"], record["value"]) for record in records], offset)
        means.reached("some rows written")
        if foreign:
            await means.ownership.put_right(state, partition, foreign, means.producer)
""",
        """\
        if foreign:
            await means.ownership.put_right(state, partition, foreign, means.producer)
        state.write(partition, [(record["key"], record["value"]) for record in records], offset)
        means.reached("some rows written")
""",
        f"{TEST_COMMITTING}::test_anothers_rows_are_looked_at_before_the_disk_is_written_and_put_right_before_messages",
    ),
    Mutation(
        "a stage's turn at a shared table is over before it has written",
        COMMITTING,
        """\
            await turns.enter_async_context(state.turn)
        await _write(rows, means)
""",
        """\
            await turns.enter_async_context(state.turn)
    await _write(rows, means)
""",
        f"{TEST_COMMITTING}::test_stages_that_share_a_table_take_turns_at_it",
    ),
    Mutation(
        "counters stand before the rows that they count",
        "app/delivery/batch.py",
        "[*self._first.values(), *self._in_turn, *self._last.values()]",
        "[*self._first.values(), *self._last.values(), *self._in_turn]",
        f"{TEST_COMMITTING}::test_rows_stand_first_in_turn_and_last",
    ),
    Mutation(
        "marks stand behind what they point to",
        "app/delivery/batch.py",
        "[*self._first.values(), *self._in_turn, *self._last.values()]",
        "[*self._in_turn, *self._first.values(), *self._last.values()]",
        f"{TEST_COMMITTING}::test_rows_stand_first_in_turn_and_last",
    ),
    Mutation(
        "offsets are committed before the batches in hand are finished",
        "app/delivery/stages.py",
        """\
            try:
                await asyncio.wait_for(asyncio.gather(*(each.drain() for each in running)), limit_ms / 1000)
""",
        """\
            await commit()
            try:
                await asyncio.wait_for(asyncio.gather(*(each.drain() for each in running)), limit_ms / 1000)
""",
        "tests/app/delivery/test_batches.py"
        "::test_nothing_is_worked_on_between_a_rebalance_and_the_next_assignment",
    ),
    Mutation(
        "a changelog is claimed before it is known to be whole",
        "app/delivery/recovery.py",
        """\
        await self._require_whole()
        claims = await delivery.ownership.claim(self.active_tps)
""",
        """\
        claims = await delivery.ownership.claim(self.active_tps)
        await self._require_whole()
""",
        "tests/faults/test_emptied.py::test_a_worker_does_not_start_on_a_changelog_that_was_emptied[gone]",
    ),
)

RECEIVERS = (
    Mutation(
        "an order heeds what its status does not await",
        SAGA,
        "    if order.status not in AWAITED_IN[type(event)]:\n        return order\n",
        "",
        f"{TEST_SAGA}::test_a_second_wish_for_a_refund_gets_no_second_refund",
    ),
    Mutation(
        "an order moves a line from wherever it is",
        SAGA,
        "if line.sku == event.sku and line.status in sources else line",
        "if line.sku == event.sku else line",
        f"{TEST_SAGA}::test_a_deduction_told_after_its_release_changes_nothing",
    ),
    Mutation(
        "an order moves its payment from wherever it is",
        SAGA,
        "return replace(order, payment=target) if order.payment in sources else order",
        "return replace(order, payment=target)",
        f"{TEST_SAGA}::test_a_refund_told_before_its_charge_settles_the_payment_all_the_same",
    ),
    Mutation(
        "an order is timed out for a status that it has left",
        SAGA,
        "    if event.entered_by != order.entered_by:\n        return order\n",
        "",
        f"{TEST_SAGA}::test_a_time_out_about_a_status_that_the_order_has_left_does_nothing",
    ),
    Mutation(
        "an order heeds what was found out about a status that it has left",
        SAGA,
        "    if order.entered_by != finding.entered_by or order.settled:\n        return ()\n",
        "",
        f"{TEST_SAGA}::test_a_finding_about_an_order_that_has_moved_on_does_nothing",
    ),
    Mutation(
        "a repeat is skipped and not played again",
        SAGA,
        "    if before is after:\n        return tuple(",
        "    if before is after:\n        return ()\n        return tuple(",
        f"{TEST_SAGA}::test_a_repeat_sends_all_that_is_due_again_with_the_same_ids",
    ),
    Mutation(
        "a restock is counted each time",
        STOCK,
        "    if stock.hold is not None or (read_at is not None and message.at < read_at - SKEW):\n",
        "    if read_at is not None and message.at < read_at - SKEW:\n",
        f"{TEST_STOCK}::test_a_repeated_restock_is_counted_once",
    ),
    Mutation(
        "a restock is counted again once its mark is forgotten",
        STOCK,
        "    if stock.hold is not None or (read_at is not None and message.at < read_at - SKEW):\n",
        "    if stock.hold is not None:\n",
        f"{TEST_STOCK}::test_a_restock_read_again_after_its_mark_was_forgotten_is_not_counted",
    ),
    Mutation(
        "a request reserves each time",
        STOCK,
        "    if stock.hold is not None:\n        return stock, _repeat(stock.hold, message)\n",
        "",
        f"{TEST_STOCK}::test_a_repeated_request_is_answered_in_the_same_words_and_counted_once",
    ),
    Mutation(
        "a request reserves again once its mark is forgotten",
        STOCK,
        "    if read_at is not None and message.at < read_at - SKEW:\n        return stock, (_insuff",
        "    if read_at is not None and message.at < read_at - 9_999 * SKEW:\n        return stock, (_insuff",
        f"{TEST_STOCK}::test_an_old_request_read_again_after_its_mark_was_forgotten_reserves_nothing",
    ),
    Mutation(
        "a release gives back each time",
        STOCK,
        "    elif hold.status is HoldStatus.RESERVED:\n",
        "    else:\n",
        f"{TEST_STOCK}::test_a_repeated_release_is_answered_in_the_same_words_and_counted_once",
    ),
    Mutation(
        "a sale is counted each time",
        STOCK,
        "    if item is None or hold is None or hold.status is not HoldStatus.RESERVED:\n",
        "    if item is None or hold is None:\n",
        f"{TEST_STOCK}::test_a_repeated_sale_is_counted_once",
    ),
    Mutation(
        "a return is counted each time",
        STOCK,
        "    sold = hold.quantity if hold.status is HoldStatus.SOLD else 0\n",
        "    sold = 0 if reserved else hold.quantity\n",
        f"{TEST_STOCK}::test_a_repeated_return_is_answered_in_the_same_words_and_counted_once",
    ),
    Mutation(
        "a release that comes first leaves no mark",
        STOCK,
        "        hold = _hold(item, message, HoldStatus.RELEASED)\n    elif",
        "        return stock, (_released(_hold(item, message, HoldStatus.RELEASED), message),)\n    elif",
        f"{TEST_STOCK}::test_a_release_before_its_request_has_the_late_request_refused",
    ),
    Mutation(
        "a payment heeds what its status does not await",
        PAYMENT,
        "    if payment.status not in AWAITED_IN[type(event)]:\n        return payment\n",
        "",
        f"{TEST_PAYMENT}::test_a_payment_is_refunded_once",
    ),
    Mutation(
        "a refund that comes first leaves no mark",
        PAYMENT,
        "            return _withdrawn(event)\n",
        "            return None\n",
        f"{TEST_PAYMENT}::test_a_refund_asked_for_before_the_charge_has_the_late_request_charge_nothing",
    ),
    Mutation(
        "a refund that is asked for in vain again is late from then on",
        PAYMENT,
        "if payment.delayed_since is None else payment",
        "",
        f"{TEST_PAYMENT}::test_a_refund_that_fails_stays_open_and_says_so_with_the_time_of_its_first_failure",
    ),
    Mutation(
        "a message is sent again for each repeat of its event",
        OUTBOUND,
        "    if known.status in _LOST and parcel.asked_at > known.asked_at:\n",
        "    if known.status is not ParcelStatus.OPEN:\n",
        f"{TEST_OUTBOUND}::test_a_repeat_of_what_was_delivered_is_not_sent",
    ),
    Mutation(
        "a dead letter is sent again when its old record is read again",
        OUTBOUND,
        "    if known.status in _LOST and parcel.asked_at > known.asked_at:\n",
        "    if known.status in _LOST:\n",
        f"{TEST_OUTBOUND}::test_the_record_of_a_dead_letter_that_is_read_again_after_a_crash_changes_nothing",
    ),
    Mutation(
        "an outcome of a message counts each time",
        OUTBOUND,
        "if outbox is None or known is None or known.status is not AWAITED_IN[type(given)]:",
        "if outbox is None or known is None:",
        f"{TEST_OUTBOUND}::test_an_outcome_counts_where_it_is_awaited_and_nowhere_else",
    ),
    Mutation(
        "an end counts in the statistics each time that it is read",
        "models/analytics.py",
        "    fresh = [each for each in news if each.offset > minute.counted_to]\n",
        "    fresh = [*news]\n",
        f"{TEST_STATISTICS}::test_whatever_a_crash_keeps_of_the_rows_each_end_counts_once",
    ),
    Mutation(
        "units count in the statistics each time that they are read",
        "models/analytics.py",
        "    fresh = [each for each in news if each.offset > units.counted_to]\n",
        "    fresh = [*news]\n",
        f"{TEST_STATISTICS}::test_whatever_a_crash_keeps_of_the_rows_each_end_counts_once",
    ),
    Mutation(
        "an end counts in the statistics each time that it is said",
        "tables/analytics.py",
        "    if batch.read(state, partition, key) not in (None, offset):\n        return False\n",
        "",
        f"{TEST_STATISTICS}::test_what_was_said_again_counts_once",
    ),
)

MUTATIONS = (*DELIVERY, *RECEIVERS)

"""Whether the changelogs still have what this worker's folder and the group's offsets say they had.

Where one was emptied, or made anew, tables would come back without their rows, and their inputs would not
come again. It is found out before the partitions are claimed: a claim is a record too, and whoever has worked
on a partition has left one, so an empty changelog is one that nobody has ever worked on.

A changelog that is compacted begins at 0 for ever, however much compaction takes out of it. Where it begins
later, records were deleted from it, for which its cleanup policy was another for a while.
"""

from collections.abc import Mapping

from faust.types import TP


def fault_of_folder(ends: Mapping[TP, int], applied: Mapping[TP, int]) -> str | None:
    """Return what is wrong where a folder has applied a changelog beyond its end; None where none has.

    `ends` are the offsets behind the last records, `applied` the last offsets in the folder, -1 for none.
    """
    for tp, end in sorted(ends.items()):
        if applied[tp] >= end:
            ahead = f"this worker's folder has it up to {applied[tp]}"
            return f"{tp.topic}[{tp.partition}] ends at {end}, but {ahead}"
    return None


def fault_of_start(starts: Mapping[TP, int], applied: Mapping[TP, int]) -> str | None:
    """Return what is wrong where a folder lacks what was deleted from a changelog; None where none does.

    `starts` are the offsets at which reading begins: behind what the folder has, or behind what was deleted.
    """
    for tp, start in sorted(starts.items()):
        if start > applied[tp] + 1:
            lacking = f"this worker's folder needs it from {applied[tp] + 1} on"
            return f"{tp.topic}[{tp.partition}] begins at {start}, but {lacking}"
    return None


def fault_of_offsets(
    ends: Mapping[TP, int], inputs: Mapping[str, tuple[str, ...]], committed: Mapping[TP, int]
) -> str | None:
    """Return what is wrong where a changelog is empty, but its stage has worked; None where none is.

    `inputs` are the topics that the stage of a changelog reads, `committed` how far the group has read them.
    """
    for tp in empty(ends):
        for topic in inputs.get(tp.topic, ()):
            if reached := committed.get(TP(topic, tp.partition), 0):
                done = f"{topic}[{tp.partition}] was worked through up to {reached}"
                return f"{tp.topic}[{tp.partition}] is empty, but {done}"
    return None


def empty(ends: Mapping[TP, int]) -> list[TP]:
    """Return the partitions that never had a record."""
    return sorted(tp for tp, end in ends.items() if end == 0)

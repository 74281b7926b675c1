"""Which changelogs a worker's folder was made from.

Topics of the same names may be others: of another Kafka, or made anew. Where they are as long as what the
folder has of the first ones, nothing else tells: rows of both would stand beside each other, as one table.
"""

import json
from collections.abc import Mapping
from pathlib import Path

FILE = "changelogs.json"


def fault_of_origin(folder: Path, ids: Mapping[str, str]) -> str | None:
    """Return what is wrong where the folder was made from other changelogs; note these where none is known.

    `ids` are Kafka's own, by topic. A folder that is older than this note is taken for theirs.
    """
    file = folder / FILE
    known: dict[str, str] = json.loads(file.read_text("utf-8")) if file.exists() else {}
    for topic, topic_id in sorted(ids.items()):
        if (noted := known.get(topic, topic_id)) != topic_id:
            return f"{topic} is {topic_id} in this Kafka, but this worker's folder was made from {noted}"
    if not ids.keys() <= known.keys():
        new = file.with_suffix(".new")
        new.write_text(json.dumps({**known, **ids}, indent=2, sort_keys=True) + "\n", "utf-8")
        new.replace(file)
    return None

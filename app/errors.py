"""The failures a command ends with: one sentence that names the cause, the value and the remedy.

Failure
 ├── SettingsError      a key or a value that is wrong          (app.settings)
 ├── BrokerUnavailable  Kafka does not answer
 ├── BrokerRefused      the embedded broker can't start         (port, folder, packages)
 ├── SimulatorRefused   the payment simulator can't start       (port, ledger)
 ├── WorkerRefused      a worker can't start                    (port, versions)
 ├── LoadRefused        a load can't be offered                 (addresses, stock, sizes)
 ├── AuditRefused       an audit can't be made                  (worker, folder, port)
 ├── ScratchRefused     a scratch store can't be kept           (folder, disk)
 ├── RebuildRefused     a rebuild can't be made                 (topics, workers, changelogs)
 ├── RewindRefused      a stage can't read anew                 (workers)
 ├── LettersRefused     dead letters can't be worked on         (ids, topics, edits)
 └── TopicsDiffer       the topics are not what a worker needs
"""


class Failure(Exception):  # noqa: N818  # its text is shown to a person, who reads "error: ..."
    """Be the root of what a command may end with; the text is all the user sees."""


class SettingsError(Failure):
    """Say which setting is wrong, what it is, unless that may be a secret, and what was expected."""


class BrokerUnavailable(Failure):
    """Say which broker did not answer, and how to start one."""


class BrokerRefused(Failure):
    """Say why the embedded broker can't start."""


class SimulatorRefused(Failure):
    """Say why the payment simulator can't start."""


class LoadRefused(Failure):
    """Say why a load can't be offered."""


class AuditRefused(Failure):
    """Say why an audit can't be made."""


class ScratchRefused(Failure):
    """Say why a scratch store can't be kept."""


class RebuildRefused(Failure):
    """Say why states can't be rebuilt, or put back."""


class RewindRefused(Failure):
    """Say why a stage can't be made to read its topics anew."""


class LettersRefused(Failure):
    """Say why dead letters can't be worked on."""


class TopicsDiffer(Failure):
    """Say which topics are not what a worker needs, and how to make them so."""


class WorkerRefused(Failure):
    """Say why a worker can't start."""

"""Every message there is, by its wire name: the topics follow from this."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType, ModuleType

from models import commands, events
from models.messages import Message


def _messages(*modules: ModuleType) -> Iterator[type[Message]]:
    for module in modules:
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, Message) and kind.__module__ == module.__name__:
                yield kind


MESSAGES: Mapping[str, type[Message]] = MappingProxyType(
    {message.type: message for message in _messages(events, commands)}
)
"""Wire name to class: each class of `models.events` and `models.commands` has a topic of its own."""

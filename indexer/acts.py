"""What a person or a program does, as it becomes known while it is done: the facts of one audit record.

Commands and calls fill it in; where and how it is written is left to whoever made it. Without one that writes, as in
tests of a single room, it is merely filled in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import typer


class Act:
    """One act: its name, what was asked, the cases that are shown, the generation that answered, and how it ended."""

    __slots__ = ("_write", "action", "cases", "code", "generation", "query", "written")

    def __init__(self, action: str = "", write: Callable[[Act, str], None] | None = None) -> None:
        self.action = action
        self.query: dict[str, object] = {}
        self.cases: tuple[str, ...] = ()
        self.generation = ""
        self.code = ""
        self.written = False
        self._write = write

    def asks(self, **given: object) -> None:
        """What was asked; nothing that is empty is kept. Never the name of a file or folder."""
        self.query |= {name: value for name, value in given.items() if value not in (None, "", (), [], {})}

    def shows(self, cases: Iterable[str], generation: str = "") -> None:
        """The keys of the cases that are shown, exported or changed, each once and in their order."""
        self.cases = tuple(dict.fromkeys((*self.cases, *cases)))
        self.generation = generation or self.generation

    def begin(self) -> None:
        """Record that something is begun which changes or writes something; `settle` records how it ended."""
        if self._write is not None:
            try:
                self._write(self, "begun")
            except ValueError:
                self.written = True  # what was not begun does not end
                raise

    def settle(self, outcome: str = "done") -> None:
        """Record the act, once, before anything of it is shown; raises what the audit raises where it cannot."""
        write, self._write = (None if self.written else self._write), None
        self.written = True
        if write is not None:
            write(self, outcome)


def act_of_command(context: typer.Context) -> Act:
    """The act that a command stands for."""
    return context.obj if isinstance(context.obj, Act) else Act()


def outcome_of(refused: int) -> str:
    """How something ended that was done but for some refused items.

    >>> outcome_of(0), outcome_of(2)
    ('done', 'done, 2 refused')
    """
    return f"done, {refused} refused" if refused else "done"

"""Names in a query, looked up: entities and their properties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from lark import Token

from spanline.errors import nearest, quoted
from spanline.query.errors import QueryError
from spanline.query.properties import LONGEST_NAME, Entity, entities, entity_labels, entity_words, key
from spanline.query.times import Clock
from spanline.query.tree import Property

INSTEAD = {
    "count": "write count of flows",
    "top": "write top 5 flows",
    "select": "this is not SQL: write sum(Bytes) of flows where Port = 22",
}
"""What to write, by the first word of what is no entity."""


@dataclass(slots=True)
class Reading:
    """A query that is being read.

    unanswered  what is the matter with the first thing in it that spanline has no record of
    """

    text: str
    clock: Clock
    unanswered: QueryError | None = None

    def written(self, token: Token) -> str:
        """A terminal as it stands in the text."""
        return self.text[token.start_pos or 0 : token.end_pos]

    def fail(self, message: str, token: Token, hint: str = "", until: Token | None = None) -> NoReturn:
        """Raises QueryError at a terminal, or at all from it to another."""
        raise QueryError(message, self.text, token.start_pos or 0, (until or token).end_pos or 0, hint=hint)

    def entity(self, token: Token) -> Entity:
        found = entity_words().get(token)
        if found is None:
            hint = INSTEAD.get(token.partition(" ")[0]) or nearest(token, entity_labels())
            hint = hint or f"there are {', '.join(dict.fromkeys(entity_labels().values()))}"
            self.fail(f"{quoted(self.written(token))} is nothing that can be asked for", token, hint)
        if not found.is_held:
            self._cannot_answer(found.label, token)
        return found

    def property(self, entity: Entity, token: Token) -> Property:
        found = entity.properties.get(token)
        if found is None:
            if not entity.is_held:  # that there are none is what has to be said, not what they are not
                return next(iter(entity.properties.values()))
            self._refuse(entity, token)
        if not found.is_held:
            self._cannot_answer(found.name, token)
        return found

    def key(self, entity: Entity, token: Token) -> Property:
        """A property that rows are grouped by, or a list is of. Of flows no metric: it is what their records add up to
        in the window, and not what tells one from another."""
        found = self.property(entity, token)
        if entity.name == "flows" and found.is_metric and found.is_held:
            hint = f"write order by {found.name}, or a condition"
            self.fail(f"flows are neither grouped nor listed by a number, as {found.name} is", token, hint)
        return found

    def _cannot_answer(self, what: str, token: Token) -> None:
        if self.unanswered is None:
            start, end = token.start_pos or 0, token.end_pos or 0
            hint = "the query is understood, but has no answer here"
            self.unanswered = QueryError(f"spanline has no record of {what}", self.text, start, end, hint=hint)

    def _refuse(self, entity: Entity, token: Token) -> NoReturn:
        """Raises QueryError for what is no property of the entity."""
        words = self.written(token).split()
        likely = nearest(token, {word: one.name for word, one in entity.properties.items() if one.is_held})
        for count in range(min(len(words) - 1, LONGEST_NAME), 0, -1):
            rest = self.written(token).split(maxsplit=count)[count]
            if key(" ".join(words[:count])) in entity.properties and (rest[0].isdigit() or not likely):
                at = (token.end_pos or 0) - len(rest)
                what = f"{quoted(rest)} was not expected here"
                raise QueryError(what, self.text, at, token.end_pos or 0, hint="an operator is missing before it")
        others = [one.label for one in entities().values() if token in one.properties]
        hint = f"{' and '.join(others[:3])} have" if others and not likely else likely
        names = ", ".join(one.name for one in entity.own()[:6])
        what = f"{entity.label} have no {quoted(self.written(token))}"
        self.fail(what, token, hint or f"they have {names} …")

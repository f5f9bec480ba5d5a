"""Texts that a client might send: good ones, nearly good ones, damaged ones and rubbish; all from one seed."""

import json
import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any

IDS = ("a", "b", "c", "d", "\ud800")
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 10**30, 1.5, float("nan"), float("inf"), "", "x", "\ud800", "\u202e", "n" * 1100,
    [], {}, [[]], [None], {"a": 1}, [0] * 13, ["a.jpg"] * 13, [[[[[[[[]]]]]]]],
)  # fmt: skip
FIELDS = (
    "photos", "boxes", "box_xyxy_px",
    "type", "id", "fileNames", "uploads", "animals", "stream", "data", "topK", "key", "whaleIdentities", "items",
    "name", "size", "path", "embedding", "identity", "sha256", "animal", "model", "file", "selectedIdentity", "more",
    "catalogue", "after", "limit", "known", "reason", "individual", "annotations", "decisions", "values", "verdict", "",
)  # fmt: skip
TYPES = (
    "extract", "identify", "save", "catalogues", "individuals", "history", "decide", "undo", "cancel", "ack",
    "progress", "",
)  # fmt: skip
PIECES = ('{"type":', '"extract"', ",", "{", "}", "[", "]", '"', "\\ud800", "\\u0000", "1e999", "NaN", ":", "\x00", "é")
BAD_TEXTS = ("", "[" * 2900, '{"a":' * 500, "9" * 2900, '{"type":"ack","id":"a","items":' + "1" * 2000 + "}", "null")


class Messages:
    """Draws one text after the other."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._makers: tuple[Callable[[], dict[str, Any]], ...] = (
            self._stored, self._extract, self._extract, self._uploads, self._uploads, self._identify, self._identify,
            self._save, self._catalogues, self._list, self._subscribe, self._change, self._control,
        )  # fmt: skip

    def text(self) -> str:
        """Return the next text; two in three are good."""
        draw = self._chance.random()
        message = self._good()
        if draw < 0.66:
            return json.dumps(message)
        if draw < 0.86:
            for _ in range(self._chance.choice((1, 1, 2))):
                self._spoil(message)
            return json.dumps(message)
        return self._damaged(json.dumps(message)) if draw < 0.96 else self._rubbish()

    def _good(self) -> dict[str, Any]:
        message = self._chance.choice(self._makers)()
        if "id" not in message and self._chance.random() < 0.7:
            message["id"] = self._chance.choice(IDS)
            if message["type"] in ("extract", "identify") and self._chance.random() < 0.5:
                message["stream"] = True
        return message

    def _extract(self) -> dict[str, Any]:
        names = ["a.jpg", "b/c.jpg", "\ud800", "x" * 50]
        message: dict[str, Any] = {"type": "extract", "fileNames": self._some(lambda: self._chance.choice(names))}
        if self._chance.random() < 0.3:
            message["animals"] = self._chance.choice(("best", "all"))
        return message

    def _stored(self) -> dict[str, Any]:
        photos = self._some(lambda: self._chance.choice(("ab" * 32, "ab", 3)), 6)
        drawn = ([{"type": "fluke", "box_xyxy_px": [1, 2, 3, 4.5]}], None, [], [{"type": "fluke"}])
        boxes = [self._chance.choice(drawn) for _ in photos]
        return {"type": "extract", "id": self._chance.choice(IDS), "photos": photos, "boxes": boxes}

    def _uploads(self) -> dict[str, Any]:
        photos = self._some(lambda: {"name": self._chance.choice("ab"), "size": self._chance.randint(0, 21)}, 6)
        return {"type": "extract", "id": self._chance.choice(IDS), "uploads": photos}

    def _identify(self) -> dict[str, Any]:
        message: dict[str, Any] = {"type": "identify", "data": self._some(self._item, 8)}
        if self._chance.random() < 0.3:
            message["topK"] = self._chance.randint(1, 3)
        if self._chance.random() < 0.3:
            message["key"] = self._chance.choice("kl")
        if self._chance.random() < 0.3:
            message["catalogue"] = self._chance.choice(("azores", ""))
        return message

    def _item(self) -> dict[str, Any]:
        item: dict[str, Any] = {"path": "a.jpg", "type": self._chance.choice(("fluke", "flank", "fin"))}
        if self._chance.random() < 0.9:
            item["embedding"] = [0.5] * self._chance.randint(0, 2)
        if self._chance.random() < 0.3:
            item["identity"] = self._chance.choice(("Dante", "Unknown", "", "A\u200bB"))
        if self._chance.random() < 0.3:
            item |= {"sha256": "ab" * 32, "animal": self._chance.randint(0, 2), "model": "5e1f00d"}
        return item

    def _save(self) -> dict[str, Any]:
        names = ("Dante", "", "..", "Unknown")
        copies = self._some(lambda: {"file": "a.jpg", "selectedIdentity": self._chance.choice(names)}, 6)
        return {"type": "save", "whaleIdentities": copies}

    def _catalogues(self) -> dict[str, Any]:
        whom = {"institution": self._chance.choice(("WDC", "")), "catalogue": self._chance.choice((None, "azores"))}
        message: dict[str, Any] = self._chance.choice((
            {"type": "catalogues"},
            {"type": "members"},
            {"type": "grant", **whom, "right": self._chance.choice(("view", "admin", "all")), "place": "none"},
            {"type": "revoke", **whom, "user": "Maya"},
            {"type": "catalogue_create", "name": "madeira"},
        ))  # fmt: skip
        return message | {"id": self._chance.choice(IDS)}

    def _list(self) -> dict[str, Any]:
        kind = self._chance.choice(("individuals", "individual", "annotations", "review", "history", "suggest_merges"))
        message: dict[str, Any] = {"type": kind, "id": self._chance.choice(IDS)}
        if kind == "individual" or (self._chance.random() < 0.3 and kind not in ("individuals", "suggest_merges")):
            message["individual"] = self._chance.randint(0, 3)
        if kind != "individual" and self._chance.random() < 0.3:
            message |= {"limit": self._chance.randint(0, 2), "after": "[1]"}
        return message

    def _subscribe(self) -> dict[str, Any]:
        return {"type": "subscribe", "id": self._chance.choice(IDS), "since": self._chance.choice((None, 0, 3))}

    def _change(self) -> dict[str, Any]:
        number, numbers = self._chance.randint(0, 9), [self._chance.randint(0, 9) for _ in range(3)]
        message: dict[str, Any] = self._chance.choice((
            {"type": "decide", "decisions": [{"annotation": each, "verdict": "unsure"} for each in numbers]},
            {"type": "rename", "individual": number, "name": "Dante"},
            {"type": "aliases", "individual": number, "add": ["D1"], "remove": []},
            {"type": "merge", "into": number, "others": numbers},
            {"type": "split", "annotations": numbers, "name": "Dante"},
            {"type": "move", "annotations": numbers},
            {"type": "remove", "annotations": numbers},
            {"type": "describe", "sighting": number, "values": {"begins_at": "2026-07-01T14:05:00", "latitude": 1.5}},
            {"type": "undo", "version": number},
        ))  # fmt: skip
        if self._chance.random() < 0.5:
            message |= {"key": self._chance.choice("kl"), "known": {"version": number, "nonce": "a"}, "reason": "b"}
        return message | {"id": self._chance.choice(IDS)}

    def _control(self) -> dict[str, Any]:
        message: dict[str, Any] = {
            "type": self._chance.choice(("cancel", "ack", "ack")),
            "id": self._chance.choice(IDS),
        }
        return message | ({"items": self._chance.randint(1, 3)} if message["type"] == "ack" else {})

    def _some(self, make: Callable[[], Any], most: int = 12) -> list[Any]:
        """Return a list of one's own length; some elements are odd."""
        count = self._chance.randint(0, most)
        return [
            deepcopy(self._chance.choice(ODD_VALUES)) if self._chance.random() < 0.05 else make() for _ in range(count)
        ]

    def _spoil(self, message: dict[str, Any]) -> None:
        """Change, add or leave out one field, of the message or of an element in it."""
        target: Any = message
        inner = [element for value in message.values() if isinstance(value, list) for element in value]
        inner = [element for element in inner if isinstance(element, dict) and element]
        if inner and self._chance.random() < 0.4:
            target = self._chance.choice(inner)
        name = self._chance.choice(list(target)) if target and self._chance.random() < 0.7 else self._any_field()
        how = self._chance.random()
        if how < 0.25:
            target.pop(name, None)
        elif name == "type" and how < 0.7:
            target[name] = self._chance.choice(TYPES)
        else:
            target[name] = deepcopy(self._chance.choice(ODD_VALUES))  # spoilt again, it would spoil later messages

    def _any_field(self) -> str:
        return self._chance.choice(FIELDS)

    def _damaged(self, text: str) -> str:
        """Cut out, double, replace or insert some characters."""
        for _ in range(self._chance.randint(1, 3)):
            start = self._chance.randint(0, len(text))
            end = min(len(text), start + self._chance.choice((0, 1, 1, 5, 40)))
            piece = self._chance.choice(("", text[start:end] * 2, self._chance.choice(PIECES)))
            text = text[:start] + piece + text[end:]
        return text

    def _rubbish(self) -> str:
        if self._chance.random() < 0.1:
            return self._chance.choice((*BAD_TEXTS, "x" * 3001))
        return "".join(self._chance.choice(PIECES) for _ in range(self._chance.randint(1, 12)))

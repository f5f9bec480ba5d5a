"""docs/protocol.md is replayed through the real session, and nothing that the code can say is missing there."""

import hashlib
import itertools
import json
import re
import secrets
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from pipeline.access import permit
from pipeline.catalogue import answers, permitted
from pipeline.catalogue.database import open_database
from pipeline.catalogue.giving import Gift
from pipeline.catalogue.loaded import LoadedCatalogues
from pipeline.catalogue.matching import CatalogueMatcher
from pipeline.catalogue.people import People
from pipeline.catalogue.photos import CataloguePhotos
from pipeline.catalogue.queries import LoadedModel
from pipeline.catalogue.rows import Confirmation
from pipeline.catalogue.sql_store import SqlCatalogue, make_catalogue
from pipeline.catalogue.suggesting import suggest_merges
from pipeline.errors import ItemError, RequestError, WhaleVisionError
from pipeline.protocol.base import BaseMessage, Request
from pipeline.protocol.catalogue_requests import ChangeRequest, SuggestMerges
from pipeline.protocol.requests import MESSAGES, CloseCode, fields_of
from pipeline.protocol.rights_requests import Catalogues, Members, RightsChange
from pipeline.protocol.schema import protocol_schema, schema_text
from pipeline.records import (
    LOCAL_USER,
    OPERATOR,
    Actor,
    Annotation,
    BoundingBox,
    Candidate,
    Embedding,
    Extracted,
    ExtractedAnimal,
    Failure,
    PathSource,
    PhotoKey,
    Ranking,
    Reference,
    SaveOutcome,
    Segmented,
)
from pipeline.rights import LOCAL_STANDING, Right, Standing
from pipeline.session.actions import (
    Action,
    Answer,
    Ask,
    AwaitChange,
    Call,
    CloseConnection,
    ExtractPhoto,
    RankInSeveral,
    RankQueries,
    SavePhoto,
    SendText,
    Started,
    StoreConfirmations,
)
from pipeline.session.session import Session
from pipeline.stored_photos import PhotoFacts, PhotoRecord, StoreSource, Taken
from tests.confirming import ConfirmingMatcher
from tests.unit.session.session_made import FakeClock, SmallLimits, make_session

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
NO_SUCH_FILE = Failure("not_found", "missing.jpg: there is no such file")
KNOWN_HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
UNKNOWN_HASH = "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"
MODELS = [LoadedModel("fluke", "5e1f00d", 2)]
TAKEN = Taken(datetime(2026, 7, 1, 14, 5), None, 38.53, -28.62, "Canon, Canon EOS R5, serial 0123")
SECONDS = 25.58
IN_DETAIL = Ranking(
    (
        Candidate("PMOD001_DANTE", 0.339, 41, (Reference(97, 0.312, 12), Reference(45, 0.358, None))),
        Candidate("Unknown", 1.0),
    ),
    individuals=57,
    description='{"catalogue":"default","filters":{"from":"2015-01-01","side":"left"},"individuals":57}.9f86d081',
)


IN_SEVERAL = Ranking(
    (
        Candidate("PM_DANTE", 0.339, 41, catalogue="azores"),
        Candidate("PM_DANTE", 0.52, catalogue="madeira"),
        Candidate("Unknown", 1.0),
    ),
    description='{"catalogues":[{"catalogue":"azores","individuals":57},{"catalogue":"madeira"}]}.60303ae2',
)


@dataclass(frozen=True)
class Step:
    """One line of an example: sent (`>`), heard (`<`) or happening (`*`)."""

    sign: str
    text: str


def read_examples() -> list[list[Step]]:
    examples = []
    for block in re.findall(r"^```exchange\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL):
        steps: list[Step] = []
        for line in block.splitlines():
            if line.startswith("    "):
                steps[-1] = Step(steps[-1].sign, steps[-1].text + line.strip())
            else:
                steps.append(Step(line[0], line[2:]))
        examples.append(steps)
    return examples


EXAMPLES = read_examples()


def extracted(name: str) -> Extracted:
    """Answer a photo by its name, as the document has it."""
    if name == UNKNOWN_HASH:
        return Extracted((), Failure("not_found", f"{name}: the catalogue has no such photo; upload it"), None)
    if name == "missing.jpg":
        return Extracted((), NO_SUCH_FILE, None)
    if name == "sea.jpg":
        return Extracted((), Failure("no_animal", "no fluke or flank was found"), None)
    annotation = Annotation(BoundingBox(812.4, 603.9, 2210.0, 1377.5), "fluke", 0.998, 1)
    embedding = Embedding(np.array([0.0, -1.0], dtype=np.float32), "5e1f00d")
    return Extracted((ExtractedAnimal(annotation, embedding),), None, KNOWN_HASH)


def drawn(source: StoreSource) -> Extracted:
    """Answer a photo in which somebody drew."""
    embedding = Embedding(np.array([0.0, -1.0], dtype=np.float32), "5e1f00d")
    annotations = [Annotation(box.box_px, box.body_part, None, box.animal) for box in source.boxes or ()]
    return Extracted(tuple(ExtractedAnimal(each, embedding) for each in annotations), None, source.sha256)


def saved(file: str, identity: str) -> SaveOutcome:
    if file == "missing.jpg":
        return SaveOutcome(None, failure=NO_SUCH_FILE)
    return SaveOutcome(f"export/{identity}/{file}", skipped=file == "copied.jpg")


MAYA = Standing(Actor("default", "Maya"), LOCAL_STANDING.held, "default")
PHOTOS = (("IMG_0689.jpg", "PMOD001_DANTE"), ("IMG_0690.jpg", "PMOD001_DANTE"), ("IMG_0702.jpg", "PMOD002_VERGIL"))


@pytest.fixture
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SqlCatalogue:
    """Make the document's catalogue: three confirmed photos, nonces of 8 digits, a key of zeros; time stands still."""
    numbers = itertools.count(1)
    monkeypatch.setattr(secrets, "token_hex", lambda _: hashlib.sha256(f"{next(numbers)}".encode()).hexdigest()[:8])
    monkeypatch.setattr(secrets, "token_bytes", bytes)
    url = f"sqlite:///{tmp_path}/catalogue.sqlite"
    make_catalogue(url)
    store = SqlCatalogue(open_database(url), 1, lambda: datetime(2026, 7, 1, 12, tzinfo=UTC))
    values = np.array([0.0, -1.0])
    words = [Confirmation(PhotoKey(f"path:{p}"), "fluke", name, values, "5e1f00d", p) for p, name in PHOTOS]
    store.confirm(words, LOCAL_USER)
    photos = CataloguePhotos(store.database)
    for sha256, taken in ((KNOWN_HASH, TAKEN), (UNKNOWN_HASH, replace(TAKEN, at=datetime(2026, 7, 1, 14, 20)))):
        photos.add("default", PhotoRecord(sha256, 9, PhotoFacts((4000, 3000), taken), None), LOCAL_USER)
    people = People(store.database)
    for actor in (MAYA.actor, Actor("default", "Vera"), Actor("BAS", "Ole")):
        people.add_user(actor)
    people.give(Gift("default", MAYA.actor, Right.ADMIN), OPERATOR)
    return store


@dataclass
class Replay:
    """Plays the client of an example, with a shell that answers at once (but for slow.jpg)."""

    session: Session
    clock: FakeClock
    catalogue: SqlCatalogue
    waiting: list[Ask[None]] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)

    def play(self, step: Step) -> None:
        """Do what the line says."""
        binary = re.fullmatch(r"\(binary\) (\d+) bytes", step.text)
        pause = re.fullmatch(r"(\d+) s pass", step.text)
        if step.sign == ">" and binary:
            self._perform(self.session.receive_bytes(bytes(int(binary[1]))))
        elif step.sign == ">":
            self._perform(self.session.receive_text(step.text))
        elif step.sign == "<":
            assert self.heard, f"the server says nothing more, where the document has {step.text}"
            assert self.heard.pop(0) == step.text
        elif pause:
            self.clock.time_s += int(pause[1])
            self._perform(self.session.tick())
        elif step.text.startswith("closed with"):
            assert self.closed == [int(step.text.removeprefix("closed with "))]
        else:
            assert step.text in ("the desktop app connects", "the photo slow.jpg takes long")

    def _perform(self, actions: list[Action]) -> None:
        """Perform everything before anything is reported back, as a shell does that works in the background."""
        queue = list(actions)
        while queue:
            queue += self._answer(queue.pop(0))
            queue += [] if queue else self._look()

    def _look(self) -> list[Action]:
        """Tell those who wait for a change that one has come."""
        heads = answers.heads(self.catalogue)
        changed = [ask for ask in self.waiting if heads[ask.call.catalogue] != ask.call.known]
        self.waiting = [ask for ask in self.waiting if ask not in changed]
        return [further for ask in changed for further in self.session.report(ask, None)]

    def _answer(self, action: Action) -> list[Action]:
        match action:
            case SendText():
                self.heard.append(with_the_documents_time(action.text))
            case CloseConnection():
                self.closed.append(action.code)
            case Ask(call=AwaitChange()):
                self.waiting.append(action)
            case Ask():
                try:
                    steps = steps_of(action.call, self.catalogue)
                except RequestError as error:
                    return self.session.failed(action, error)
                return [further for step in steps for further in self.session.report(action, step)]
        return []


def steps_of(call: Call[Any], catalogue: SqlCatalogue) -> list[Any]:
    """Return what the document's server makes of a call."""
    match call:
        case ExtractPhoto(source=StoreSource() as stored):
            return [Started(), Segmented(), drawn(stored) if stored.boxes else extracted(stored.sha256)]
        case ExtractPhoto(source=source):
            name = source.path if isinstance(source, PathSource) else source.name
            return [] if name == "slow.jpg" else [Started(), Segmented(), extracted(name)]
        case RankQueries():
            candidates = (Candidate("PMOD001_DANTE", 0.339), Candidate("Unknown", 1.0))[: call.top_k]
            return [tuple(Ranking(candidates) if call.detail is None else IN_DETAIL for _ in call.queries)]
        case RankInSeveral():
            return [tuple(IN_SEVERAL for _ in call.queries)]
        case SavePhoto():
            return [saved(call.file, call.identity)]
        case StoreConfirmations(may_guess=True):
            return [tuple(ConfirmingMatcher(catalogue, MODELS).confirm(call.queries, LOCAL_USER, may_guess=True))]
        case StoreConfirmations():
            return [tuple(ConfirmingMatcher(catalogue, MODELS).confirm(call.queries, LOCAL_USER))]
        case Answer(message=Catalogues()):
            held = {"name": "default", "version": 12, "individuals": 60, "photos": 714}
            whose = {"institution": "default", "species": None, "right": "admin", "place": "exact", "default": True}
            return [{"catalogues": [held | whose]}]
        case Answer(message=SuggestMerges() as message):
            return [suggest_merges(CatalogueMatcher(catalogue, [LoadedModel("fluke", "5e1f00d", 2)]), message)]
        case Answer(message=message, need=need):
            whose = MAYA if isinstance(message, Members | RightsChange) else LOCAL_STANDING
            carry_out = permitted.change if isinstance(message, ChangeRequest | RightsChange) else permitted.answer
            return [carry_out(LoadedCatalogues(catalogue, []), message, permit(whose, need))]
    raise AssertionError(call)


def with_the_documents_time(text: str) -> str:
    """Put the seconds that the document shows in place of those taken here, where nothing takes time."""
    return re.sub(r'(^18:02 |"seconds":)[\d.]+', rf"\g<1>{SECONDS}", text)


@pytest.mark.parametrize("steps", EXAMPLES, ids=lambda steps: steps[0].text[:50])
def test_the_example_is_what_happens(steps: list[Step], catalogue: SqlCatalogue) -> None:
    clock = FakeClock()
    array = any("desktop app" in step.text for step in steps)
    limits = SmallLimits(max_photo_bytes=64 * 2**20, max_photos_per_request=10_000, max_requests_per_connection=32)
    replay = Replay(make_session(clock, limits, array_dialect=array), clock, catalogue)
    for step in steps:
        if step.sign != "<":
            assert not replay.heard, f"the document does not say {replay.heard}"
        replay.play(step)
    assert not replay.heard, f"the document does not say {replay.heard}"


# --- completeness ---


def documented_codes(heading: str) -> set[str]:
    """Return the first column of the table under a heading."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `?(\w+)`? \|", section, re.MULTILINE)) - {"Code"}


def codes_under(root: type[WhaleVisionError]) -> set[str]:
    return {root.code}.union(*(codes_under(child) for child in root.__subclasses__()))


def test_every_outcome_code_is_documented_and_no_other() -> None:
    assert documented_codes("Outcomes") == codes_under(ItemError) | {WhaleVisionError.code}


def test_every_error_code_is_documented_and_no_other() -> None:
    assert documented_codes("Errors of a request") == codes_under(RequestError) | {WhaleVisionError.code}


def test_every_close_code_is_documented_and_no_other() -> None:
    section = TEXT.split("\n## Limits and closing\n")[1]
    assert set(re.findall(r"^\| (\d{4}) \|", section, re.MULTILINE)) == {str(code.value) for code in CloseCode}


def in_backticks(word: str) -> bool:
    return f"`{word}`" in TEXT


SCHEMA = protocol_schema()


def described_words() -> set[str]:
    """Return every type and every field of a message that the schema describes."""
    words = set(MESSAGES)
    for definition in SCHEMA["$defs"].values():
        words |= set(definition.get("properties", {}))
        for described in definition.get("properties", {}).values():
            for lists in (described, *described.get("anyOf", ())):
                words |= set(lists.get("items", {}).get("properties", {}))
    return words


@pytest.mark.parametrize("word", sorted(described_words()))
def test_every_message_type_and_field_is_documented(word: str) -> None:
    assert in_backticks(word)


def test_the_search_for_fields_finds_what_is_known_to_be_there() -> None:
    of_answers = {"box_xyxy_px", "new_file", "stage", "seconds", "code", "skip", "identities", "cancelled"}
    assert described_words() >= of_answers | {"sha256", "selectedIdentity", "size", "embedding", "topK", "key"}


def test_the_schema_file_is_current() -> None:
    assert (DOCUMENT.parent / "protocol.schema.json").read_text(encoding="utf-8") == schema_text()


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": SCHEMA["$defs"]})


def test_what_the_server_says_in_the_examples_is_what_the_schema_describes() -> None:
    assert messages("<")
    for message in messages("<"):
        validator("ServerMessage").validate(message)


def test_what_clients_send_in_the_examples_is_valid_unless_it_is_refused() -> None:
    refused = 0
    for steps in EXAMPLES:
        for step, answer in pairwise([*steps, Step("*", "")]):
            if step.sign == ">" and step.text.startswith("{"):
                valid = validator("ClientMessage").is_valid(json.loads(step.text))
                wrong = any(code in answer.text for code in ("error: ", "unknown_type"))
                elements_fail = any('"error":{' in later.text for later in steps)
                assert valid != wrong or elements_fail, step.text
                refused += not valid
    assert refused


def messages(sign: str) -> list[dict[str, Any]]:
    texts = [step.text for steps in EXAMPLES for step in steps if step.sign == sign]
    return [json.loads(text) for text in texts if text.startswith("{")]


def origin(kind: type[BaseMessage], field: str) -> tuple[type, str]:
    """Return the class that a field of a message comes from: what many messages have needs one example."""
    names = {info.alias or name: name for name, info in kind.model_fields.items()}
    return next(base for base in reversed(kind.__mro__) if names[field] in vars(base).get("__annotations__", {})), field


def test_every_request_and_each_of_its_fields_has_an_example() -> None:
    sent = [(MESSAGES[message["type"]], message) for message in messages(">") if message["type"] in MESSAGES]
    assert {kind for kind, _ in sent} == set(MESSAGES.values())
    shown = {origin(kind, field) for kind, message in sent for field in message if field in fields_of(kind)}
    assert shown == {origin(kind, field) for kind in MESSAGES.values() for field in fields_of(kind)}


def test_every_message_of_the_server_has_an_example() -> None:
    kinds = {message["type"] for message in messages("<") if "id" in message}
    table = TEXT.split("| Message of the server |")[1].split("\n\n")[0]
    first_column = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert {kind for cell in first_column for kind in re.findall(r"`(\w+)`", cell)} == kinds
    described = {
        definition["properties"]["type"]["const"]
        for name in SCHEMA["$defs"]["ServerMessage"]["anyOf"]
        if "$ref" in name
        and "const" in (definition := SCHEMA["$defs"][name["$ref"].split("/")[-1]])["properties"]["type"]
    }
    answered = {name for name, kind in MESSAGES.items() if issubclass(kind, Request)}
    assert described | answered == kinds

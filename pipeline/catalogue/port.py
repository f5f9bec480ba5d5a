"""The ports to one catalogue: the narrow one, which the matcher and the CSV import know, and that of people's verbs."""

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Protocol

from pipeline.catalogue.proposals import ProposalFilter, Proposals
from pipeline.catalogue.rows import (
    CatalogueCounts,
    CatalogueRow,
    Changes,
    Confirmation,
    Confirmed,
    Head,
    ImportBatch,
    ImportFile,
    ImportOutcome,
)
from pipeline.catalogue.vectors import Numbers
from pipeline.catalogue.verbs import Changed, Verb
from pipeline.catalogue.views import (
    PAGE,
    AnnotationEntry,
    AnnotationFilter,
    EventEntry,
    HistoryFilter,
    IndividualDetail,
    IndividualEntry,
    IndividualFilter,
    Page,
)
from pipeline.protocol.filters import Filters
from pipeline.records import Actor


class Catalogue(Protocol):
    """One institution's individuals, versioned: every transaction that says something is an event with a version.

    Rows are never changed or removed: a later statement about the same photo supersedes the earlier one, which stays
    as history. Implementations may be called from several threads, and several processes may share one catalogue.

    Every method raises CatalogueUnavailableError where the storage cannot be read or written; nothing of that call is
    stored then, except that a database server which is lost just as it commits may have stored all of it.
    """

    @property
    def name(self) -> str:
        """What requests call it."""
        ...

    def head(self) -> Head:
        """Return the state that the last event left."""
        ...

    def changes_since(self, known: Head) -> Changes:
        """Return what a reader in a known state needs to have the head; `EMPTY` gives every current row."""
        ...

    def read_rows(self, take: Callable[[Sequence[CatalogueRow]], None]) -> Head:
        """Hand over every current row, a portion at a time, and return the state that all of them are of.

        For readers that begin: the rows of a large catalogue are never in memory at once. They come in no order.
        """
        ...

    def find_matching(self, filters: Filters, known: Head, hold: Callable[[Head, Changes], bool]) -> Numbers | None:
        """Return the numbers of the annotations that filters let through, ascending, in one state.

        Args:
            filters: which annotations.
            known: the state that the changes begin from; see `changes_since`.
            hold: called with `known` and the changes up to the state that is looked at, before the search, which may
                take long; where it answers False there is none, and the answer is None.
        """
        ...

    def encounters_of(self, annotations: Sequence[int]) -> Mapping[int, int]:
        """Return the encounters of annotations, by their numbers; one that is in none is left out."""
        ...

    def told_apart(self, pairs: Sequence[tuple[int, int]]) -> Set[tuple[int, int]]:
        """Return the pairs of individuals, by their numbers, of which a person has said that they are not one.

        Both are in one photo as two animals, or photos of the one were split off to be the other, or a merge of them
        was undone.
        """
        ...

    def signing_key(self) -> bytes:
        """Return the secret by which all matchers of the database sign what their rankings compared."""
        ...

    def confirm(
        self, confirmations: Sequence[Confirmation], actor: Actor, key: str | None = None, only_changes: bool = False
    ) -> Confirmed:
        """Store what somebody said about photos, in one event, on disk when this returns.

        A photo (key and body part) that the catalogue knows is superseded where it now shows another individual or has
        another embedding by the same model. Within one call the last word about a photo counts. An individual whose
        name is spelled otherwise is found by `pipeline.names.known_spelling` among those with a current row; one of
        several that are meant is refused, and only that.

        A caller may repeat a call of which it does not know the outcome. Without a key, what is stored already changes
        nothing, but what somebody corrected since is said anew. A key makes the repeat known: it changes nothing,
        whatever came since, and is answered as the first time. It may leave confirmations out and add none. Each new
        key is an event, also where its confirmations were stored before. Keys are each actor's own.

        Args:
            confirmations: what is said.
            actor: who says it.
            key: of the request, chosen by the client, or by the service for the repeats that it makes itself.
            only_changes: the key is the service's; where nothing changes it makes no event and is not remembered.

        Raises:
            KeyReusedError: the actor's key came with other confirmations; nothing is stored.
        """
        ...

    def imports(self) -> tuple[ImportFile, ...]:
        """Return the CSV files that came in, in their order."""
        ...

    def import_rows(self, batches: Sequence[ImportBatch]) -> tuple[ImportOutcome, ...]:
        """Take in whole CSV files in one event of the service, each only where `classify_import` says that it is new.

        A file without rows is not remembered, so that it may be filled later. The keys of a batch are its own: no two
        rows share one, and no confirmation has it. Names come in as they are spelled.

        Returns:
            One outcome a batch, in order.
        """
        ...

    def counts(self) -> CatalogueCounts:
        """Return how much the catalogue holds."""
        ...


class EditableCatalogue(Catalogue, Protocol):
    """A catalogue that people change and look at, beside confirming photos.

    The methods that give a page also raise MalformedMessageError, for an `after` that no page gave.
    """

    def heads(self) -> Mapping[str, Head]:
        """Return the state of every catalogue of the same database, by its name."""
        ...

    def change(
        self,
        verb: Verb,
        actor: Actor,
        key: str | None = None,
        known: Head | None = None,
        reason: str | None = None,
        only_changes: bool = False,
    ) -> Changed:
        """Carry out one verb of `pipeline.catalogue.verbs` as one event, on disk when this returns.

        It is stored whole or not at all. A verb that changes nothing makes no event, unless it has a key.

        Args:
            verb: what is said.
            actor: who says it.
            key: of the request, chosen by the client: a repeat changes nothing and is answered as the first time.
            known: the state that was decided on, which pages and galleries name; what has to do with the verb must not
                have changed since. None: whatever stands.
            reason: in the actor's words; kept with the event.
            only_changes: the key is the service's; where nothing changes it makes no event and is not remembered.

        Raises:
            BadIdentityError: a name cannot be that of an individual.
            ChangedSinceError: something has changed since; the message says by which events.
            ChangeRefusedError: the verb contradicts itself or what the catalogue holds.
            KeyReusedError: the actor's key came with something else.
            NameInUseError: a name or an alias is that of another individual.
            NotInCatalogueError: something that the verb names does not stand.
            UndoBlockedError: the event is undone already, or later ones are in the way; the message names them.
        """
        ...

    def individuals(
        self, wanted: IndividualFilter, after: str | None = None, limit: int = PAGE
    ) -> Page[IndividualEntry]:
        """Return a page of individuals, in the order of their names' folds."""
        ...

    def individual(self, individual: int) -> IndividualDetail:
        """Return one individual; of a number that was merged into another, that one.

        Raises:
            NotInCatalogueError: there is none of this number.
        """
        ...

    def annotations(
        self, wanted: AnnotationFilter, after: str | None = None, limit: int = PAGE
    ) -> Page[AnnotationEntry]:
        """Return a page of annotations, in the order in which they came; `waiting` makes it the list to review."""
        ...

    def history(self, wanted: HistoryFilter, after: str | None = None, limit: int = PAGE) -> Page[EventEntry]:
        """Return a page of events; a head is in it as soon as its change is in any answer."""
        ...

    def propose_sightings(self, wanted: ProposalFilter, after: str | None = None, limit: int = PAGE) -> Proposals:
        """Return a page of sightings, with encounters in them, that photos may be of; nothing is written.

        Raises:
            NotInCatalogueError: an annotation that is wanted does not stand.
        """
        ...

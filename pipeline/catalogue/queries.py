"""Queries of clients before they are ranked or stored: what the loaded models can answer, and what is said by them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.catalogue.port import Catalogue
from pipeline.catalogue.rows import CatalogueCounts, Confirmation
from pipeline.catalogue.vectors import embedding_problem, length_problem, storable_key, storable_text
from pipeline.errors import BadEmbeddingError, BadItemError, ItemError, OtherModelError, UnknownBodyPartError
from pipeline.names import normalise_identity
from pipeline.records import Actor, Failure, Query

_MAX_ANIMAL = 2**31 - 1  # what a database's integer holds


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """The embedder that is loaded for one body part.

    Attributes:
        body_part: name from models.yaml.
        model: short hash of its weights.
        dimension: how many numbers its embeddings have.
        normalised: they have length 1, as those of every network that the service loads.
    """

    body_part: str
    model: str
    dimension: int
    normalised: bool = True


@dataclass(frozen=True, slots=True)
class Checked:
    """A query that can be answered, its texts as databases take them, and the place of its answer."""

    index: int
    query: Query
    model: str


def check_queries(
    queries: Sequence[Query], models: Mapping[str, LoadedModel]
) -> tuple[list[Checked], dict[int, Failure]]:
    """Tell the queries that can be answered from those that cannot, and why.

    Args:
        queries: of any body part.
        models: by body part.
    """
    checked: list[Checked] = []
    failures: dict[int, Failure] = {}
    for index, query in enumerate(queries):
        try:
            checked.append(_check(index, query, models))
        except ItemError as error:
            failures[index] = Failure.of(error, query.path)
    return checked, failures


def confirm_queries(
    catalogue: Catalogue,
    models: Mapping[str, LoadedModel],
    queries: Sequence[Query],
    actor: Actor,
    key: str | None = None,
    only_changes: bool = False,
    guesses: Collection[int] = (),
) -> list[Failure | None]:
    """Add the queries that carry an identity to a catalogue, in one event, on disk when this returns.

    Args:
        catalogue: to add to.
        models: by body part.
        queries: of any body part.
        actor: who confirms.
        key: of the request, by which a repeat is known (`pipeline.catalogue.port.Catalogue.confirm`).
        only_changes: see there; the key is the service's own.
        guesses: places of those whose identity may be nothing but what the client was told; they are provisional.

    Returns:
        For each query, why it was refused; None where it is stored or carries no identity.

    Raises:
        CatalogueUnavailableError: the catalogue cannot be written.
        KeyReusedError: the actor's key came with other confirmations; nothing is stored.
    """
    checked, failures = check_queries(queries, models)
    said = [item for item in checked if item.query.identity is not None]
    if said:
        words = [_as_confirmation(item, item.index not in guesses) for item in said]
        confirmed = catalogue.confirm(words, actor, None if key is None else storable_text(key), only_changes)
        for place, error in confirmed.refused.items():
            failures[said[place].index] = Failure.of(error, said[place].query.path)
    return [failures.get(i) if query.identity is not None else None for i, query in enumerate(queries)]


def rows_of_other_models(counts: CatalogueCounts, models: Mapping[str, LoadedModel]) -> int:
    """Count the rows that are never ranked, because no loaded model made them."""
    ranked = {(model.body_part, model.model) for model in models.values()}
    return sum(rows for made_by, rows in counts.rows.items() if made_by not in ranked)


def _check(index: int, query: Query, models: Mapping[str, LoadedModel]) -> Checked:
    loaded = models.get(query.body_part)
    if loaded is None:
        parts = ", ".join(sorted(models))
        raise UnknownBodyPartError(f"no model for body part {query.body_part!r}; there are: {parts}")
    if query.model is not None and query.model != loaded.model:
        raise OtherModelError(
            f"the embedding was made by model {query.model}, loaded is {loaded.model}: extract the photo again"
        )
    problem = embedding_problem(query.values, loaded.dimension)
    if problem is not None:
        raise BadEmbeddingError(f"the embedding {problem}: extract the photo again")
    # A query misleads nobody but its own answer; a confirmation stays.
    stays = loaded.normalised and query.identity is not None
    problem = length_problem(query.values) if stays else None
    if problem is not None:
        raise BadEmbeddingError(f"the embedding {problem}: confirm it as `extract` answered it")
    if query.key.animal > _MAX_ANIMAL:
        raise BadItemError(f"animal: must be at most {_MAX_ANIMAL}")
    identity = None if query.identity is None else normalise_identity(query.identity)
    key = replace(query.key, photo=storable_key(query.key.photo))
    return Checked(index, replace(query, key=key, identity=identity), loaded.model)


def _as_confirmation(item: Checked, reviewed: bool) -> Confirmation:
    query = item.query
    assert query.identity is not None
    return Confirmation(
        key=query.key,
        body_part=query.body_part,
        individual=query.identity,
        values=query.values.astype(np.float64),
        model=item.model,
        path=storable_text(query.path),
        box=query.box,
        reviewed=reviewed,
    )

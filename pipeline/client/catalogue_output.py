"""The tables of the commands about the catalogue."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from pipeline.client.catalogue_results import (
    Annotation,
    Changed,
    Encounter,
    Event,
    Individual,
    IndividualDetail,
    Likeness,
    SuggestedMerge,
)
from pipeline.client.output import shown
from pipeline.client.proposals import Clocks, ProposedSighting, Undated

_VERDICTS = {"unsure": "unsure", "not_comparable": "not comparable"}


def print_individuals(out: Console, individuals: Sequence[Individual]) -> None:
    """Print individuals, one a line."""
    columns = ("Number", "Name", "Aliases", "Species", "Sex", "Annotations", "Guesses", "Note")
    rows = (
        (
            each.id,
            each.name,
            ", ".join(each.aliases),
            each.species,
            each.sex,
            each.annotations,
            each.provisional,
            each.note,
        )
        for each in individuals
    )
    _print(out, columns, rows)


def print_individual(out: Console, detail: IndividualDetail) -> None:
    """Print one individual and its encounters."""
    print_individuals(out, [detail.individual])
    if detail.merged:
        out.print(f"merged into it: {', '.join(map(str, detail.merged))}")
    columns = ("Encounter", "Sighting", "Annotations", "From", "Until", "Place", "Observer")
    rows = (
        (
            *(each.id, each.sighting, ", ".join(map(str, each.annotations)), each.begins_at, each.ends_at),
            *(_place(each), each.observer),
        )
        for each in detail.encounters
    )
    _print(out, columns, rows)
    out.print(f"in state {detail.head}")


def print_suggestions(out: Console, pairs: Sequence[SuggestedMerge]) -> None:
    """Print pairs of individuals, the likeliest first."""
    columns = ("One", "Other", "Body part", "Distance", "In spreads")
    rows = (
        (*map(_like, each.individuals), each.body_part, f"{each.distance:.3f}", f"{each.ratio:.2f}")
        for each in sorted(pairs, key=lambda pair: pair.ratio)
    )
    _print(out, columns, rows)


def print_annotations(out: Console, annotations: Sequence[Annotation]) -> None:
    """Print annotations, one a line."""
    columns = ("Number", "Photo", "Body part", "Shows", "Said", "Side", "Quality", "Encounter")
    rows = (
        (each.id, _photo(each), each.body_part, _who(each), _said(each), each.side, each.quality, each.encounter)
        for each in annotations
    )
    _print(out, columns, rows)


def print_events(out: Console, events: Sequence[Event]) -> None:
    """Print events, one a line; times are in UTC."""
    columns = ("Version", "When (UTC)", "Who", "What", "Reason")
    rows = ((each.version, f"{each.at:%Y-%m-%d %H:%M:%S}", _speaker(each), _deed(each), each.reason) for each in events)
    _print(out, columns, rows)


def print_proposals(out: Console, proposed: Sequence[ProposedSighting | Undated]) -> None:
    """Print proposed sightings with their encounters, and then what has no date; times are local."""
    columns = ("Sighting", "From", "Until", "UTC", "Place", "Encounter", "Annotations", "Shows", "Near sightings")
    rows = (
        (*_of_sighting(place, each, first), ", ".join(map(str, encounter.annotations)), encounter.individual, near)
        for place, each in enumerate((each for each in proposed if isinstance(each, ProposedSighting)), 1)
        for first, encounter in enumerate(each.encounters, 1)
        for near in [", ".join(map(str, each.near)) if first == 1 else None]
    )
    _print(out, columns, rows)
    undated = [(each.annotation, each.path) for each in proposed if isinstance(each, Undated)]
    _print(out, ("Without a date", "Photo"), undated)


def _of_sighting(place: int, proposed: ProposedSighting, encounter: int) -> Sequence[object]:
    """Return the columns of a proposed sighting, which stand beside its first encounter alone."""
    if encounter > 1:
        return (*[None] * 5, encounter)
    utc = None if proposed.utc_offset_min is None else f"{proposed.utc_offset_min:+} min"
    return place, proposed.begins_at, proposed.ends_at, utc, _position(proposed), encounter


def print_clocks(out: Console, clocks: Clocks) -> None:
    """Print by what time zone and clocks sightings are proposed."""
    out.print(f"time zone: {clocks.timezone or 'not known'}; longest gap in a sighting: {clocks.gap_min} min")
    _print(out, ("Camera", "Seconds added to its times"), list(clocks.cameras.items()))


def print_changed(out: Console, changed: Changed) -> None:
    """Say what a change did."""
    for kind, numbers in changed.made.items():
        out.print(f"new {kind}: {', '.join(map(str, numbers))}")
    out.print(f"done; the catalogue is in state {changed.head}")


def _print(out: Console, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(shown("" if value is None else str(value)) for value in row))
    if table.row_count:
        out.print(table)


def _photo(annotation: Annotation) -> str:
    return annotation.path if annotation.animal == 1 else f"{annotation.path} (animal {annotation.animal})"


def _who(annotation: Annotation) -> str | None:
    return None if annotation.individual is None else f"{annotation.name} ({annotation.individual})"


def _said(annotation: Annotation) -> str:
    if annotation.individual is not None and not annotation.reviewed:
        return "a guess"
    said = (_VERDICTS.get(annotation.verdict or ""), annotation.confidence)
    return ", ".join(word for word in said if word)


def _speaker(event: Event) -> str:
    return f"{event.actor.name} ({event.actor.institution})"


def _deed(event: Event) -> str:
    undoes = "" if event.undoes is None else f" {event.undoes}"
    undone = "" if event.undone_by is None else f" (undone by {event.undone_by})"
    return f"{event.kind}{undoes}{undone}"


def _like(individual: Likeness) -> str:
    spread = "" if individual.spread is None else f", spread {individual.spread:.3f}"
    return f"{individual.name} ({individual.id}; {individual.annotations}{spread})"


def _place(encounter: Encounter) -> str:
    return ", ".join(part for part in (encounter.locality, _position(encounter)) if part)


def _position(seen: Encounter | ProposedSighting) -> str:
    known = seen.latitude is not None and seen.longitude is not None
    place = f"{seen.latitude}, {seen.longitude}" if known else ""
    within = "" if seen.uncertainty_m is None else f" (within {seen.uncertainty_m:g} m)"
    return f"{place}{within}".strip()

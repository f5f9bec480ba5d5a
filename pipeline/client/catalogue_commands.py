"""The commands about the catalogue: `python -m pipeline.client catalogue individuals|decide|merge|...`."""

import argparse

from rich.console import Console

from pipeline.client.arguments import Commands, at_least_one
from pipeline.client.catalogue import AsyncCatalogue
from pipeline.client.catalogue_arguments import (
    add_below,
    add_change,
    add_limit,
    add_list,
    page_size,
    show_list,
    show_result,
)
from pipeline.client.catalogue_output import (
    print_annotations,
    print_clocks,
    print_events,
    print_individual,
    print_individuals,
    print_proposals,
    print_suggestions,
)
from pipeline.client.verbs import (
    Aliases,
    Decide,
    Decision,
    Describe,
    Merge,
    Move,
    Remove,
    Rename,
    Split,
    Undo,
    Verb,
)

_NUMBERS = {"latitude": float, "longitude": float, "uncertainty_m": float, "gap_min": int}
_THINGS = ("individual", "annotation", "sighting")
_INDIVIDUAL_FILTERS = ("search", "species", "sex", "body_part")
_HISTORY_FILTERS = ("individual", "annotation", "since")
_PAIR_FILTERS = ("body_part", "within")
_ANNOTATION_FILTERS = ("individual", "encounter", "body_part", "side", "quality")


def add_catalogue_command(commands: Commands) -> None:
    """Add `catalogue` and the commands below it."""
    purpose = "look at the catalogue, and change it"
    below = commands.add_parser("catalogue", help=purpose, description=purpose).add_subparsers(
        dest="about", required=True
    )
    _add_lists(below)
    _add_proposals(below)
    _add_changes_of_individuals(below)
    _add_changes_of_annotations(below)


def _add_lists(below: Commands) -> None:
    add_list(below, "individuals", "list individuals by name", _INDIVIDUAL_FILTERS, print_individuals)
    individual = add_below(below, "individual", "show one individual with its encounters", _show_individual)
    individual.add_argument("individual", type=at_least_one, metavar="INDIVIDUAL", help="its number")
    add_list(below, "annotations", "list annotations", _ANNOTATION_FILTERS, print_annotations)
    add_list(below, "review", "list annotations that wait for a person", _ANNOTATION_FILTERS, print_annotations)
    add_list(below, "suggest-merges", "list individuals that may be one", _PAIR_FILTERS, print_suggestions)
    add_list(below, "history", "list who said what and when, newest first", _HISTORY_FILTERS, print_events)


def _add_proposals(below: Commands) -> None:
    purpose = "list sightings that photos may be of, and photos without a date; nothing is changed"
    proposed = add_below(below, "propose-sightings", purpose, _show_proposals)
    _add_annotations(proposed, "*", "numbers; without them, all that are in no encounter")
    gap_help = "longest gap between two photos of a sighting; without it, the catalogue's"
    proposed.add_argument("--gap-min", type=at_least_one, metavar="MINUTES", help=gap_help)
    add_limit(proposed)
    add_below(below, "clocks", "show by what time zone and clocks sightings are proposed", _show_clocks)
    settings = add_change(
        below, "settings", "set the catalogue's time zone, and the longest gap in a sighting", _settings
    )
    settings.add_argument("values", nargs="+", type=_value, metavar="timezone=ZONE|gap_min=MINUTES")
    clock = add_change(below, "clock", "say by how much the clock of a camera has to be corrected", _clock)
    clock.add_argument("camera", metavar="CAMERA", help="as `clocks` has it")
    clock.add_argument("seconds", type=_seconds, metavar="SECONDS", help="that are added to its times; none: no more")


def _add_changes_of_individuals(below: Commands) -> None:
    rename = add_change(below, "rename", "give an individual another name", _rename)
    rename.add_argument("individual", type=at_least_one, metavar="INDIVIDUAL")
    rename.add_argument("name", metavar="NAME")
    rename.add_argument("--keep", action="store_true", help="keep the old name as an alias")
    alias = add_change(below, "alias", "add and take away other names of an individual", _alias)
    alias.add_argument("individual", type=at_least_one, metavar="INDIVIDUAL")
    alias.add_argument("--add", action="append", default=[], metavar="NAME", help="add this name; may be repeated")
    alias.add_argument("--remove", action="append", default=[], metavar="NAME", help="take it away; may be repeated")
    merge = add_change(below, "merge", "say that individuals are one", _merge)
    merge.add_argument("into", type=at_least_one, metavar="INDIVIDUAL", help="who all of them are")
    merge.add_argument("others", type=at_least_one, nargs="+", metavar="OTHER", help="who becomes that one")
    describe = add_change(below, "describe", "set what is known of an individual, annotation or sighting", _describe)
    describe.add_argument("thing", choices=_THINGS)
    describe.add_argument("number", type=at_least_one, metavar="NUMBER")
    describe.add_argument("values", nargs="+", type=_value, metavar="NAME=VALUE", help="NAME= takes the value away")
    undo = add_change(below, "undo", "take back what an event did", _undo)
    undo.add_argument("version", type=at_least_one, metavar="VERSION", help="of the event, as history has it")


def _add_changes_of_annotations(below: Commands) -> None:
    decide = add_change(below, "decide", "say who annotations show", _decide)
    decide.add_argument("verdict", choices=("match", "new", "unsure", "not_comparable"))
    _add_annotations(decide)
    decide.add_argument("--individual", type=at_least_one, metavar="NUMBER", help="of match: who it is")
    decide.add_argument("--name", metavar="NAME", help="of new: how the individual is called")
    decide.add_argument("--confidence", metavar="TEXT", help="in your own words")
    split = add_change(below, "split", "say that annotations of one individual show another", _split)
    _add_annotations(split)
    target = split.add_mutually_exclusive_group(required=True)
    target.add_argument("--individual", type=at_least_one, metavar="NUMBER", help="whom they show")
    target.add_argument("--name", metavar="NAME", help="of the new individual that they show")
    move = add_change(below, "move", "group annotations into one encounter", _move)
    _add_annotations(move)
    move.add_argument("--set", action="append", default=[], type=_value, metavar="NAME=VALUE", help=_OF_SIGHTING)
    place = move.add_mutually_exclusive_group()
    place.add_argument("--encounter", type=at_least_one, metavar="NUMBER", help="a known one; else one is made")
    place.add_argument("--sighting", type=at_least_one, metavar="NUMBER", help="of the encounter that is made")
    _add_annotations(add_change(below, "remove", "withdraw annotations", _remove))


_OF_SIGHTING = "of a new sighting: begins_at, ends_at, latitude, longitude, ...; may be repeated"


def _add_annotations(command: argparse.ArgumentParser, nargs: str = "+", purpose: str = "numbers") -> None:
    command.add_argument("annotations", type=at_least_one, nargs=nargs, metavar="ANNOTATION", help=purpose)


async def _show_individual(catalogue: AsyncCatalogue, parsed: argparse.Namespace, out: Console) -> None:
    show_result(await catalogue.individual(parsed.individual), parsed, out, print_individual)


async def _show_proposals(catalogue: AsyncCatalogue, parsed: argparse.Namespace, out: Console) -> None:
    wanted = parsed.annotations or None
    listing = catalogue.propose_sightings(annotations=wanted, gap_min=parsed.gap_min, page_size=page_size(parsed))
    await show_list(listing, parsed, out, print_proposals)


async def _show_clocks(catalogue: AsyncCatalogue, parsed: argparse.Namespace, out: Console) -> None:
    show_result(await catalogue.clocks(), parsed, out, print_clocks)


def _decide(parsed: argparse.Namespace) -> Verb:
    said = (parsed.verdict, parsed.individual, parsed.name, parsed.confidence)
    return Decide(tuple(Decision(annotation, *said) for annotation in parsed.annotations))


def _rename(parsed: argparse.Namespace) -> Verb:
    return Rename(parsed.individual, parsed.name, parsed.keep)


def _alias(parsed: argparse.Namespace) -> Verb:
    return Aliases(parsed.individual, tuple(parsed.add), tuple(parsed.remove))


def _merge(parsed: argparse.Namespace) -> Verb:
    return Merge(parsed.into, tuple(parsed.others))


def _split(parsed: argparse.Namespace) -> Verb:
    return Split(tuple(parsed.annotations), parsed.individual, parsed.name)


def _move(parsed: argparse.Namespace) -> Verb:
    return Move(tuple(parsed.annotations), parsed.encounter, parsed.sighting, dict(parsed.set) or None)


def _remove(parsed: argparse.Namespace) -> Verb:
    return Remove(tuple(parsed.annotations))


def _describe(parsed: argparse.Namespace) -> Verb:
    return Describe(dict(parsed.values), **{parsed.thing: parsed.number})


def _settings(parsed: argparse.Namespace) -> Verb:
    return Describe(dict(parsed.values))


def _clock(parsed: argparse.Namespace) -> Verb:
    return Describe({"clock_s": parsed.seconds}, camera=parsed.camera)


def _undo(parsed: argparse.Namespace) -> Verb:
    return Undo(parsed.version)


def _value(text: str) -> tuple[str, str | float | None]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE")
    if not value:
        return name, None
    try:
        return name, _NUMBERS[name](value) if name in _NUMBERS else value
    except ValueError:
        raise argparse.ArgumentTypeError(f"{name}: {value} is not a number") from None


def _seconds(text: str) -> int | None:
    try:
        return None if text == "none" else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a whole number of seconds nor none") from None

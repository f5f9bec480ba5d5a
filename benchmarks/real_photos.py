"""What the embedders make of a few real photos, beside random weights and the comparison of thumbnails.

    python -m benchmarks.real_photos --labels fins/labels.csv --weights models/demo/pm_flank.pth

`labels.csv` has the columns path (relative to its folder), individual_id and role (catalogue or query). Photos are
crops already: the whole photo is what is embedded. docs/evaluation.md says where such photos are to be had.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from benchmarks.labels import read_labels
from benchmarks.tables import heading, markdown
from pipeline.model_files import BodyPartSpec, ModelFolder, SegmenterSpec
from pipeline.networks.architectures import NARROW_EMBEDDER, build_embedder
from training.arrays import FloatArray
from training.command_line import exit_status, positive
from training.evaluation.comparison import VectorOf, by_embedding, by_thumbnail, individual_distances, make_comparison
from training.evaluation.embedded import EmbeddedPhoto
from training.evaluation.extraction import THUMBNAIL_SIDE_PX, PhotoEmbedder
from training.evaluation.protocols import Roles, given_roles
from training.evaluation.results import SERVED
from training.evaluation.scores import MatchingScores, score
from training.evaluation.seen_in_training import seen_in_training
from training.photos.records import LabelledPhoto
from training.random_models.calibration import seeded
from training.scoring.intervals import Estimate
from training.scoring.ranks import ranks_of_truth

REFERENCES = 1
"""With one photo of each animal, centroid and nearest photo are the same."""

_PART = "animal"
_SEED = 0
_TOP = 5
_NARROW_INPUT_PX = 128

Embedded = Mapping[LabelledPhoto, EmbeddedPhoto]


@dataclass(frozen=True, slots=True)
class Card:
    """What the model card beside a weight file says, or that there is none.

    Attributes:
        text: title, initial weights and length of the training.
        architecture: a name of `pipeline.networks.architectures`; the narrow ResNet without a card.
        input_size_px: side of the network's input.
    """

    text: str
    architecture: str = NARROW_EMBEDDER
    input_size_px: int = _NARROW_INPUT_PX


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the tables.

    Attributes:
        name: what the photos are compared by.
        scores: top-1 and top-5 with intervals.
        places: (q,) of the right individual for each query, from 1; `inf` where the photo could not be compared.
    """

    name: str
    scores: MatchingScores
    places: FloatArray


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path, required=True, help="CSV: path, individual_id, role (catalogue, query)")
    parser.add_argument("--weights", type=Path, nargs="+", default=[], metavar="FILE", help="embedders to try")
    parser.add_argument("--seeds", type=positive, default=10, help="of random weights (default: 10)")
    parser.add_argument("--threads", type=int, default=0, help="of a network; 0 leaves it to the libraries (default)")
    options = parser.parse_args(arguments)
    return exit_status(lambda: _print_report(options))


def _print_report(options: argparse.Namespace) -> None:
    roles = given_roles(read_labels(options.labels, _PART), REFERENCES)
    cards = {file: read_card(file) for file in options.weights}
    untrained = [embed_by_random_weights(roles, seed, options.threads) for seed in range(1, options.seeds + 1)]
    random = [make_row("random weights", embedded, roles) for embedded in untrained]
    rows = [make_row(f"`{file}`", embed(roles, file, card, options.threads), roles) for file, card in cards.items()]
    rows.append(
        make_row(f"{THUMBNAIL_SIDE_PX}x{THUMBNAIL_SIDE_PX} thumbnails, correlation", untrained[0], roles, by_thumbnail)
    )
    print(heading("real_photos"))
    print(_introduction(roles))
    print(score_table(roles, random, rows))
    print("".join(f"- `{file}`: {_provenance(file, card, roles)}\n" for file, card in cards.items()))
    print(place_table(roles, rows))


def read_card(weights: Path) -> Card:
    """Read the model card beside a weight file; one of other weights is not believed."""
    file = weights.with_suffix(".json")
    try:
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if record["sha256"] != sha256(weights.read_bytes()).hexdigest():
            return Card(f"{file.name} beside it is of other weights")
        initial, photos = record["recipe"]["initial weights"], record["run"]["photos seen"]
        text = f"{record['title']}; initial weights: {initial}; {photos} photos seen"
        return Card(text, record["architecture"], record["input size px"])
    except OSError:
        return Card(f"no model card ({file.name}) beside it")
    except (ValueError, LookupError, TypeError):
        return Card(f"{file.name} beside it is no model card")


def embed(roles: Roles, weights: Path, card: Card, threads: int) -> Embedded:
    """Embed all photos, each as a whole, with the weights of a file.

    Raises:
        ModelFilesError: the weights do not fit the architecture.
    """
    part = _part(weights.name, card)
    segmenter = SegmenterSpec(labels=(_PART,))  # stays unread: no box is looked for
    folder = ModelFolder(weights.parent, "", "", segmenter, (part,))
    embedder = PhotoEmbedder(folder, _PART, "photo", threads=threads)
    return {done.photo: done for done in embedder.embed(roles.photos)}


def embed_by_random_weights(roles: Roles, seed: int, threads: int) -> Embedded:
    """Embed all photos with a narrow ResNet as it is before any training."""
    card = Card("")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "random.pth"
        with seeded(seed):
            torch.save(build_embedder(_part(file.name, card)).state_dict(), file)
        return embed(roles, file, card, threads)


def make_row(name: str, embedded: Embedded, roles: Roles, vector_of: VectorOf = by_embedding) -> Row:
    """Rank the catalogue for each query, and score the rankings."""
    comparison = make_comparison(roles, embedded, vector_of, _SEED)
    distances = individual_distances(comparison, comparison.queries, SERVED, REFERENCES)
    return Row(name, score(comparison, SERVED, REFERENCES, _SEED), ranks_of_truth(distances, comparison.truth))


def score_table(roles: Roles, random: Sequence[Row], rows: Sequence[Row]) -> str:
    """Return the table of scores: guessing, random weights as one row over their seeds, then the others."""
    known = len(_labels(roles))
    lines = [
        ("guessing", f"{1 / known:.3f}", f"{min(_TOP, known) / known:.3f}"),
        (
            f"narrow ResNet, random weights: mean of {len(random)} seeds (least to greatest)",
            _over_seeds([row.scores.top1 for row in random]),
            _over_seeds([row.scores.top5 for row in random]),
        ),
        *((row.name, str(row.scores.top1), str(row.scores.top5)) for row in rows),
    ]
    return markdown(("compared by", "top-1", "top-5"), lines)


def place_table(roles: Roles, rows: Sequence[Row]) -> str:
    """Return the table of places: where the right individual of each query stands."""
    lines = [(photo.label, *(f"{row.places[number]:g}" for row in rows)) for number, photo in enumerate(roles.queries)]
    head = (f"place of the right one among {len(_labels(roles))}", *(row.name for row in rows))
    return markdown(head, lines)


def _introduction(roles: Roles) -> str:
    queries, individuals = len(roles.queries), len({photo.individual for photo in roles.queries})
    without = sorted({photo.individual for photo in roles.unknown})
    left_out = f" Left out, for want of a catalogue photo: {', '.join(without)}." if without else ""
    return (
        f"{queries} queries of {individuals} individuals, {len(_labels(roles))} individuals in the catalogue with one"
        f" photo each; whole photos as crops.{left_out} One query more or less is {1 / queries:.2f}. In square brackets"
        " 95 % intervals, bootstrap over individuals. They are wide because the photos are few: nothing can be"
        " concluded from a photo more or less, nor from rows whose intervals overlap. Where all queries or none are"
        " right, the interval has no width; that is not certainty.\n"
    )


def _provenance(weights: Path, card: Card, roles: Roles) -> str:
    seen = seen_in_training(weights, {photo.individual for photo in roles.photos})
    return f"{card.text}. {seen.text}"


def _part(file: str, card: Card) -> BodyPartSpec:
    named = {"name": _PART, "file": file, "architecture": card.architecture, "input_size_px": card.input_size_px}
    return BodyPartSpec.model_validate(named)


def _labels(roles: Roles) -> set[str]:
    return {photo.label for photo in roles.references}


def _over_seeds(estimates: Sequence[Estimate]) -> str:
    values = [one.value for one in estimates]
    return f"{mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


if __name__ == "__main__":
    sys.exit(main())

"""Whether the service identifies as well as the evaluation says.

    python -m benchmarks.served_scores --models models/demo --data holdout/fluke

The references and queries of `python -m training.evaluate` with the same options are also sent through a service that
the start command starts with these models and an empty catalogue: the references are confirmed, the queries identified.
"""

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.serving import Application, start_command
from benchmarks.tables import heading, markdown
from pipeline.client import Client
from pipeline.model_files import ModelFolder, load_model_folder
from training.evaluation.comparison import by_embedding, make_comparison
from training.evaluation.data import read_data
from training.evaluation.extraction import PhotoEmbedder
from training.evaluation.protocols import Roles, honest_roles
from training.evaluation.served import Answers, evaluated_answers, served_answers, top_1

TARGET_POINTS = 1.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, help="models folder")
    parser.add_argument("--data", type=Path, required=True, help="folder with a folder of photos for each individual")
    parser.add_argument("--references", type=int, default=3, help="of each individual (default: 3)")
    parser.add_argument("--unknown", type=int, default=40, help="individuals that play no part here (default: 40)")
    parser.add_argument("--seed", type=int, default=0, help="of the division (default: 0)")
    options = parser.parse_args(arguments)
    print(heading("served_scores"))
    folder = load_model_folder(options.models)
    photos = read_data(options.data.resolve(), "", None, folder).photos
    roles = honest_roles(photos, options.references, options.unknown, options.seed)
    part = photos[0].body_part
    print(_table(part, _evaluate(folder, part, roles, options.references), _serve(folder, part, roles)))


def _evaluate(folder: ModelFolder, part: str, roles: Roles, references: int) -> Answers:
    embedded = PhotoEmbedder(folder, part).embed(roles.photos)
    comparison = make_comparison(roles, {one.photo: one for one in embedded}, by_embedding, seed=0)
    return evaluated_answers(comparison, references)


def _serve(folder: ModelFolder, part: str, roles: Roles) -> Answers:
    with tempfile.TemporaryDirectory() as work:
        application = Application(
            "whale-vision", {"models_dir": str(_without_catalogue(folder, Path(work) / "models"))}
        )
        with start_command(Path(work), [application]) as service:
            service.wait_until_healthy(application)
            with Client(service.url(application)) as client:
                return served_answers(client, roles, part)


def _without_catalogue(folder: ModelFolder, copy: Path) -> Path:
    """Copy weights and models.yaml only, so that the references are all that the catalogue holds."""
    copy.mkdir()
    for file in (*folder.weight_files(), folder.path / "models.yaml"):
        shutil.copy(file, copy)
    return copy


def _table(part: str, evaluated: Answers, served: Answers) -> str:
    rows = [
        ("evaluation", len(evaluated), f"{100 * top_1(evaluated):.2f}", ""),
        ("service, over the WebSocket", len(served), f"{100 * top_1(served):.2f}", f"within {TARGET_POINTS:g} point"),
    ]
    differing = sum(served[photo] != answer for photo, answer in evaluated.items())
    table = markdown((f"top-1, {part}s", "queries", "%", "target"), rows)
    return f"{table}\n{differing} of {len(served)} queries have another nearest individual.\n"


if __name__ == "__main__":
    main()

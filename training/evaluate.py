"""`python -m training.evaluate --models DIR --data FOLDER`: how well models recognise individuals."""

import json
import shlex
import sys
from collections.abc import Mapping, Sequence

from pipeline.model_files import ModelFolder
from training.command_line import exit_status
from training.evaluation.comparison import MATCHINGS
from training.evaluation.data import DATA, check_photos, limit_individuals, read_data
from training.evaluation.extraction import PhotoEmbedder
from training.evaluation.options import Options, parse_options
from training.evaluation.protocols import Roles, given_roles, has_given_roles, honest_roles, seed_roles
from training.evaluation.report import differences, write_report
from training.evaluation.results import ProtocolResult, evaluate_protocols
from training.evaluation.scores import MatchingScores
from training.evaluation.seen_in_training import seen_in_training
from training.evaluation.summary import Subject, as_json, counts
from training.evaluation.wording import PROTOCOL_TITLES
from training.files import write_atomically
from training.models_yaml import read_unfinished_folder
from training.photos.inspection import Inspection
from training.photos.problems import describe
from training.photos.records import LabelledPhoto
from training.scoring.intervals import Estimate


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate what the command line names; return the exit status."""
    options = parse_options(arguments)
    words = sys.argv[1:] if arguments is None else list(arguments)
    return exit_status(lambda: _evaluate(options, shlex.join(["python", "-m", "training.evaluate", *words])))


def _evaluate(options: Options, command: str) -> None:
    folder = read_unfinished_folder(options.models)
    read = limit_individuals(read_data(options.data, options.part, options.split, folder), options.limit, options.seed)
    inspection = check_photos(read, folder.body_part_names, options.skip_bad)
    part = inspection.splits[DATA][0].body_part
    protocols = _protocols(options, inspection)
    embedder = PhotoEmbedder(folder, part, options.boxes, options.device, options.backend, options.threads)
    results = evaluate_protocols(
        protocols, embedder, options.references, options.seed, options.baseline is not None, options.resamples
    )
    subject = _subject(options, folder, part, embedder.models, inspection, results, command)
    print(summary_text(subject, results))
    write_report(options.report, subject, results)
    if options.json is not None:
        write_atomically(options.json, (json.dumps(as_json(subject, results), indent=1) + "\n").encode())
    print(f"report: {options.report}")


def _protocols(options: Options, inspection: Inspection[LabelledPhoto]) -> dict[str, Roles]:
    """Return the roles of each protocol, the one to trust first."""
    photos = inspection.splits[DATA]
    if has_given_roles(photos):
        return {"given": given_roles(photos, options.references)}
    individuals = len({photo.individual for photo in photos})
    unknown = round(options.unknown * individuals) if options.unknown < 1.0 else int(options.unknown)
    honest = honest_roles(photos, options.references, unknown, options.seed, inspection.digests)
    if options.protocol == "encounters":
        return {"encounters": honest}
    known = {photo.individual for photo in honest.queries}
    same = [photo for photo in photos if photo.individual in known]
    return {"encounters": honest, "seed": seed_roles(same, honest.unknown, options.seed, options.references)}


def _subject(
    options: Options,
    folder: ModelFolder,
    part: str,
    hashes: Mapping[str, str],
    inspection: Inspection[LabelledPhoto],
    results: Mapping[str, ProtocolResult],
    command: str,
) -> Subject:
    playing = {photo.individual for result in results.values() for photo in result.roles.photos}
    files = {"detector": folder.segmenter_file, "embedder": folder.embedder_file(part)}
    return Subject(
        data=str(options.data),
        models=str(options.models),
        body_part=part,
        boxes=options.boxes,
        hashes=hashes,
        seen={what: seen_in_training(files[what], playing, what) for what in hashes},
        references=options.references,
        seed=options.seed,
        problems=describe(inspection.problems),
        command=command,
    )


def summary_text(subject: Subject, results: Mapping[str, ProtocolResult]) -> str:
    """Return what the terminal shows."""
    lines = [f"{subject.body_part}, boxes: {subject.boxes}", *(seen.text for seen in subject.seen.values())]
    for name, result in results.items():
        failed = {part: sum(codes.values()) for part, codes in result.failures.items()}
        lines += [
            PROTOCOL_TITLES[name],
            "  " + ", ".join(f"{number} {what}" for what, number in counts(result).items()),
            "  not embedded: " + ", ".join(f"{number} of {part}" for part, number in failed.items()),
        ]
        for method in result.scores:
            for matching in MATCHINGS:
                lines += _score_lines(method, result.main(method, matching))
    found = ", ".join(f"{name} {value:+.3f}" for name, value in differences(results).items())
    return "\n".join([*lines, *([f"The original's protocol minus the honest one: {found}"] if found else [])])


def _score_lines(method: str, scores: MatchingScores) -> list[str]:
    lines = [
        f"  {method}, {scores.matching}, {scores.references} references",
        f"    top-1 {_with_interval(scores.top1)}, top-5 {_with_interval(scores.top5)},"
        f" mAP {_with_interval(scores.mean_average_precision)}",
    ]
    if scores.open_set is not None:
        lines += [
            f"    open-set AUROC {_with_interval(scores.open_set.auroc)}",
            f"    at 90 % rejection: accepted and right {_with_interval(scores.open_set.accepted_right)},"
            f" unknown accepted {_with_interval(scores.open_set.false_accept)}",
        ]
    return lines


def _with_interval(estimate: Estimate) -> str:
    """Return an estimate as "0.934 (0.900 to 0.960)"."""
    if estimate.value != estimate.value:
        return "not to be had"
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


if __name__ == "__main__":
    sys.exit(main())

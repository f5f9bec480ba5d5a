"""The start command: checks everything that can be checked, then becomes `deployments.run`.

    python -m deployments.launch [serve_config.yaml] [--check]

Serve itself does not exit on a wrong argument and answers 404 instead; this exits with status 1 and says what is wrong.
"""

import argparse
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import yaml

from deployments.preflight import check_folders, check_gpu, check_port, check_weights, require_file
from pipeline.catalogue.migrating import migrate_catalogue
from pipeline.catalogue.opening import check_catalogue, fill_catalogue
from pipeline.errors import CatalogueUnavailableError, SettingsError, StartupError
from pipeline.model_files import ModelFolder
from pipeline.settings import load_settings

RAY_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Calls between deployments over gRPC take half the time (docs/decisions).
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(512 * 2**20),
    # No hop between threads on the way in and out of a replica, whose event loops are never held for long.
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    # Ray would give every worker process 15: the replicas that compute could then hardly go behind the others.
    "RAY_worker_niceness": "0",
    # Windows between the proxy and a replica, and no compression.
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "deployments.flow:proxy_middlewares",
}


def main(arguments: list[str] | None = None) -> int:
    """Check and start; returns only where something is wrong or with `--check`."""
    options = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)  # its words are about itself; ours say what is migrated
    try:
        places = check(options.config)
        if not options.check:
            for url, folder in places:
                migrate_catalogue(url, options.migrate)
                fill_catalogue(url, folder)
    except (StartupError, CatalogueUnavailableError) as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 1
    if not options.check:
        _become_the_service(options.config)
    print(f"{options.config}: everything in order")
    return 0


def check(config: Path) -> list[tuple[str, ModelFolder]]:
    """Check a Serve config file and everything that its applications name; changes nothing.

    Returns:
        For each application the URL of its catalogue and its models folder.

    Raises:
        StartupError: the first thing that is wrong.
        CatalogueUnavailableError: a catalogue is locked or being replaced.
    """
    document = _read(require_file(config))
    http = document.get("http_options") or {}
    check_port(str(http.get("host", "127.0.0.1")), int(http.get("port", 8000)))
    found = []
    for place in range(len(document.get("applications") or [])):
        settings = load_settings(config, place)
        check_gpu(settings)
        folder = check_folders(settings)
        check_weights(folder)
        url = settings.with_absolute_paths().catalogue_url
        check_catalogue(url, folder)
        found.append((url, folder))
    return found


def _read(config: Path) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{config}: cannot be read as YAML: {error}") from error
    if not isinstance(document, dict) or not document.get("applications"):
        raise SettingsError(f"{config}: holds no `applications`; compare with the shipped serve_config.yaml")
    return document


def _become_the_service(config: Path) -> NoReturn:
    """Replace this process: Ray reads the environment when it is imported, and the weights that were checked go."""
    os.environ.update({name: os.environ.get(name, value) for name, value in RAY_ENVIRONMENT.items()})
    root = str(Path(__file__).resolve().parent.parent)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "deployments.run", str(config)])


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deployments.launch", description=__doc__)
    parser.add_argument("config", nargs="?", type=Path, default=Path("serve_config.yaml"), help="Serve config file")
    parser.add_argument("--check", action="store_true", help="only check: change nothing, start nothing")
    parser.add_argument(
        "--migrate",
        metavar="BACKUP",
        help="bring a PostgreSQL catalogue of an older release up to date; BACKUP names the backup you made of it",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())

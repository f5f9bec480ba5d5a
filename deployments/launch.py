"""The start command: checks everything that can be checked, then becomes `deployments.run`.

    python -m deployments.launch [serve_config.yaml] [--check]

Serve itself does not exit on a wrong argument and answers 404 instead; this exits with status 1 and says what is wrong.
"""

import argparse
import logging
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml

from deployments.photo_binding import bind_photo_store
from deployments.preflight import check_folders, check_gpu, check_port, check_weights, require_file
from pipeline.catalogue.migrating import migrate_catalogue
from pipeline.catalogue.opening import check_catalogue, fill_catalogue
from pipeline.catalogue.service_lock import check_not_held, held_catalogues
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
    # A thread of Serve's that outlives the cluster would otherwise make another one with its next call.
    "RAY_ENABLE_AUTO_CONNECT": "0",
    # A proxy that died is missed as soon as a replica is (deployments/application.py).
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "2",
    # What failed its health checks is killed. Asked to end in order, one that hangs would stay for `drain_timeout_s`.
    "RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS": "1",
}

OWN_CLUSTER = "local"
"""Ray's word in RAY_ADDRESS for a cluster that the process makes for itself."""

ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Where Ray cannot have other nodes it listens on the loopback interface only (its replicas' gRPC excepted)."""

TOKEN_VARIABLES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


def main(arguments: list[str] | None = None) -> int:
    """Check and start; returns only where something is wrong or with `--check`."""
    options = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)  # its words are about itself; ours say what is migrated
    try:
        places = check(options.config)
        if not options.check:
            _start(options.config, places, options.migrate, options.dashboard)
    except (StartupError, CatalogueUnavailableError) as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 1
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
    found: list[tuple[str, ModelFolder]] = []
    for place in range(len(document.get("applications") or [])):
        settings = load_settings(config, place)
        check_gpu(settings)
        folder = check_folders(settings)
        check_weights(folder)
        url = settings.with_absolute_paths().catalogue_url
        check_not_held([url])
        check_catalogue(url, folder)
        found.append((url, folder))
    return found


def _start(config: Path, places: Sequence[tuple[str, ModelFolder]], backup: str | None, dashboard: bool) -> None:
    with held_catalogues(url for url, _ in places):
        for place, (url, folder) in enumerate(places):
            migrate_catalogue(url, backup)
            fill_catalogue(url, folder)
            bind_photo_store(load_settings(config, place).with_absolute_paths())
        _become_the_service(config, dashboard)


def _read(config: Path) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{config}: cannot be read as YAML: {error}") from error
    if not isinstance(document, dict) or not document.get("applications"):
        raise SettingsError(f"{config}: holds no `applications`; compare with the shipped serve_config.yaml")
    return document


def ray_environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that the service runs in; what the operator has set stays.

    A cluster that the service makes for itself lets in nobody but its own processes: it listens on the loopback
    interface, and a token is made at each start that only the environment of these processes holds, which other users
    of the machine cannot read. Without an address the service makes a cluster, even where one runs on this machine:
    that may be anybody's.

    Args:
        given: the environment of the start command.
    """
    environment = {**RAY_ENVIRONMENT, **given, "RAY_ADDRESS": given.get("RAY_ADDRESS") or OWN_CLUSTER}
    if environment["RAY_ADDRESS"] == OWN_CLUSTER:
        environment = {"RAY_AUTH_MODE": "token"} | ON_LOOPBACK | environment
        if not any(given.get(name) for name in TOKEN_VARIABLES):
            environment["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    return environment


def _become_the_service(config: Path, dashboard: bool) -> NoReturn:
    """Replace this process: Ray reads the environment when it is imported, and the weights that were checked go."""
    os.environ.update(ray_environment(os.environ))
    root = str(Path(__file__).resolve().parent.parent)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    sys.stdout.flush()
    options = ["--dashboard"] if dashboard else []
    os.execv(sys.executable, [sys.executable, "-m", "deployments.run", str(config), *options])


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deployments.launch", description=__doc__)
    parser.add_argument("config", nargs="?", type=Path, default=Path("serve_config.yaml"), help="Serve config file")
    parser.add_argument("--check", action="store_true", help="only check: change nothing, start nothing")
    parser.add_argument("--dashboard", action="store_true", help="start Ray's dashboard, too: 200 MB and a second more")
    parser.add_argument(
        "--migrate",
        metavar="BACKUP",
        help="bring a PostgreSQL catalogue of an older release up to date; BACKUP names the backup you made of it",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())

"""What can be checked before anything starts, each failure with what to do about it."""

import errno
import socket
from pathlib import Path

import psutil

from pipeline.errors import SettingsError, StartupError
from pipeline.model_files import ModelFolder, load_model_folder
from pipeline.photo_store.store import PhotoStore
from pipeline.photos.process_decoder import check_memory
from pipeline.settings import Settings


def check_folders(settings: Settings) -> ModelFolder:
    """Check the folders that the settings name, and the memory for photos; cheap, and without torch.

    Returns:
        The models folder, its path made absolute: a replica's working directory may be another.

    Raises:
        StartupError: a folder or file is missing, memory too little, or the photo store's URL wrong; says what to do.
    """
    check_memory(settings.limits)
    PhotoStore(settings.photo_store)
    folder = load_model_folder(settings.models_dir.absolute())
    for root in settings.photo_roots:
        if not root.is_dir():
            raise SettingsError(f"args.photo_roots: {root} is not a folder on this machine")
    if settings.export_dir.exists() and not settings.export_dir.is_dir():
        raise SettingsError(f"args.export_dir: {settings.export_dir} exists and is not a folder")
    return folder


def check_weights(folder: ModelFolder) -> None:
    """Load every weight file into its architecture; torch is imported here, so that only the start command pays for it.

    Raises:
        ModelFilesError: a file does not fit; names file, key, what was expected and what was found.
    """
    from pipeline.networks.architectures import build_detector, build_embedder
    from pipeline.networks.checkpoints import load_weights

    load_weights(build_detector(folder.segmenter), folder.segmenter_file)
    for part in folder.body_parts:
        load_weights(build_embedder(part), folder.embedder_file(part.name))


def check_gpu(settings: Settings) -> None:
    """Check that `device: cuda` can be had on this machine.

    Raises:
        SettingsError: there is no GPU that torch can use.
    """
    import torch

    if settings.device == "cuda" and not torch.cuda.is_available():
        raise SettingsError("args.device: cuda, but torch finds no GPU on this machine; use auto or cpu")


def check_port(host: str, port: int) -> None:
    """Check that nobody listens where the service is to listen.

    Raises:
        StartupError: names the process that does.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET  # as Serve chooses it; a host name means IPv4
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise SettingsError(
                    f"http_options.host: {host}:{port} cannot be listened on: {error.strerror}"
                ) from error
            raise StartupError(
                f"port {port} on {host} cannot be used ({error.strerror}); {_holder(port)}. The desktop app starts its "
                f"own backend on 8765: close it, start this service, then the app; or set another port in http_options"
            ) from error


def _holder(port: int) -> str:
    for connection in psutil.net_connections(kind="tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
            try:
                command = " ".join(" ".join(psutil.Process(connection.pid).cmdline()).split())[:120]
            except psutil.Error:
                command = "a process of another user"
            return f"it is held by process {connection.pid}: {command}"
    return "no process of this user holds it"


def require_file(path: Path) -> Path:
    """Return the path of a file that exists.

    Raises:
        SettingsError: it does not.
    """
    if not path.is_file():
        raise SettingsError(f"{path}: no such config file")
    return path

"""Every error the system raises on purpose, each with a stable `code` that clients can rely on.

All constructor arguments go positionally to `super().__init__`, so that an error survives pickling between Ray actors.
Messages name the input and say what to do about it; they never carry a traceback or another client's data.
"""


class WhaleVisionError(Exception):
    """Root of the tree; `code` is part of the wire protocol."""

    code = "internal"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


# --- one photo or item: becomes that item's outcome, never fails its request ---


class ItemError(WhaleVisionError):
    """One photo or item of a request cannot be answered; the others are."""

    code = "failed"


class NoAnimalError(ItemError):
    """The detector found no body part in the photo."""

    code = "no_animal"


class PhotoNotFoundError(ItemError):
    """There is no file at the path."""

    code = "not_found"


class UnreadablePhotoError(ItemError):
    """The file exists but cannot be read or decoded: permissions, truncated, empty, damaged."""

    code = "unreadable"


class UnsupportedPhotoError(ItemError):
    """The file is of a kind that is not accepted: a folder, a device, a camera raw, not a picture."""

    code = "unsupported"


class PhotoTooLargeError(ItemError):
    """The photo exceeds the limit in bytes or in pixels."""

    code = "too_large"


class OutsideRootsError(ItemError):
    """The path lies outside the folders that this service may read, or a symlink leads out of them."""

    code = "outside_roots"


class UnavailableError(ItemError):
    """A stage of the pipeline did not answer in time or is restarting; asking again may succeed."""

    code = "unavailable"


class CancelledError(ItemError):
    """The request was cancelled before this item was done."""

    code = "cancelled"


class OtherModelError(ItemError):
    """The embedding was made by other weights than the loaded ones, so its distances would be meaningless."""

    code = "other_model"


class BadEmbeddingError(ItemError):
    """The embedding has the wrong length, is not finite or is not a list of numbers."""

    code = "bad_embedding"


class UnknownBodyPartError(ItemError):
    """The item names a body part that the loaded models do not have."""

    code = "unknown_body_part"


class BadItemError(ItemError):
    """The element of the request is not what its list holds: not a string, not an object, a field missing or wrong."""

    code = "bad_item"


class BadIdentityError(ItemError):
    """The identity name is empty, reserved or cannot be used."""

    code = "bad_identity"


class ExportError(ItemError):
    """The photo could not be copied into the export folder."""

    code = "export_failed"


class HashMismatchError(ItemError):
    """The bytes of a photo are not those of the hash that it was sent under; nothing was kept."""

    code = "hash_mismatch"


class StorageFullError(ItemError):
    """The photo store has no room; nothing of the photo was kept."""

    code = "storage_full"


class InternalItemError(ItemError):
    """The item failed inside the service; its log says why."""

    code = "internal"


def item_error(code: str, message: str) -> ItemError:
    """Return the error of one item that has this code; a code that no class has is a plain failure."""
    kinds: tuple[type[ItemError], ...] = tuple(ItemError.__subclasses__())
    return next((kind for kind in kinds if kind.code == code), ItemError)(message)


# --- a whole request ---


class RequestError(WhaleVisionError):
    """The request cannot be answered as a whole; the connection stays usable."""

    code = "bad_request"


class MalformedMessageError(RequestError):
    """The message is not JSON, not an object, or its fields are wrong."""

    code = "malformed"


class UnknownTypeError(RequestError):
    """The message's `type` is not one the server knows."""

    code = "unknown_type"


class DuplicateIdError(RequestError):
    """The `id` is that of a request that still runs on this connection."""

    code = "duplicate_id"


class UnknownIdError(RequestError):
    """The `id` is not that of a running request."""

    code = "unknown_id"


class TooManyPhotosError(RequestError):
    """The request has more photos than `max_photos_per_request`."""

    code = "too_many_photos"


class ResultTooLargeError(RequestError):
    """The answer, which is sent as one message, grew past `max_result_bytes`."""

    code = "result_too_large"


class ForbiddenError(RequestError):
    """The client may not do this."""

    code = "forbidden"


class NoSuchCatalogueError(RequestError):
    """There is no catalogue of this name, or the client may not do this in it: which one is never told."""

    code = "no_such_catalogue"


class CatalogueNeededError(RequestError):
    """The request has to name the catalogue that it is about."""

    code = "catalogue_needed"


class TooManyRequestsError(RequestError):
    """The connection already runs as many requests as it may."""

    code = "too_many_requests"


class AckTimeoutError(RequestError):
    """The client asked for a stream and did not acknowledge its items in time."""

    code = "ack_timeout"


class UploadTimeoutError(RequestError):
    """An uploaded photo did not move, or was too slow while others waited for the memory that it takes."""

    code = "upload_timeout"


class CatalogueUnavailableError(RequestError):
    """The catalogue cannot be read or written (locked, server down, disk full); nothing of the request was stored."""

    code = "catalogue_unavailable"


class KeyReusedError(RequestError):
    """The `key` came before with something else: a key belongs to one request and its repeats."""

    code = "key_reused"


# --- a change of the catalogue that is refused as a whole; nothing of it was stored ---


class ChangeRefusedError(RequestError):
    """The catalogue cannot be changed so."""

    code = "bad_change"


class NotInCatalogueError(ChangeRefusedError):
    """The catalogue has no such individual, annotation, encounter, sighting or event, or has it no longer."""

    code = "not_in_catalogue"


class NameInUseError(ChangeRefusedError):
    """A name is one that another individual has, as its name or an alias."""

    code = "name_in_use"


class ChangedSinceError(ChangeRefusedError):
    """What was decided on has changed since the version that the decision names; the message says by which events."""

    code = "changed_since"


class UndoBlockedError(ChangeRefusedError):
    """The event is undone already, or later ones that touch the same things stand; the message names them."""

    code = "undo_blocked"


# --- start-up: the service refuses to start ---


class StartupError(WhaleVisionError):
    """The service cannot start as configured."""

    code = "startup"


class SettingsError(StartupError):
    """An argument in serve_config.yaml is wrong."""

    code = "settings"


class ModelFilesError(StartupError):
    """A weight file or models.yaml is missing, unreadable or does not fit."""

    code = "model_files"


class CatalogueFileError(StartupError):
    """A catalogue CSV holds a row that cannot be imported; names file, line and reason."""

    code = "catalogue_file"


class CatalogueOpenError(StartupError):
    """The catalogue cannot be opened: wrong URL, unwritable folder, damaged file, or written by a newer release."""

    code = "catalogue_open"


class CatalogueHeldError(StartupError):
    """Another service runs on the same catalogue file."""

    code = "catalogue_held"

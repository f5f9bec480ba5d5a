"""What each kind of a service's processes holds in memory."""

import re
from collections import defaultdict
from collections.abc import Mapping

import psutil

MIB = 2**20
_TITLE = re.compile(r"ServeReplica:[^:]+:(\w+)|ray::(Proxy)Actor")

Kinds = Mapping[str, list[psutil.Process]]


def processes_by_kind(root: psutil.Process) -> Kinds:
    """Return the replicas of each deployment, and the proxies, that a process has started, the oldest first.

    Args:
        root: the start command, or a process that runs a Ray cluster.
    """
    kinds: defaultdict[str, list[psutil.Process]] = defaultdict(list)
    for process in root.children(recursive=True):
        try:
            title = _TITLE.search(" ".join(process.cmdline()))
        except psutil.Error:  # it has ended meanwhile
            continue
        if title is not None:
            kinds[title[1] or title[2]].append(process)
    return {kind: sorted(found, key=psutil.Process.create_time) for kind, found in sorted(kinds.items())}


def private_bytes_of(process: psutil.Process) -> int:
    """Return the memory that a process holds and that neither a file nor shared memory backs.

    Resident size would count the interpreter's and Ray's libraries, which all replicas share, and the object store, a
    bound of Ray's own. Read from the kernel's counters: a walk over a replica's mappings takes some 10 ms, stops it for
    as long, and is no way to look for a peak.
    """
    memory = process.memory_info()
    return int(memory.rss - memory.shared)


def family_bytes(process: psutil.Process) -> int:
    """Return what a process and its children (an extractor's decoders) hold; 0 where it has ended meanwhile."""
    total = 0
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for member in family:
        try:
            total += private_bytes_of(member)
        except psutil.NoSuchProcess:
            continue
    return total

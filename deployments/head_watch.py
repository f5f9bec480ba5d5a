"""Where subscriptions wait for changes: one look a second at all heads, however many wait; none while nobody does."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from pipeline.errors import WhaleVisionError
from pipeline.protocol.catalogue_replies import Head

logger = logging.getLogger(__name__)

PERIOD_S = 1.0
"""Between two looks."""


class HeadWatch:
    """The catalogues' states as one ingress replica sees them."""

    def __init__(self, heads: Callable[[], Awaitable[Mapping[str, Head]]], period_s: float = PERIOD_S) -> None:
        """Take what returns the state of each catalogue by its name."""
        self._heads = heads
        self._period_s = period_s
        self._next_look: asyncio.Task[Mapping[str, Head] | None] | None = None

    async def changed(self, catalogue: str, known: Head) -> None:
        """Return once the catalogue is in another state, or is gone."""
        while True:
            heads = await self._look()
            if heads is not None and heads.get(catalogue) != known:
                return

    async def _look(self) -> Mapping[str, Head] | None:
        """Return what the next look sees, which all share who wait; one who goes does not end it for the others."""
        if self._next_look is None or self._next_look.done():
            self._next_look = asyncio.create_task(self._look_later())
        return await asyncio.shield(self._next_look)

    async def _look_later(self) -> Mapping[str, Head] | None:
        await asyncio.sleep(self._period_s)
        try:
            return await self._heads()
        except WhaleVisionError as error:  # the next look may see more
            logger.warning("the catalogues' heads cannot be read: %s", error)
            return None

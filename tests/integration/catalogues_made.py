"""Catalogues in a real database behind the edge, without Ray between."""

import asyncio

from pipeline.catalogue.answers import heads
from pipeline.catalogue.loaded import LoadedCatalogues
from pipeline.catalogue.matchers import LoadedMatchers
from pipeline.catalogue.permitted import answer, change
from pipeline.catalogue.queries import LoadedModel
from pipeline.catalogue.several import merged
from pipeline.catalogue.sql_store import open_catalogue
from pipeline.catalogue.suggesting import suggest_merges
from pipeline.protocol.catalogue_requests import ChangeRequest, SuggestMerges
from pipeline.protocol.filters import Detail
from pipeline.protocol.rights_requests import RightsChange

FLUKE = LoadedModel("fluke", "m1", 2)


class StoredMatcher:
    """What the catalogue deployment and the matcher do together, in threads of this process."""

    def __init__(self, url):
        self.loaded = LoadedCatalogues(open_catalogue(url, make=False), [FLUKE])
        self.matchers = LoadedMatchers(self.loaded, "cpu", 2**30)

    async def confirm(self, catalogue, queries, actor, key, may_guess):
        guesses = await asyncio.to_thread(lambda: self._guesses(catalogue, queries)) if may_guess else ()
        return await asyncio.to_thread(self.loaded.confirm, catalogue, queries, actor, key, guesses=guesses)

    def _guesses(self, catalogue, queries):
        return self.matchers.current(catalogue).guesses(queries)

    async def rank(self, catalogue, queries, top_k, detail):
        return await asyncio.to_thread(lambda: self.matchers.current(catalogue).rank(queries, top_k, detail))

    async def rank_in_several(self, catalogues, queries, top_k, detail):
        wanted = detail or Detail(0, None)
        alone = {name: await self.rank(name, queries, top_k, wanted) for name in catalogues}
        return merged(alone, catalogues, top_k, self.matchers.signing_key())

    async def heads(self):
        return await asyncio.to_thread(heads, self.loaded.catalogue("default"))

    async def answer(self, message, permit):
        if isinstance(message, SuggestMerges):
            return await asyncio.to_thread(suggest_merges, self.matchers.current(permit.catalogue), message)
        carry_out = change if isinstance(message, ChangeRequest | RightsChange) else answer
        return await asyncio.to_thread(carry_out, self.loaded, message, permit)

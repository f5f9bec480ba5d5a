"""Catalogues in a real database behind the edge, without Ray between."""

import asyncio

from pipeline.catalogue.answers import heads
from pipeline.catalogue.following import LoadedModel
from pipeline.catalogue.loaded import LoadedCatalogues
from pipeline.catalogue.permitted import answer, change
from pipeline.catalogue.sql_store import open_catalogue
from pipeline.catalogue.suggesting import suggest_merges
from pipeline.protocol.catalogue_requests import ChangeRequest, SuggestMerges
from pipeline.protocol.rights_requests import RightsChange

FLUKE = LoadedModel("fluke", "m1", 2)


class StoredMatcher:
    """What the matcher deployment does, in threads of this process."""

    def __init__(self, url):
        self.loaded = LoadedCatalogues(open_catalogue(url, make=False), [FLUKE])

    async def confirm(self, catalogue, queries, actor, key, may_guess):
        matcher = self.loaded.matcher(catalogue)
        return await asyncio.to_thread(lambda: matcher.confirm(queries, actor, key, may_guess=may_guess))

    async def rank(self, catalogue, queries, top_k, detail):
        return await asyncio.to_thread(lambda: self.loaded.matcher(catalogue).rank(queries, top_k, detail))

    async def heads(self):
        return await asyncio.to_thread(heads, self.loaded.catalogue("default"))

    async def answer(self, message, permit):
        if isinstance(message, SuggestMerges):
            return await asyncio.to_thread(suggest_merges, self.loaded.matcher(permit.catalogue), message)
        carry_out = change if isinstance(message, ChangeRequest | RightsChange) else answer
        return await asyncio.to_thread(carry_out, self.loaded, message, permit)

"""The kill tests are about kills: their upload gets over a broker that confirms late."""

from collections.abc import AsyncIterable
from dataclasses import replace

from forebay.client import ApiError, AsyncClient, Json
from tests.e2e.batches import submit
from tests.integration.api_rig import CATALOG, KEY, WatchedWorkQueue, running_api

JOBS = 300


class SeesTheBrokerBack(AsyncClient):
    """A client after whose first refused upload the broker is back."""

    broker: WatchedWorkQueue
    refusals = 0

    async def submit_bulk(self, lines: AsyncIterable[bytes], idempotency_key: str | None = None) -> Json:
        try:
            return await super().submit_bulk(lines, idempotency_key)
        except ApiError:
            self.refusals += 1
            self.broker.away_after = None
            raise


async def test_an_upload_that_was_cut_by_a_late_broker_is_sent_again_and_is_one_batch(valkey_url: str) -> None:
    catalog = replace(CATALOG, aliases={"sim": "gpt-4o-mini"})
    async with running_api(valkey_url, catalog=catalog) as api, SeesTheBrokerBack(api.url, KEY) as client:
        client.broker = api.queue
        api.queue.away_after = JOBS // 2
        batch_id = await submit(client, JOBS)
        assert client.refusals == 1
        assert (await client.batch(batch_id))["request_counts"]["total"] == JOBS
        assert len({published.message.job_id for published in api.queue.published}) == len(api.queue.published) == JOBS

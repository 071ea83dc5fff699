"""Whether it lives, whether it can work, and what it says of itself."""

import asyncio
import socket

import orjson
import pytest

from producer_api.schemas import ModelList
from producer_api.server import listen
from shared.domain.job_lookup import JobFilter
from shared.domain.tenants import DEFAULT_TEAM, AdminKeyring, hash_key
from tests.integration.api_rig import Api, running_api
from tests.servers.valkey import PrivateValkey


async def test_it_is_alive_and_ready_without_a_key(api: Api) -> None:
    for path in ("/healthz", "/readyz"):
        answer = await api.call("GET", path, None)
        assert (answer.status, answer.json) == (200, {"status": "ok"})


@pytest.mark.hazard(11)
async def test_it_is_alive_but_not_ready_while_its_servers_are_away(private_valkey: PrivateValkey) -> None:
    async with running_api(private_valkey.url) as api:
        await private_valkey.kill()
        assert (await api.call("GET", "/healthz", None)).status == 200
        answer = await api.call("GET", "/readyz", None)
        assert answer.status == 503
        assert answer.error["code"] == "service_unavailable"
        assert "the broker and the store" in answer.error["message"]
        assert "retry-after" in answer.headers

        refused = await api.submit()
        assert refused.status == 503
        assert "retry-after" in refused.headers
        assert (await api.get("/v1/jobs")).status == 503
        assert (await api.upload([b"{}", orjson.dumps({"request": {}})])).status == 503

        await private_valkey.start()
        assert (await api.submit()).status == 202


async def test_the_models_that_can_be_asked_for_are_listed_with_their_other_names(api: Api) -> None:
    models = ModelList.model_validate((await api.get("/v1/models")).json)
    assert [model.id for model in models.data] == ["embedder", "gpt-4", "gpt-4o-mini"]


async def test_the_admin_key_acts_for_the_default_team(valkey_url: str) -> None:
    async with running_api(valkey_url, keyring=AdminKeyring(hash_key("fb-admin"))) as api:
        assert (await api.submit(key="fb-admin")).status == 202
        assert (await api.submit(key="fb-other")).status == 401
        assert len((await api.get("/v1/jobs", "fb-admin")).json["data"]) == 1
        assert len((await api.store.list(DEFAULT_TEAM, JobFilter(), None, 10)).jobs) == 1


async def test_the_documentation_tells_of_every_path_its_bodies_and_its_errors(api: Api) -> None:
    assert (await api.call("GET", "/docs", None)).status == 200
    document = (await api.call("GET", "/openapi.json", None)).json
    assert set(document["paths"]) == {
        "/v1/jobs",
        "/v1/jobs/bulk",
        "/v1/jobs/{job_id}",
        "/v1/jobs/{job_id}/events",
        "/v1/jobs/{job_id}/cancel",
        "/v1/batches/{batch_id}",
        "/v1/keys",
        "/v1/keys/{key_id}",
        "/v1/keys/{key_id}/revoke",
        "/v1/models",
        "/v1/models/{model}",
        "/v1/chat/completions",
        "/v1/embeddings",
        "/v1/lanes",
        "/v1/lanes/{lane}",
        "/v1/lanes/{lane}/pause",
        "/v1/lanes/{lane}/resume",
        "/v1/schedule",
        "/v1/dead-letters",
        "/v1/dead-letters/{letter_id}",
        "/v1/dead-letters/{letter_id}/replay",
        "/v1/dead-letters/replay",
        "/v1/dead-letters/drop",
        "/v1/webhooks/endpoints",
        "/v1/webhooks/endpoints/{endpoint_id}",
        "/v1/webhooks/endpoints/{endpoint_id}/rotate",
        "/v1/webhooks/endpoints/{endpoint_id}/enable",
        "/v1/webhooks/secret",
        "/v1/webhooks/secret/rotate",
        "/v1/webhooks/deliveries",
        "/v1/webhooks/deliveries/{delivery_id}",
        "/v1/webhooks/deliveries/{delivery_id}/redeliver",
        "/healthz",
        "/readyz",
    }
    submit = document["paths"]["/v1/jobs"]["post"]
    body = submit["requestBody"]["content"]["application/json"]
    assert set(body["schema"]["properties"]) >= {"endpoint", "request", "priority", "within", "run_at", "cache"}
    assert (await api.call("POST", "/v1/jobs", body=body["example"])).status == 202
    assert submit["responses"]["4XX"]["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorBody")
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert submit["security"] == [{"bearer": []}, {"header": []}]
    assert "security" not in document["paths"]["/healthz"]["get"]
    assert b"422" not in orjson.dumps(document)


async def test_no_answer_is_held_back_until_the_client_acknowledges_a_part_of_it() -> None:
    """Nagle's algorithm and delayed acknowledgements would cost each answer 40 ms."""
    nodelay: list[int] = []

    async def look(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nodelay.append(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    with listen("127.0.0.1", 0) as listener:
        async with await asyncio.start_server(look, sock=listener):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            await reader.read()
            writer.close()
    assert nodelay == [1]

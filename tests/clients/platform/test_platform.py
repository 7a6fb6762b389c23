"""The endpoints of seeds 000 and 001 as a new user tries them, on a node of its own and on PostgreSQL
and Redis; and reference servers of the Model Context Protocol, connected, run, and used by an agent."""

import json
import os
import pathlib
import subprocess
import sys
import uuid

import pytest
import requests

ADMIN = os.environ["OPTIMUX_KEY"]
PASSWORD = "correct horse battery staple"
BASES = {name: os.environ[name] for name in ("OPTIMUX_PLAIN", "OPTIMUX_CLUSTER") if os.environ.get(name)}


class User:
    """An account with its owner, signed in."""

    def __init__(self, base):
        self.base = base
        name = f"u{uuid.uuid4().hex[:12]}"
        self.email = f"{name}@example.com"
        made = requests.post(f"{base}/v1/admin/accounts", json={"name": name, "plan": "enterprise"}, headers=bearer(ADMIN))
        self.account = ok(made)["id"]
        member = {"email": self.email, "role": "owner", "password": PASSWORD}
        self.id = ok(requests.post(f"{base}/v1/admin/accounts/{self.account}/members", json=member, headers=bearer(ADMIN)))["id"]
        self.session = self.login()

    def login(self):
        return ok(requests.post(f"{self.base}/api/auth/login", json={"email": self.email, "password": PASSWORD}))

    def call(self, method, path, body=None, **more):
        return requests.request(method, f"{self.base}{path}", json=body, headers=bearer(self.session["access_token"]), **more)


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def ok(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(scope="module", params=list(BASES))
def user(request):
    return User(BASES[request.param])


def test_signing_in_and_out(user):
    session = user.login()
    fresh = ok(requests.post(f"{user.base}/api/auth/refresh", json={"refresh_token": session["refresh_token"]}))
    assert ok(requests.get(f"{user.base}/optima/v1/models", headers=bearer(fresh["access_token"])))["data"]
    ok(requests.post(f"{user.base}/api/auth/logout", headers=bearer(fresh["access_token"])))
    gone = requests.get(f"{user.base}/optima/v1/models", headers=bearer(fresh["access_token"]))
    assert gone.status_code == 401 and isinstance(gone.json()["error"], str)


def test_a_key_of_ones_own(user):
    key = ok(user.call("POST", "/v1/keys", {"name": "laptop"}))
    chat = {"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}
    answer = requests.post(f"{user.base}/v1/chat/completions", json=chat, headers=bearer(key["key"]))
    assert ok(answer)["choices"][0]["message"]["content"]
    ok(user.call("DELETE", f"/v1/keys/{key['id']}"))


def test_responses_and_embeddings(user):
    first = ok(user.call("POST", "/v1/responses", {"model": "auto", "input": "Hello"}))
    second = {"model": "auto", "input": "And then?", "previous_response_id": first["id"]}
    assert ok(user.call("POST", "/v1/responses", second))["previous_response_id"] == first["id"]
    embedded = ok(user.call("POST", "/v1/embeddings", {"model": "text-embedding-3-small", "input": "Hello"}))
    assert embedded["data"][0]["embedding"]


def test_what_there_is(user):
    assert ok(user.call("GET", "/optima/v1/models"))["data"][0]["tier"]
    assert ok(user.call("GET", "/optima/v1/capabilities"))["chat"] is True


def test_conversations(user):
    saved = ok(user.call("PUT", "/optima/v1/conversations", {"messages": [{"role": "user", "content": "What is a gateway?"}]}))
    path = f"/optima/v1/conversations/{saved['id']}"
    chat = {"model": "auto", "conversation": saved["id"], "messages": [{"role": "user", "content": "And then?"}]}
    ok(user.call("POST", "/v1/chat/completions", chat))
    assert [one["role"] for one in ok(user.call("GET", path))["messages"]] == ["user", "user", "assistant"]
    assert ok(user.call("GET", "/optima/v1/conversations?search=gateway"))["data"]
    ok(user.call("DELETE", path))
    assert user.call("GET", path).status_code == 404


def test_features(user):
    assert len(ok(user.call("GET", "/v1/features"))["data"]) == 10
    on = ok(user.call("POST", f"/v1/features/{user.id}/response_cache", {"enabled": True}))
    assert on["enabled"] and on["source"] == "user"
    chat = {"model": "auto", "messages": [{"role": "user", "content": f"Hello {uuid.uuid4()}"}]}
    seen = [user.call("POST", "/v1/chat/completions", chat).headers["x-optimux-cache"] for _ in range(2)]
    assert seen == ["miss", "hit"]
    ok(user.call("POST", f"/v1/features/{user.id}/response_cache", {"enabled": False}))


def test_memory(user):
    ok(user.call("POST", "/v1/memory/store", {"user_id": "alice", "text": "Alice works at Acme Corp in Berlin"}))
    found = ok(user.call("POST", "/v1/memory/search", {"user_id": "alice", "query": "where does Alice work?"}))
    assert found["data"][0]["text"].startswith("Alice works")
    names = {one["name"] for one in ok(user.call("GET", "/v1/memory/graph/alice/entities"))["entities"]}
    assert "Alice" in names
    assert ok(user.call("DELETE", "/v1/memory/alice"))["deleted"] == 1


def test_admin(user):
    assert ok(requests.get(f"{user.base}/v1/admin/status", headers=bearer(ADMIN)))["version"]
    assert ok(requests.get(f"{user.base}/v1/admin/health", headers=bearer(ADMIN)))["status"] == "healthy"
    assert user.call("GET", "/v1/admin/status").status_code == 403


@pytest.mark.parametrize("app", ["time", "everything"])
def test_a_reference_server_is_connected_and_run(user, app):
    assert app in {one["id"] for one in ok(user.call("GET", "/v1/connect/apps"))["data"]}
    tools = {one["name"]: one for one in ok(user.call("GET", f"/v1/connect/tools?app={app}"))["data"]}
    tool, arguments, said = {
        "time": ("get_current_time", {"timezone": "Europe/Berlin"}, "Europe/Berlin"),
        "everything": ("echo", {"message": "hello"}, "hello"),
    }[app]
    assert tools[tool]["input_schema"]["type"] == "object"
    ran = ok(user.call("POST", "/v1/connect/actions/run", {"app": app, "tool": tool, "arguments": arguments}))
    assert ran["status"] == "completed" and said in ran["result"]["content"][0]["text"], ran
    wrong = user.call("POST", "/v1/connect/actions/run", {"app": app, "tool": tool, "arguments": {"nonsense": 1}})
    assert wrong.status_code in (200, 400) and wrong.json().get("status") != "completed", wrong.text


def test_an_agent_uses_a_reference_server(user):
    agent = ok(user.call("POST", "/v1/agents", {
        "name": "clock",
        "instructions": "Tell the time.",
        "tools": [{"type": "connect", "app": "everything", "tools": ["echo"]}],
    }))
    # The simulated model calls a tool that it is told the name of.
    ran = ok(user.call("POST", f"/v1/agents/{agent['id']}/runs", {"input": "Call everything__echo please"}))
    assert ran["status"] == "completed" and ran["turns"] == 2, ran
    assert ran["messages"][1]["role"] == "tool" and ran["messages"][1]["content"], ran
    chat = {"model": f"agent:{agent['id']}", "messages": [{"role": "user", "content": "Call everything__echo please"}]}
    assert ok(user.call("POST", "/v1/chat/completions", chat))["choices"][0]["finish_reason"] == "stop"
    changed = requests.put(
        f"{user.base}/v1/agents/{agent['id']}", json={"name": "clock 2"},
        headers={**bearer(user.session["access_token"]), "If-Match": '"9"'})
    assert changed.status_code == 412
    ok(user.call("DELETE", f"/v1/agents/{agent['id']}"))


def test_curl_as_printed(user):
    # Every GET of the documents, by a new user's hand.
    for path in [
        "/optima/v1/models", "/optima/v1/capabilities", "/optima/v1/conversations", "/v1/features",
        f"/v1/features/{user.id}", "/v1/agents", "/v1/connect/apps", "/v1/connect/accounts", "/v1/connect/tools",
    ]:
        done = subprocess.run(
            ["curl", "-sf", f"{user.base}{path}", "-H", f"Authorization: Bearer {user.session['access_token']}"],
            capture_output=True, check=True, text=True)
        assert isinstance(json.loads(done.stdout), dict)


def test_the_description_holds(tmp_path):
    schemathesis = pathlib.Path(sys.executable).with_name("st")
    base = BASES["OPTIMUX_PLAIN"]
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    # A table of a provider has some two hundred members: each of them by itself would take three minutes.
    settings = "^/v1/admin/(providers|models)/"
    for part in (["--exclude-path-regex", f"events$|{settings}"],
                 ["--include-path-regex", settings, "--phases", "fuzzing,stateful"]):
        done = subprocess.run(
            [schemathesis, "run", f"{base}/openapi.json", "-H", f"Authorization: Bearer {ADMIN}", "--seed", "1",
             "--checks", checks, "--max-examples", "8", *part],
            capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stdout[-6000:]

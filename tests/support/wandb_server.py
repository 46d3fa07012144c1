"""A local W&B server with what a run, an artifact and a view need; it can refuse, hang and drop connections."""

from __future__ import annotations

import base64
import http.server
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.local_servers import Silent, running

KEY = "k" * 40


class Server(http.server.ThreadingHTTPServer):
    """`runs` has the uploads by id: number of starts, history by line, summary, config, files."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.fails: str | None = None  # hang | 401 | 500 | drop
        self.over = threading.Event()  # ends what hangs
        self.asked: list[str] = []  # GraphQL operations and paths
        self.keys: list[str | None] = []  # sent with them
        self.runs: dict[str, dict[str, Any]] = {}
        self.views: list[dict[str, Any]] = []
        self.artifacts: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that went away

    def run(self, name: str) -> dict[str, Any]:
        return self.runs.setdefault(name, {"begun": 0, "history": {}, "summary": {}, "about": {}, "complete": False})

    def answer(self, operation: str, given: dict[str, Any]) -> dict[str, Any]:
        """The data of a GraphQL operation; empty where the client does well without."""
        project = {"id": "p1", "name": "project", "entityName": "me", "entity": {"id": "e1", "name": "me"}}
        if operation in ("Viewer", "GetDefaultEntity"):
            return {"viewer": {"id": "u1", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}}
        if operation == "RunResumeStatus":
            run = self.runs.get(given["name"])
            return {"model": {**project, "bucket": run and self.resumable(given["name"], run)}}
        if operation == "UpsertBucket":
            run = self.run(given["name"])
            run["begun"] += 1
            run["about"].update({key: value for key, value in given.items() if value is not None})
            bucket = {"id": given["name"], "name": given["name"], "displayName": given.get("displayName")}
            bucket |= {"project": project, "historyLineCount": len(run["history"]), "config": "{}"}
            return {"upsertBucket": {"bucket": bucket, "inserted": run["begun"] == 1}}
        if operation == "CreateRunFiles":
            files = [{"name": name, "uploadUrl": f"{self.url}/put/{given['run']}/{name}"} for name in given["files"]]
            return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}
        if operation == "CreateArtifact":
            self.artifacts.append(given["input"])
            made = {"id": f"a{len(self.artifacts)}", "state": "PENDING", "artifactSequence": {"latestArtifact": None}}
            return {"createArtifact": {"artifact": made}}
        if operation == "CreateArtifactManifest":
            file = {"id": "f1", "uploadUrl": f"{self.url}/put/manifest", "uploadHeaders": []}
            return {"createArtifactManifest": {"artifactManifest": {"id": "m1", "file": file}}}
        if operation == "CreateArtifactFiles":
            nodes = [
                {
                    "storagePath": file["name"],
                    "uploadUrl": f"{self.url}/put/{file['name']}",
                    "uploadHeaders": [],
                    "uploadMultipartUrls": None,
                    "artifact": {"id": file["artifactID"]},
                }
                for file in given["input"]["artifactFiles"]
            ]
            return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}
        if operation == "CommitArtifact":
            return {"commitArtifact": {"artifact": {"id": given["artifactID"], "digest": "d"}}}
        if operation.lower().startswith("upsertview"):
            self.views.append(given)
            view = {"id": f"v{len(self.views)}", "name": given.get("name"), "project": project}
            view |= {"type": given["type"], "displayName": given["displayName"], "spec": given["spec"]}
            return {"upsertView": {"view": {**view, "description": "", "updatedAt": None}, "inserted": True}}
        if operation == "GetProjects":
            node = {**project, "createdAt": "2026-01-01T00:00:00Z", "isBenchmark": False, "user": None}
            return {"models": {"pageInfo": {"hasNextPage": False, "endCursor": None}, "edges": [{"node": node}]}}
        if operation == "ProjectInternalId":
            return {"project": {"internalId": "p1", "id": "p1"}}
        return {"project": None}

    @staticmethod
    def resumable(name: str, run: dict[str, Any]) -> dict[str, Any]:
        last = run["history"].get(max(run["history"], default=None), {})
        return {
            **{"id": name, "name": name, "displayName": name, "tags": [], "notes": "", "config": "{}"},
            **{"logLineCount": 0, "eventsLineCount": 0, "historyLineCount": len(run["history"])},
            **{"summaryMetrics": json.dumps(run["summary"]), "eventsTail": "[]"},
            "historyTail": json.dumps([json.dumps(last)] if last else []),
            "wandbConfig": json.dumps({"t": 1}),
        }


class Answers(Silent):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        found = re.search(rb"(?:query|mutation)\s+(\w+)", body) if self.path == "/graphql" else None
        operation = found[1].decode() if found else self.path
        self.server.asked.append(operation)
        self.server.keys.append(self.headers.get("Authorization"))
        if self._failed():
            return None
        if self.path == "/graphql":
            given = json.loads(body)
            return self.say({"data": self.server.answer(operation, given.get("variables") or {})})
        if self.path.endswith("/file_stream"):
            self._streamed(json.loads(body))
        return self.say({})

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(self.path)
        if not self._failed():
            self.server.files[self.path.removeprefix("/put/")] = body
            self.say({})

    do_GET = do_PUT

    def _failed(self) -> bool:
        fails, expected = self.server.fails, "Basic " + base64.b64encode(f"api:{KEY}".encode()).decode()
        if fails == "hang":
            self.server.over.wait(120)
        if fails in ("hang", "drop"):
            self.close_connection = True
            return True
        if fails:
            self.say({"errors": [{"message": "no"}]}, int(fails))
            return True
        if self.path == "/graphql" and self.headers.get("Authorization") != expected:
            self.say({"errors": [{"message": "unauthorised"}]}, 401)
            return True
        return False

    def _streamed(self, sent: dict[str, Any]) -> None:
        run = self.server.run(self.path.split("/")[-2])
        run["complete"] = run["complete"] or sent.get("complete", False)
        for name, part in (sent.get("files") or {}).items():
            lines = [json.loads(line) for line in part["content"]] if name.endswith(".json") or "jsonl" in name else []
            if name == "wandb-history.jsonl":
                run["history"].update({part["offset"] + i: line for i, line in enumerate(lines)})
            elif name == "wandb-summary.json":
                run["summary"] = lines[-1]


@contextmanager
def wandb_on_loopback() -> Iterator[Server]:
    server = Server()
    with running(server):
        try:
            yield server
        finally:
            server.over.set()  # who hangs is let go

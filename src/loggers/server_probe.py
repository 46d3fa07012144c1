"""Is there a W&B server that answers? Asked in seconds, before W&B's own client tries for minutes."""

from __future__ import annotations

import threading
import time

import httpx
import wandb


def has_key() -> bool:
    """Whether W&B finds a key, without asking a person or a server for one."""
    try:
        return wandb.login(prompt=False, verify=False)
    except Exception:  # a malformed key or settings file is no key
        return False


class Question:
    """Whether the configured server answers; asked beside whatever else is done.

    Without the key, so that nothing secret leaves before W&B's client has checked the certificate. Any answer but a
    server's error will do: what is wrong with the key, the client says itself, and at once.

    Args:
        patience: seconds from now, after which no answer is one.
    """

    def __init__(self, patience: float) -> None:
        settings = wandb.setup().settings
        url = settings.base_url
        proxy = settings.https_proxy if url.startswith("https") else settings.http_proxy
        self._said: list[str | None] = [f"no answer from {url} within {patience:g} s"]
        self._until = time.monotonic() + patience
        # In a thread, also since looking up a name can take longer than any timeout of a connection.
        self._asking = threading.Thread(target=_ask, args=(url, proxy, patience, self._said), daemon=True)
        self._asking.start()

    def absence(self) -> str | None:
        """Why the server cannot be used; None where it answers. Waits for what is left of the patience."""
        self._asking.join(max(0.0, self._until - time.monotonic()))
        return self._said[-1]


def absence(patience: float) -> str | None:
    """Why the configured server cannot be used, found out within `patience` seconds; None where it answers."""
    return Question(patience).absence()


def _ask(url: str, proxy: str | None, patience: float, said: list[str | None]) -> None:
    try:
        with httpx.Client(timeout=patience, verify=False, proxy=proxy) as client:
            status = client.post(f"{url}/graphql", json={"query": "query Absence { __typename }"}).status_code
        said.append(f"{url} answers with HTTP {status}" if status >= 500 else None)
    except httpx.TimeoutException:
        pass  # as if nothing had come back yet
    except Exception as error:
        said.append(f"{url} cannot be reached: {error or type(error).__name__}")

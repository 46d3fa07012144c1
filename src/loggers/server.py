"""Is there a W&B server that answers? Asked in seconds, before W&B's own client tries for minutes."""

from __future__ import annotations

import threading

import httpx
import wandb


def has_key() -> bool:
    """Whether W&B finds a key, without asking a person or a server for one."""
    try:
        return wandb.login(prompt=False, verify=False)
    except Exception:  # a malformed key or settings file is no key
        return False


def absence(patience: float) -> str | None:
    """Why the configured server cannot be used, found out within `patience` seconds; None where it answers.

    Without the key, so that nothing secret leaves before W&B's client has checked the certificate. Any answer but a
    server's error will do: what is wrong with the key, the client says itself, and at once.
    """
    settings = wandb.setup().settings
    proxy = settings.https_proxy if settings.base_url.startswith("https") else settings.http_proxy
    said = [f"no answer from {settings.base_url} within {patience:g} s"]
    # In a thread, since looking up a name can take longer than any timeout of a connection.
    asking = threading.Thread(target=_ask, args=(settings.base_url, proxy, patience, said), daemon=True)
    asking.start()
    asking.join(patience)
    return said[-1]


def _ask(url: str, proxy: str | None, patience: float, said: list[str | None]) -> None:
    try:
        with httpx.Client(timeout=patience, verify=False, proxy=proxy) as client:
            status = client.post(f"{url}/graphql", json={"query": "query Absence { __typename }"}).status_code
        said.append(f"{url} answers with HTTP {status}" if status >= 500 else None)
    except httpx.TimeoutException:
        pass  # as if nothing had come back yet
    except Exception as error:
        said.append(f"{url} cannot be reached: {error or type(error).__name__}")

"""Whether a W&B server answers: found out in seconds, before W&B's own client tries for minutes."""

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


class ServerProbe:
    """Asks the configured server, in the background, whether it answers.

    Without the key, so that nothing secret leaves before W&B's client has checked the certificate. Any answer but a
    server error will do: W&B's client itself says what is wrong with the key, and at once.

    Args:
        patience: seconds from now, after which the server counts as unavailable.
    """

    def __init__(self, patience: float) -> None:
        settings = wandb.setup().settings
        self._url, self._patience = settings.base_url, patience
        self._proxy = settings.https_proxy if self._url.startswith("https") else settings.http_proxy
        self._reason: str | None = f"no answer from {self._url} within {patience:g} s"
        self._until = time.monotonic() + patience
        # In a thread, also since looking up a name can take longer than any time-out of a connection.
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def unavailable_reason(self) -> str | None:
        """Why the server cannot be used; None where it answers. Waits for the rest of the patience."""
        self._thread.join(max(0.0, self._until - time.monotonic()))
        return self._reason

    def _ask(self) -> None:
        try:
            with httpx.Client(timeout=self._patience, verify=False, proxy=self._proxy) as client:
                status = client.post(f"{self._url}/graphql", json={"query": "query Absence { __typename }"}).status_code
            self._reason = f"{self._url} answers with HTTP {status}" if status >= 500 else None
        except httpx.TimeoutException:
            pass  # the reason is still that there was no answer
        except Exception as error:
            self._reason = f"{self._url} cannot be reached: {error or type(error).__name__}"

"""push=owner/name: upload of a finished export to the Hugging Face hub, or to the server in HF_ENDPOINT."""

import os
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from src.utils.errors import InputError, first_line


def check_name(repository: str) -> None:
    """Raises InputError where a repository's name is not owner/name."""
    try:
        validate_repo_id(repository)
        if repository.count("/") != 1:
            raise HFValidationError("expected one slash")
    except HFValidationError as error:
        raise InputError(f"push expects owner/name of the hub, found {repository!r}") from error


def push(folder: Path, repository: str, private: bool) -> str:
    """Creates the repository if necessary and uploads all files as one commit; returns its address.

    Raises InputError on failure; the folder is kept.
    """
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Export of a training run")
    except Exception as error:  # the hub's client raises its own, the HTTP library's and the system's errors
        raise InputError(
            f"the export in {folder} is complete, but push={repository} failed ({first_line(error)}): once the hub "
            f"answers and `hf auth login` has been done, `hf upload {repository} {folder}` uploads it"
        ) from error
    return f"{api.endpoint}/{repository}"

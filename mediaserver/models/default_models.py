"""The default models, which a new installation pulls to replace the built-in models."""

from __future__ import annotations

from rich.console import Console

from mediaserver.errors import UserError
from mediaserver.models.fetch import Places
from mediaserver.models.files import files_in_use, origin
from mediaserver.models.pull import pull
from mediaserver.models.sources import DEFAULTS
from mediaserver.settings.model import Settings


def missing_defaults(settings: Settings) -> list[str]:
    """Returns the default models for tasks that have a built-in model or none.

    The list is empty if a setting chooses models or the pose method. Raises `ModelError`.
    """
    chosen = (settings.models, settings.detect_model, settings.pose_model, settings.pose_method)
    if any(choice is not None for choice in chosen):
        return []
    files = files_in_use(settings)
    return [
        name
        for task, name in DEFAULTS.items()
        if task not in files or origin(files[task], task) == "built in"
    ]


def pull_missing(settings: Settings, console: Console) -> None:
    """Pulls the missing default models, with a progress bar. Raises `ModelError`.

    If they cannot be fetched, one line reports it, and the built-in models stay in use.
    """
    names = missing_defaults(settings)
    if not names:
        return
    places = Places(settings.model_mirror, settings.model_cdn)
    try:
        pull(names, places, accept_licence=False, console=console)
    except UserError as exc:
        console.print(f"[yellow]No models for the real world:[/] {exc}", highlight=False)

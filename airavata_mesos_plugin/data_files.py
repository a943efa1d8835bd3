"""Where the files that come with the package lie: templates, example settings and interface definitions."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from airavata_mesos_plugin.errors import ConfigurationError

_PACKAGE = Path(__file__).resolve().parent


def directory(name: Literal["templates", "conf", "thrift"], package: Path = _PACKAGE) -> Path:
    """The folder of that name: inside an installed package, or at the top of a source checkout.

    Raises ConfigurationError when neither place has it.
    """
    installed = package / "data" / name
    checkout = package.parent / name
    if installed.is_dir():
        return installed
    # Without the project file this could be any folder that happens to lie beside the package.
    if checkout.is_dir() and (package.parent / "pyproject.toml").is_file():
        return checkout
    raise ConfigurationError(
        f"the folder {name!r} of airavata-mesos-plugin is missing: looked for {installed} and {checkout}",
        advice="install the package again",
    )

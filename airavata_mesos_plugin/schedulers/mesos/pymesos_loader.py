"""Loads pymesos 0.3.15 in a way that does nothing to the rest of the process.

Importing pymesos as published

- needs http-parser, which cannot be built for Python 3.11 and later;
- replaces the handler of SIGINT, and therefore fails in every thread but the main one;
- adds a handler to a logger, which writes to stderr.

None of that is needed for what we use of it: the driver's calls and callbacks. So its modules are read from
where pip has put them, and run with an import function of their own, which gives them stand-ins for
``http_parser`` and ``signal``. No module of that name is touched for anybody else, and nobody else's pymesos
is.
"""

from __future__ import annotations

import builtins
import importlib.util
import signal as real_signal
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from airavata_mesos_plugin.errors import ConfigurationError

VERSION = "0.3.15"
INSTALL = f"pip install six addict && pip install --no-deps pymesos=={VERSION}"
"""pip cannot be told in a requirement to leave the dependencies of one package out."""

_lock = threading.Lock()


class _NoParser:
    """In place of http_parser's: the connections of pymesos are not used."""

    def __init__(self, *_args: object, **_options: object) -> None:
        raise RuntimeError("the connections of pymesos are not used here")


_STAND_INS: Mapping[str, object] = {
    "http_parser.http": SimpleNamespace(HttpParser=_NoParser),
    # What is called at import: it would take SIGINT away from the program.
    "signal": SimpleNamespace(
        SIGINT=real_signal.SIGINT, signal=lambda _number, _handler: real_signal.default_int_handler
    ),
}


class _Library:
    """The modules of one installed package, run apart from the interpreter's own."""

    def __init__(self, folder: Path, stand_ins: Mapping[str, object]) -> None:
        self._folder = folder
        self._stand_ins = stand_ins
        self._modules: dict[str, ModuleType] = {}

    def load(self, name: str) -> ModuleType:
        """One module of the package. Repeatable."""
        if name in self._modules:
            return self._modules[name]
        path = self._folder / f"{name}.py"
        module = ModuleType(f"pymesos.{name}")
        module.__file__ = str(path)
        module.__dict__["__package__"] = "pymesos"
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self._import}
        self._modules[name] = module
        code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102 - the code of an installed package, as an import runs it
        return module

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        if level == 1 and name:
            return self.load(name)
        if name in self._stand_ins:
            return self._stand_ins[name]
        return builtins.__import__(name, globals, locals, fromlist or (), level)


def load_driver() -> type[Any]:
    """pymesos' ``MesosSchedulerDriver``. Repeatable, in any thread.

    Raises ConfigurationError when pymesos, or what it needs, is not installed.
    """
    with _lock:
        return _load()


def load_whole_driver(parser: type[Any]) -> type[Any]:
    """The same with connections of its own, which parse HTTP with ``parser``; for comparisons."""
    return _fresh({**_STAND_INS, "http_parser.http": SimpleNamespace(HttpParser=parser)})


@lru_cache(maxsize=1)
def _load() -> type[Any]:
    return _fresh(_STAND_INS)


def _fresh(stand_ins: Mapping[str, object]) -> type[Any]:
    found = importlib.util.find_spec("pymesos")
    if found is None or not found.submodule_search_locations:
        raise ConfigurationError("a cluster of the kind mesos needs pymesos", advice=INSTALL)
    try:
        module = _Library(Path(found.submodule_search_locations[0]), stand_ins).load("scheduler")
        driver: type[Any] = module.MesosSchedulerDriver
    except (ImportError, OSError, SyntaxError, AttributeError) as error:
        raise ConfigurationError(f"pymesos cannot be loaded: {error}", advice=INSTALL) from error
    return driver

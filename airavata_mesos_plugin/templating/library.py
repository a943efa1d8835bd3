"""The templates themselves: found by name, filled in, and their mistakes told by template and line.

Templates are Jinja, in a sandbox and with undefined values refused. A user's values reach a shell only
through the filter ``shell_quote``, and a job configuration only through ``tojson``.
"""

from __future__ import annotations

import json
import re
import shlex
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import jinja2
from jinja2.sandbox import SandboxedEnvironment

from airavata_mesos_plugin import data_files
from airavata_mesos_plugin.errors import ConfigurationError
from airavata_mesos_plugin.templating.job import JobContext
from airavata_mesos_plugin.templating.wrapper import WrapperContext

_TEMPLATE_NAME = re.compile(r"[A-Za-z0-9_\-]+")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")


class TemplateLibrary:
    """The templates of the package, overridden by name by those of an administrator."""

    def __init__(self, directories: Sequence[Path] = ()) -> None:
        """``directories`` are searched in their order, before the package. None has to exist."""
        self._searched = (*directories, data_files.directory("templates"))
        self._environment = SandboxedEnvironment(
            loader=jinja2.ChoiceLoader([jinja2.FileSystemLoader(path) for path in self._searched]),
            undefined=jinja2.StrictUndefined,
            autoescape=False,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._environment.filters["tojson"] = _to_json
        self._environment.filters["shell_quote"] = _shell_quote

    def render_job(self, kind: str, template: str, context: JobContext) -> dict[str, object]:
        """The job configuration for a scheduler of ``kind``, from its template of that name.

        Raises ConfigurationError that names template, line and what is wrong. Repeatable.
        """
        for part in (kind, template):
            if not _TEMPLATE_NAME.fullmatch(part):
                raise ConfigurationError(
                    f"{part!r} is not the name of a template", advice="use letters, digits, _ and -"
                )
        name = f"{kind}/{template}.json.j2"
        text = self._render(name, _variables(context))
        try:
            document = json.loads(text, parse_constant=_no_constant)
        except ValueError as error:
            raise _not_json(name, text, error) from error
        if not isinstance(document, dict):
            raise ConfigurationError(
                f"template {name}: the result is a JSON {type(document).__name__}, not an object",
                advice="the outermost brackets must be { and }",
            )
        return merged(document, context.mesos if kind == "mesos" else context.aurora)

    def render_wrapper(self, context: WrapperContext) -> str:
        """The shell script that runs the job's script in its sandbox. Repeatable.

        Names that are not UTF-8 keep their surrogates: encode the text with ``surrogateescape``.
        Raises ConfigurationError.
        """
        for name in context.environment:
            if not _VARIABLE.fullmatch(name):
                raise ConfigurationError(f"{name!r} is not the name of an environment variable")
        return self._render("wrapper/run.sh.j2", _variables(context))

    def render_srun(self) -> str:
        """The ``srun`` that a job finds in its PATH. Repeatable. Raises ConfigurationError."""
        return self._render("wrapper/srun.sh.j2", {})

    def render_parallel(self) -> dict[str, str]:
        """The programs of a parallel job, by their names below the control directory. Repeatable.

        Raises ConfigurationError.
        """
        return {
            f"bin/{name}": self._render("wrapper/parallel.sh.j2", {"part": part})
            for name, part in (("node", "node"), ("remote-start", "start"))
        }

    def _render(self, name: str, variables: Mapping[str, object]) -> str:
        try:
            return self._environment.get_template(name).render(variables)
        except jinja2.TemplateSyntaxError as error:
            raise ConfigurationError(
                f"template {error.name or name}, line {error.lineno}: {error.message}",
                advice="correct the template",
            ) from error
        except jinja2.TemplateNotFound as error:
            searched = ", ".join(str(path) for path in self._searched)
            raise ConfigurationError(
                f"there is no template {error.name or name} in {searched}",
                advice="add it, or change the queue's setting template",
            ) from error
        # A template is a program of an administrator: whatever it raises is an error of the template.
        except Exception as error:
            place = _template_line(error, self._searched)
            raise ConfigurationError(
                f"template {place or name}: {error}", advice="correct the template"
            ) from error


def _variables(context: JobContext | WrapperContext) -> dict[str, object]:
    return {one.name: getattr(context, one.name) for one in fields(context)}


def merged(document: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    """A document with members of another put over its own.

    Objects are merged, other values replaced; None takes a member away. Metadata is added to what is there,
    since a job is known again by it.
    """
    made = dict(document)
    for name, value in over.items():
        before = made.get(name)
        if value is None:
            made.pop(name, None)
        elif isinstance(before, Mapping) and isinstance(value, Mapping):
            made[name] = merged(before, value)
        elif name == "metadata" and isinstance(before, list) and isinstance(value, (list, tuple)):
            made[name] = [*before, *value]
        else:
            made[name] = value
    return made


def _to_json(value: object) -> str:
    # Jinja's own filter writes HTML escapes, which are part of the text where no browser undoes them.
    if isinstance(value, jinja2.Undefined):
        str(value)  # raises what tells the name
    return json.dumps(value, allow_nan=False)


def _shell_quote(value: object) -> str:
    text = str(value)
    if "\0" in text:
        raise ValueError("a value with a NUL character cannot be given to a shell")
    return shlex.quote(text)


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON number")


def _not_json(name: str, text: str, error: ValueError) -> ConfigurationError:
    if isinstance(error, json.JSONDecodeError):
        line = text.splitlines()[error.lineno - 1].strip() if text.strip() else ""
        detail = f"line {error.lineno} of the result, {line!r}: {error.msg}"
    else:
        detail = str(error)
    return ConfigurationError(
        f"template {name}: the result is not JSON: {detail}",
        advice="look for a missing comma or quote, and write values with the filter tojson",
    )


def _template_line(error: BaseException, directories: Sequence[Path]) -> str:
    """Place inside the templates where ``error`` arose, innermost; empty if it arose outside."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        for directory in directories:
            if Path(frame.filename).is_relative_to(directory):
                return f"{Path(frame.filename).relative_to(directory)}, line {frame.lineno}"
    return ""

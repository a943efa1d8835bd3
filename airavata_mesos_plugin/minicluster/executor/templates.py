"""Template variables of a Thermos configuration: `{{mesos.instance}}` and the like (Aurora 0.22).

The configuration library of Thermos takes any text between `{{` and the next `}}` for an address. `{{}}`,
single braces and an opening pair without a closing one are ordinary text.
"""

from __future__ import annotations

import re

_TEMPLATE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_ADDRESS = re.compile(r"\w+(?:\.\w+|\[[\w\-]+\])*", re.ASCII)
_STEP = re.compile(r"[\w\-]+")
_MAX_DEPTH = 16


class BadAddress(ValueError):
    """The text between the braces is not an address, for instance because it has blanks in it."""


def _walk(address: str, scope: dict[str, object]) -> object:
    value: object = scope
    for step in _STEP.findall(address):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def _lookup(address: str, scopes: list[dict[str, object]]) -> str | None:
    for scope in scopes:
        value = _walk(address, scope)
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (str, int, float)):
            return str(value)
    return None


def bind_text(text: str, scopes: list[dict[str, object]], unbound: set[str], depth: int = 0) -> str:
    """`text` with every known address replaced, innermost scope first.

    Addresses that no scope knows are left in the text and added to `unbound`. `{{&name}}` becomes the
    literal `{{name}}`. Raises BadAddress for text between braces that is no address.
    """
    if "{{" not in text:
        return text

    def replace(match: re.Match[str]) -> str:
        address = match.group(1)
        if not address:
            return match.group(0)
        if address.startswith("&") and _ADDRESS.fullmatch(address[1:]):
            return "{{" + address[1:] + "}}"
        if not _ADDRESS.fullmatch(address):
            raise BadAddress(f"Invalid reference: {match.group(0)}")
        value = _lookup(address, scopes)
        if value is None or depth >= _MAX_DEPTH:
            unbound.add(match.group(0))
            return match.group(0)
        return bind_text(value, scopes, unbound, depth + 1)

    return _TEMPLATE.sub(replace, text)


def bind_tree(value: object, scopes: list[dict[str, object]], unbound: set[str]) -> object:
    """`bind_text` on every text inside nested lists and objects; the members of an object are a scope for
    its texts."""
    if isinstance(value, str):
        return bind_text(value, scopes, unbound)
    if isinstance(value, list):
        return [bind_tree(item, scopes, unbound) for item in value]
    if isinstance(value, dict):
        # Bindings stay in front: a member named like one of them must not hide it.
        inner = [scopes[0], value, *scopes[1:]]
        return {key: bind_tree(item, inner, unbound) for key, item in value.items()}
    return value

"""How a documented thing is called, as the Python of a reference page."""

from importlib import import_module

import griffe

_WIDTH = 92


def signature(name: str, one: griffe.Object) -> str:
    """As Python would have it written, with the quotes of our own source."""
    written = _signature(name, one)
    return written if '"' in written else written.replace("'", '"')


def _signature(name: str, one: griffe.Object) -> str:
    if isinstance(one, griffe.Function):
        return f"{_call(name, one)} -> {one.returns}"
    if isinstance(one, griffe.Class):
        return _class(name, one)
    assert isinstance(one, griffe.Attribute)
    if is_property(one):
        return f"{name}: {one.annotation}"
    if is_alias(one):
        return f"{name} = {one.value}"
    value = getattr(import_module(one.module.path), one.name)
    is_plain = isinstance(
        value, str | int | float | tuple
    )  # others may have an address in their repr
    return f"{name} = {_written(value)}" if is_plain else f"{name}: {one.annotation}"


def _class(name: str, one: griffe.Class) -> str:
    """As it is called; a protocol, an error, an enumeration and a configuration are not."""
    lineage = [one, *hidden_bases(one)]
    bases = [str(base) for each in lineage for base in each.bases if str(base)[0] != "_"]
    if bases:
        return f"class {name}({', '.join(bases)})"
    return f"class {name}" if is_configuration(one) else _call(f"class {name}", one)


def _call(head: str, one: griffe.Function | griffe.Class) -> str:
    words: list[str] = []
    for parameter in one.parameters:
        if parameter.name in {"self", "cls"}:
            continue
        if parameter.kind is griffe.ParameterKind.keyword_only and "*" not in words:
            words.append("*")
        words.append(_parameter(parameter))
    line = f"{head}({', '.join(words)})"
    if len(line) <= _WIDTH:
        return line
    return f"{head}(\n" + "".join(f"    {word},\n" for word in words) + ")"


def _parameter(one: griffe.Parameter) -> str:
    marks = {"variadic positional": "*", "variadic keyword": "**"}
    mark = marks.get(one.kind.value if one.kind else "", "")
    said = f"{mark}{one.name}: {one.annotation}" if one.annotation else f"{mark}{one.name}"
    if one.default is None or mark:
        return said
    return f"{said} = {_resolved(one.default)}"


def _resolved(default: str | griffe.Expr) -> str:
    """A default as it stands there, or the value of a constant of fedge's that is named there."""
    if isinstance(default, griffe.ExprName) and default.canonical_path.startswith("fedge."):
        module, _, name = default.canonical_path.rpartition(".")
        value = getattr(import_module(module), name)
        return repr(value) if isinstance(value, str | int | float | None) else str(default)
    return str(default)


def is_configuration(one: griffe.Class) -> bool:
    return one.name.endswith("Config") and "dataclass" in one.labels


def hidden_bases(one: griffe.Class) -> list[griffe.Class]:
    """Its bases that nobody is to know of."""
    return [base for base in one.mro() if base.name.startswith("_")]


def is_property(one: griffe.Object) -> bool:
    return bool({"property", "cached"} & one.labels)


def is_alias(one: griffe.Attribute) -> bool:
    """Whether it is a name of a type."""
    return "TypeAlias" in str(one.annotation) or (one.name[0].isupper() and not one.name.isupper())


def _written(value: object) -> str:
    line = repr(value)
    if len(line) <= _WIDTH or not isinstance(value, tuple):
        return line
    return "(\n" + "".join(f"    {one!r},\n" for one in value) + ")"

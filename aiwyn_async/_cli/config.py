"""``aiwyn config show``: the options of the client, and where each is set."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

from aiwyn_async._cli.errors import ExitCode
from aiwyn_async._cli.options import Flag
from aiwyn_async._cli.output import replace_control_characters, write_data, write_message
from aiwyn_async._core.profile import ENVIRONMENT_PREFIX, SECRETS, profile_path
from aiwyn_async._http.messages import encode_json
from aiwyn_async.config import OBJECTS, Config, option_values
from aiwyn_async.errors import ConfigurationError

MASK: Final = "********"
_USER: Final = re.compile(r"//.*@")
_QUERY: Final = re.compile(r"\?.*")


class _Option(msgspec.Struct, frozen=True):
    """An option: its value, with credentials masked, and its source."""

    value: Any
    source: str


def show(*, json: Flag = False) -> int:
    """Print each option of the client: its value and its source.

    The source is an environment variable, a profile, or default. Credentials and headers are masked. Exit
    code 2 means that the client would refuse the options; the reason is on stderr.

    Args:
        json: Print one JSON object, by option.
    """
    note_unknown_variables()
    path = profile_path()
    write_message(f"profile file: {path}{'' if path.exists() else ', which does not exist'}")
    try:
        config = Config.load()
        error = None
    except ConfigurationError as refused:
        config, error = None, refused
    options = _options(config)
    if json:
        write_data(encode_json(options))
    else:
        _write_table(options)
    if error is not None:
        raise error
    return ExitCode.OK


def note_unknown_variables() -> None:
    """Name the variables AIWYN_... that set nothing: a misspelt one is ignored."""
    names = {"config", "log", "profile", *Config.__struct_fields__} - OBJECTS
    known = {f"{ENVIRONMENT_PREFIX}{name.upper()}" for name in names}
    for variable in sorted(os.environ):
        if variable.upper().startswith(ENVIRONMENT_PREFIX) and variable not in known:
            near = difflib.get_close_matches(variable.upper(), known, n=1, cutoff=0.8)
            hint = f"; did you mean {near[0]}?" if near else ""
            write_message(f"note: {variable} is set, but no option has this name{hint}")


def _options(config: Config | None) -> dict[str, _Option]:
    """Return all options by name; as they are set, if the client refuses them."""
    values = option_values()
    options: dict[str, _Option] = {}
    for field in msgspec.structs.fields(Config):
        name = field.name
        set_value, source = values.get(name, (_default(field), "default"))
        value = set_value if config is None else getattr(config, name)
        options[name] = _Option(_masked(name, value), source)
    return options


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return None if field.default is msgspec.NODEFAULT else field.default


def _masked(name: str, value: Any) -> Any:
    if value is None or name not in {*SECRETS, *OBJECTS, "base_url", "proxy"}:
        return msgspec.to_builtins(value)
    if name in SECRETS:
        return MASK
    if name == "headers":
        is_mapping = isinstance(value, Mapping)
        return dict.fromkeys(map(str, cast("Mapping[Any, Any]", value)), MASK) if is_mapping else MASK
    if name in OBJECTS:
        return type(value).__name__
    # A password can contain a slash, and a query a key.
    return _QUERY.sub(f"?{MASK}", _USER.sub(f"//{MASK}@", str(value)))


def _write_table(options: Mapping[str, _Option]) -> None:
    values = {name: _text(option.value) for name, option in options.items()}
    name_width, value_width = max(map(len, values)), max(map(len, values.values()))
    for name, option in options.items():
        line = f"{name:{name_width}}  {values[name]:{value_width}}  {option.source}"
        write_data(replace_control_characters(line).encode("utf-8", "replace"))


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else encode_json(value).decode()

"""What the generated types are made of: records with their fields as attributes, and errors."""

from __future__ import annotations

import functools
from typing import Any, ClassVar, Mapping, TypeVar

R = TypeVar("R", bound="Record")


class _Unset:
    """The value of an argument that was not given, where `None` is a value."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Any = _Unset()


def given(params: Mapping[str, Any], required: set[str]) -> dict[str, Any]:
    """The parameters that were given."""
    return {key: value for key, value in params.items() if key in required or (value is not None and value is not UNSET)}


class Record:
    """An object of the interface. Its fields are attributes; a field that a node does not send is `None`.

    Fields that a newer node sends and this package does not know are attributes, too.
    """

    _nested: ClassVar[dict[str, str]] = {}

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.__dict__["_raw"] = raw

    @classmethod
    @functools.cache
    def _fields(cls) -> frozenset[str]:
        return frozenset(name for name in cls.__annotations__ if not name.startswith("_"))

    def __getattr__(self, name: str) -> Any:
        raw: Mapping[str, Any] = self.__dict__["_raw"]
        # `from` is a keyword of Python: its attribute is `from_`.
        key = name[:-1] if name.endswith("_") and name not in raw else name
        if key not in raw:
            if name in self._fields():
                return None
            raise AttributeError(f"{type(self).__name__} has no field {name!r}")
        value = raw[key]
        if kind := self._nested.get(key):
            from ._generated import RECORDS

            value = _build(RECORDS[kind], value)
        self.__dict__[name] = value
        return value

    def __getitem__(self, key: str) -> Any:
        return self.__dict__["_raw"][key]

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.to_dict() == other.to_dict()  # type: ignore[attr-defined]

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        fields = ", ".join(f"{key}={value!r}" for key, value in self.to_dict().items())
        return f"{type(self).__name__}({fields})"

    def to_dict(self) -> dict[str, Any]:
        """The object as it was received."""
        return dict(self.__dict__["_raw"])


def _build(kind: type[R], value: Any) -> Any:
    if isinstance(value, list):
        return [_build(kind, item) for item in value]
    return kind(value) if isinstance(value, dict) else value


class ClawsterError(Exception):
    """An error that a node answered with."""

    def __init__(self, message: str, code: int = 0, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        data = data or {}
        self.message = message
        self.code = code
        self.kind: str | None = data.get("kind")
        """What is wrong, for programs: `redis_unavailable`, `not_joined`, …"""
        self.retryable: bool = bool(data.get("retryable"))
        """Whether the same call may succeed later without any other change."""
        self.retry_after_ms: int | None = data.get("retry_after_ms")
        self.detail: Any = data.get("detail")


class ConnectionLost(Exception):
    """The connection to the node broke. A call that was waiting may have taken effect."""


class NoNode(Exception):
    """No running node was found, or several and none was chosen."""

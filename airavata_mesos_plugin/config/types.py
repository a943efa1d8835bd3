"""What all settings have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


class Settings(BaseModel):
    """A group of settings: unknown entries are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SecretSource(Settings):
    """Where a secret stands; the secret itself is never part of the settings."""

    file: Path | None = Field(
        None, description="file with the secret in its first line; read when it changes"
    )
    variable: str | None = Field(None, min_length=1, description="environment variable with the secret")

    @model_validator(mode="after")
    def _one_place(self) -> SecretSource:
        if (self.file is None) == (self.variable is None):
            raise ValueError("needs exactly one of file and variable")
        return self


def base_url(text: str) -> str:
    """An HTTP address without a slash at its end. Raises ValueError."""
    if not text.startswith(("http://", "https://")) or len(text.split("://", 1)[1]) == 0:
        raise ValueError(f"{text!r} is not an http:// or https:// address")
    if "@" in text.split("://", 1)[1].split("/", 1)[0]:
        # An address appears in errors and logs; credentials must not.
        raise ValueError("an address must not hold a user name or password")
    return text.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(base_url)]

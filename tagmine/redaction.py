"""Keep credentials out of what is printed and written: those of URLs and of the environment."""

from __future__ import annotations

import os
import re

from tagmine.errors import ConfigurationError

_USER = re.compile(r"(?<=://)[^\s/@'\"]+@")
# What follows "?" in a signed URL is its key; a glob's "?" has no "=" behind it.
_QUERY = re.compile(r"(?<=\S)\?[^\s'\"<>?]*=[^\s'\"<>]*")
_SECRET_NAMES = re.compile(
    r"(SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL|CONNECTION_STRING|(ACCESS|ACCOUNT|API|PRIVATE)_KEY)",
    re.IGNORECASE,
)
_SHORTEST_SECRET = 6
_HIDDEN = "…"
_ENVIRONMENT = (
    "Credentials are taken from the environment, such as AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY."
)


def redact(text: str) -> str:
    """The text without users, passwords and queries of URLs, or values of secret variables."""
    for name, value in os.environ.items():
        if _SECRET_NAMES.search(name) and len(value) >= _SHORTEST_SECRET:
            text = text.replace(value, _HIDDEN)
    return redact_url(text)


def redact_url(url: str) -> str:
    """A URL as it may be recorded: without user, password and query."""
    if "://" not in url:
        return url
    return _QUERY.sub("", _USER.sub("", url))


def refuse_credentials(url: str, where: str) -> None:
    """Stop when a URL carries a user, a password or a query.

    Args:
        url: the URL.
        where: what it was given for, such as "--out".

    Raises:
        ConfigurationError: which does not repeat them.
    """
    refuse_user(url, where)
    if "://" in url and _QUERY.search(url):
        raise ConfigurationError(
            f"{where} {redact(url)}: the URL has a query, which would end up in files and logs. "
            f"Leave it out. {_ENVIRONMENT}"
        )


def refuse_user(url: str, where: str = "") -> None:
    """Stop when a URL carries a user or a password, without repeating them.

    Raises:
        ConfigurationError: for such a URL.
    """
    if _USER.search(url):
        raise ConfigurationError(
            f"{where} {redact(url)}: the URL carries a user or a password. Leave them out. "
            f"{_ENVIRONMENT}".strip()
        )

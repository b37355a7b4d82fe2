"""How the page is served: for the people of this machine, or for everybody."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from rag_app.errors import InputError, one_line

__all__ = [
    "AUTH_VARIABLE",
    "MCP_INSTALL",
    "PROXY_VARIABLE",
    "PageSettings",
    "Rate",
    "check_mcp",
    "public_page",
    "read_accounts",
    "read_proxies",
]

AUTH_VARIABLE = "RAG_APP_AUTH"
PROXY_VARIABLE = "FORWARDED_ALLOW_IPS"  # uvicorn's
MCP_INSTALL = "pip install 'mcp>=1.21,<2'"


@dataclass(frozen=True, kw_only=True)
class Rate:
    """What one visitor may do: `burst` times at once, and then `per_minute` times a minute."""

    burst: int
    per_minute: float

    def __post_init__(self) -> None:
        if self.burst < 1 or self.per_minute <= 0:
            raise ValueError(f"a rate must be positive, not {self.burst} and {self.per_minute:g} a minute")


@dataclass(frozen=True, kw_only=True)
class PageSettings:
    """What the page allows.

    Attributes:
        public: visitors are strangers: nothing that they do changes a knowledge base or a setting of the application,
            and each is held to `questions`, `uploads`, `logins` and `requests`.
        mcp: whether the endpoints are also tools for agents (Model Context Protocol).
        accounts: pairs of a name and a password; without any, everybody is let in.
        proxies: addresses and networks of the proxies that are believed when they say, in `X-Forwarded-For`, whom a
            request is from. Anybody can send that header: a page that believed all would let each request of a
            visitor be a new visitor.
        max_upload_bytes: of one uploaded file.
        max_pixels: of a picture, before it is decoded.
        max_stored_bytes: of all uploaded files together.
        max_waiting: questions in the queue; more are turned away.
        max_sessions: visitors whose last answer is kept; the oldest is forgotten first.
        cache_seconds: how often uploads are looked at, and the age from which they are deleted.
        questions: what makes the models work.
        uploads: of pictures.
        logins: tries to log in.
        requests: all other requests.
        max_open_requests: of one visitor at a time.
    """

    public: bool = False
    mcp: bool = False
    accounts: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    proxies: tuple[str, ...] = ()
    max_upload_bytes: int = 25_000_000
    max_pixels: int = 100_000_000
    max_stored_bytes: int = 5_000_000_000
    max_waiting: int = 32
    max_sessions: int = 10_000
    cache_seconds: tuple[int, int] = (600, 3600)
    questions: Rate = Rate(burst=10, per_minute=12)
    uploads: Rate = Rate(burst=10, per_minute=12)
    logins: Rate = Rate(burst=5, per_minute=5)
    requests: Rate = Rate(burst=300, per_minute=600)
    max_open_requests: int = 50


def public_page(accounts: tuple[tuple[str, str], ...] = (), proxies: tuple[str, ...] = ()) -> PageSettings:
    """Settings for a page that everybody can reach."""
    return PageSettings(
        public=True,
        accounts=accounts,
        proxies=proxies,
        max_upload_bytes=10_000_000,
        max_pixels=40_000_000,
        max_sessions=1000,
        cache_seconds=(60, 1800),
    )


def check_mcp(*, public: bool) -> None:
    """Says so before models are loaded when the page cannot serve tools.

    Raises:
        InputError: the package is missing, or strangers would reach them.
    """
    if public:
        raise InputError("--mcp is not for --public: the limits of a public page know no tools; leave one of them out")
    if find_spec("mcp") is None:
        raise InputError(f"--mcp needs the package mcp; install it with `{MCP_INSTALL}`")


def read_proxies(given: str | None) -> tuple[str, ...]:
    """Which proxies are believed, from the command line, or else from the variable `FORWARDED_ALLOW_IPS`.

    Args:
        given: addresses or networks with commas between; "" for none.

    Returns:
        Addresses and networks; none when neither is given.

    Raises:
        InputError: one is no address or network, or is every address there is.
    """
    text = os.environ.get(PROXY_VARIABLE, "") if given is None else given
    proxies = tuple(one.strip() for one in text.split(",") if one.strip())
    where = f"${PROXY_VARIABLE}" if given is None else "--trust-proxy"
    for one in proxies:
        try:
            everybody = one == "*" or ipaddress.ip_network(one).prefixlen == 0
        except ValueError as error:
            raise InputError(
                f"{where}: {one!r} is no address or network; give the proxy's, such as 10.0.0.7 or 10.0.0.0/24"
            ) from error
        if everybody:
            raise InputError(f"{where}: {one} would believe every visitor; give the addresses of your proxies")
    return proxies


def read_accounts(file: str | None) -> tuple[tuple[str, str], ...]:
    """Who may log in, from a file, or else from the environment variable `RAG_APP_AUTH`.

    Args:
        file: has `user:password` on each line; empty lines are passed over.

    Returns:
        Pairs of a name and a password; none when neither is given.

    Raises:
        InputError: the file cannot be read, or a line is not `user:password`. Passwords are never in the message.
    """
    if file is None:
        return _accounts(os.environ.get(AUTH_VARIABLE, ""), f"${AUTH_VARIABLE}")
    if ":" in file and not Path(file).exists():
        raise InputError(
            "--auth takes a file, since others on this machine can read a command line; write user:password into a "
            f"file and give its path, or set {AUTH_VARIABLE}"
        )
    try:
        accounts = _accounts(Path(file).read_text(encoding="utf-8"), file)
    except (OSError, UnicodeDecodeError) as error:
        reason = one_line(error) if isinstance(error, OSError) else "it is not a text in UTF-8"
        raise InputError(f"--auth: the file cannot be read ({reason}); check the path") from error
    if not accounts:
        raise InputError(f"--auth: {file} is empty; write user:password on a line of it")
    return accounts


def _accounts(text: str, where: str) -> tuple[tuple[str, str], ...]:
    accounts: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        user, colon, password = line.partition(":")
        if not colon or not user.strip() or not password:
            raise InputError(f"{where}, line {number}: this is not user:password; write both with a colon between")
        accounts[user.strip()] = password
    return tuple(accounts.items())

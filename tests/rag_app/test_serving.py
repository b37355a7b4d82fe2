from __future__ import annotations

from pathlib import Path

import pytest

from rag_app.cli import main
from rag_app.errors import InputError
from rag_app.serving import (
    AUTH_VARIABLE,
    PROXY_VARIABLE,
    PageSettings,
    Rate,
    check_mcp,
    public_page,
    read_accounts,
    read_proxies,
)


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(AUTH_VARIABLE, raising=False)
    monkeypatch.delenv(PROXY_VARIABLE, raising=False)


def test_a_public_page_allows_less() -> None:
    private, public = PageSettings(), public_page()
    assert (private.public, public.public) == (False, True)
    assert public.max_upload_bytes < private.max_upload_bytes
    assert public.max_pixels < private.max_pixels
    assert public.max_sessions < private.max_sessions
    with pytest.raises(ValueError, match="must be positive"):
        Rate(burst=0, per_minute=1)


def test_accounts_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_accounts(None) == ()
    monkeypatch.setenv(AUTH_VARIABLE, "ann:one:two")
    assert read_accounts(None) == (("ann", "one:two"),)
    file = tmp_path / "accounts"
    file.write_text("ann: a b \n\nbob:東京\n", encoding="utf-8")
    assert read_accounts(str(file)) == (("ann", " a b "), ("bob", "東京"))


def test_passwords_are_never_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "hunter2" not in repr(public_page((("ann", "hunter2"),)))
    file = tmp_path / "accounts"
    file.write_text("ann:fine\nhunter2\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"line 2: this is not user:password") as caught:
        read_accounts(str(file))
    assert "hunter2" not in str(caught.value)
    assert main(["demo", "--public", "--auth", "ann:hunter2", "--port", "17861"], serve=lambda *_: None) == 2
    assert "hunter2" not in capsys.readouterr().err
    with pytest.raises(InputError, match="--auth takes a file") as caught:
        read_accounts("ann:hunter2")
    assert "hunter2" not in str(caught.value)


def test_files_of_accounts_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="check the path"):
        read_accounts(str(tmp_path / "none"))
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    with pytest.raises(InputError, match="is empty; write user:password"):
        read_accounts(str(tmp_path / "empty"))
    (tmp_path / "bytes").write_bytes(b"\xff\xfe:a")
    with pytest.raises(InputError, match="not a text in UTF-8"):
        read_accounts(str(tmp_path / "bytes"))


def test_tools_for_agents_need_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag_app.serving.find_spec", lambda name: None)
    with pytest.raises(InputError, match="install it with `pip install 'mcp"):
        check_mcp(public=False)
    monkeypatch.setattr("rag_app.serving.find_spec", lambda name: object())
    check_mcp(public=False)
    with pytest.raises(InputError, match="leave one of them out"):
        check_mcp(public=True)


def test_which_proxies_are_believed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert read_proxies(None) == ()
    assert public_page().proxies == ()
    assert read_proxies(" 10.0.0.7, 10.1.0.0/16 ,::1") == ("10.0.0.7", "10.1.0.0/16", "::1")
    monkeypatch.setenv(PROXY_VARIABLE, "192.0.2.1")
    assert read_proxies(None) == ("192.0.2.1",)
    assert read_proxies("") == ()
    for wrong, told in (
        ("*", "would believe every visitor"),
        ("0.0.0.0/0", "would believe every visitor"),
        ("proxy.example.org", "no address or network; give the proxy's"),
        ("10.0.0.1/8", "no address or network"),
    ):
        with pytest.raises(InputError, match=rf"--trust-proxy: .*{told}"):
            read_proxies(wrong)
    monkeypatch.setenv(PROXY_VARIABLE, "*")
    with pytest.raises(InputError, match=r"\$FORWARDED_ALLOW_IPS: \* would believe"):
        read_proxies(None)
    assert main(["demo", "--trust-proxy", "10.0.0.7", "--port", "17862"], serve=lambda *_: None) == 2
    assert "--trust-proxy is for --public" in capsys.readouterr().err

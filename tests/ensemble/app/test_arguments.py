"""Command line of the web page."""

from __future__ import annotations

import socket

import pytest

from ensemble.app import __main__ as command


@pytest.mark.parametrize("port", ["99999", "0", "-1", "http", "٣"])
def test_a_port_that_no_server_can_have_is_one_line(
    port: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was a traceback of the server's, after the networks had been loaded."""
    monkeypatch.setattr("sys.argv", ["app", f"--port={port}"])
    with pytest.raises(SystemExit) as ended:
        command.arguments()
    assert ended.value.code == 2
    assert f"'{port}' is not a port; give a number from 1 to 65535" in capsys.readouterr().err


def test_a_port_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["app", "--port", "8080"])
    assert command.arguments().port == 8080


def test_a_port_in_use_is_refused_before_the_bundle_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        monkeypatch.setattr("sys.argv", ["app", "--port", str(taken), "--bundle", "nowhere"])
        with pytest.raises(ValueError, match=rf"--port {taken}: Address already in use; give another port"):
            command.main()

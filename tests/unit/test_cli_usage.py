"""What the commands refuse before anything is sent, so that nothing good is lost and no work is done in vain."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from forebay.cli.app import app

LINE = '{"custom_id": "r-1", "method": "POST", "url": "/v1/chat/completions", "body": {}}\n'


def submit(folder: Path, port: int, *flags: str) -> Result:
    (folder / "in.jsonl").write_text(LINE)
    environment = {"FOREBAY_URL": f"http://127.0.0.1:{port}", "FOREBAY_API_KEY": "fb-k"}
    return CliRunner(env=environment).invoke(app, ["submit", str(folder / "in.jsonl"), *flags])


def test_the_answers_never_overwrite_the_requests(tmp_path: Path, closed_port: int) -> None:
    (tmp_path / "link.jsonl").symlink_to("in.jsonl")
    for out in ("in.jsonl", "link.jsonl"):
        result = submit(tmp_path, closed_port, "--out", str(tmp_path / out))
        assert result.exit_code == 2
        assert "overwrite" in result.stderr
        assert (tmp_path / "in.jsonl").read_text() == LINE


@pytest.mark.parametrize("out", ["", "in.jsonl/out.jsonl"], ids=["a directory", "inside a file"])
def test_a_place_where_answers_cannot_go_is_refused_before_the_work(tmp_path: Path, closed_port: int, out: str) -> None:
    result = submit(tmp_path, closed_port, "--out", str(tmp_path / out))
    assert result.exit_code == 2
    assert "name a file" in result.stderr


def test_a_duration_that_is_none_is_refused_once_and_not_in_every_line(tmp_path: Path, closed_port: int) -> None:
    result = submit(tmp_path, closed_port, "--within", "soon")
    assert result.exit_code == 2
    assert result.stderr.count("soon") == 1
    assert "24h" in result.stderr


def test_a_directory_is_not_called_a_missing_file(tmp_path: Path) -> None:
    result = CliRunner(env={"FOREBAY_API_KEY": "fb-k"}).invoke(app, ["submit", str(tmp_path)])
    assert result.exit_code == 2
    assert "is a directory" in result.stderr


def test_an_address_that_is_none_is_told_with_one_that_is() -> None:
    environment = {"FOREBAY_URL": "127.0.0.1:8080", "FOREBAY_API_KEY": "fb-k"}
    result = CliRunner(env=environment).invoke(app, ["jobs"])
    assert result.exit_code == 1
    assert "a URL such as http://127.0.0.1:8080" in result.stderr

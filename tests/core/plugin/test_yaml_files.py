from __future__ import annotations

from pathlib import Path

import pytest

from dygenept.errors import ConfigError
from dygenept.model.overrides import from_dotlist
from dygenept.plugin.yaml_files import ALLOWED_VARIABLE, read_yaml

SECRET = "sk-not-to-be-seen"
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{name}: &{name} [{','.join([f'*{of}'] * 9)}]"
    for of, name in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.fixture(autouse=True)
def _variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_API_KEY", SECRET)
    monkeypatch.setenv("MIRROR", "https://mirror.example.org")
    monkeypatch.delenv(ALLOWED_VARIABLE, raising=False)


def read(folder: Path, content: str | bytes) -> dict[str, object]:
    path = folder / "mine.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_yaml(path)


@pytest.mark.parametrize(
    "text",
    [
        "url: http://e.org/?${oc.env:LLM_API_KEY}",
        "url: '${oc.env:MIRROR,${oc.env:LLM_API_KEY}}'",
        "x: oc.env\nurl: ${${x}:LLM_API_KEY}",
        "url: '${ oc.env:LLM_API_KEY}'",
        "url: '$${x}{oc.env:LLM_API_KEY}'\nx: a",
        "url: '${oc.decode:LLM_API_KEY}'",
        "url: '${env:LLM_API_KEY}'",
        "'${oc.env:LLM_API_KEY}': 1",
        "deep: [{url: '${oc.env:LLM_API_KEY}'}]",
    ],
)
def test_no_file_gets_an_environment_variable(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"mine\.yaml: .*(unless you allow|write the value)") as e:
        read(tmp_path, text)
    assert SECRET not in str(e.value)


def test_a_variable_that_the_user_allows_is_put_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALLOWED_VARIABLE, "OTHER, MIRROR")
    assert read(tmp_path, "url: ${oc.env:MIRROR}/a") == {"url": "https://mirror.example.org/a"}
    assert read(tmp_path, "url: ${oc.env:OTHER,none}") == {"url": "none"}
    with pytest.raises(ConfigError, match="export DYGENEPT_ALLOW_ENV=LLM_API_KEY"):
        read(tmp_path, "url: ${oc.env:LLM_API_KEY}")


def test_a_file_may_refer_to_its_own_values(tmp_path: Path) -> None:
    text = "a: {b: [1, 2]}\nc: ${a.b[1]}\nd: ${a.b}/x"
    assert read(tmp_path, text) == {"a": {"b": [1, 2]}, "c": 2, "d": "[1, 2]/x"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a: " + "[" * 5000 + "]" * 5000, "nested more than 50 deep"),
        ("\n".join(" " * depth + "a:" for depth in range(200)), "line 50 is nested"),
        (BOMB, "aliases written out"),
        ("a: &a [*a]", "inside itself"),
        ("a: " + "9" * 10_000, "not valid YAML"),
        ("a: 1\na: 2", "duplicate key a"),
        (b"b: 1\na: \xe9\xff", "line 2 is not UTF-8"),
        ("a: 1\nb: \x00", "not valid YAML"),
        ("a: !!python/object/apply:os.system ['id']", "not valid YAML"),
        ("a: xxxxxxxxxx\nb: ${a}${a}\nc: ${b}${b}", "refers to references"),
        ("a: " + "x" * 50_000 + "\nb: " + "${a}" * 50, "too much"),
        ("a: ${b}\nb: ${a}", "refers to references"),
        ("[]", "must contain a mapping"),
    ],
)
def test_what_would_exhaust_a_reader_is_refused_in_one_line(
    tmp_path: Path, content: str | bytes, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        read(tmp_path, content)
    assert "mine.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("value", ["[" * 3000, "9" * 5000])
def test_a_flag_that_would_exhaust_a_reader_is_refused_too(value: str) -> None:
    with pytest.raises(ConfigError, match="--set a=") as caught:
        from_dotlist([f"a={value}"])
    assert len(str(caught.value)) < 800


def test_what_a_caller_does_with_a_document_does_not_reach_the_next(tmp_path: Path) -> None:
    first = read(tmp_path, "a: {b: [1]}")
    first["a"]["b"].append(2)  # type: ignore[index]
    assert read(tmp_path, "a: {b: [1]}") == {"a": {"b": [1]}}

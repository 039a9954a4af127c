from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol

import pytest

from dygenept.plugin.manager import PluginManager
from dygenept.plugin.specs import KINDS, SPEC_CLASSES, BaselineSpec
from dygenept.testing import check_baseline

PAGE = Path(__file__).parents[3] / "docs" / "plugins.md"


@pytest.fixture(scope="module")
def text() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_worked_example_loads_and_keeps_the_rules(text: str, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    path = tmp_path / "nearest_symbol.py"
    path.write_text(code, encoding="utf-8")
    manager = PluginManager.load(files=(path,), entry_points=False)
    assert manager.failures == {}
    spec = manager.get(BaselineSpec, "nearest_symbol")
    check_baseline(spec)
    check_baseline(spec, options={"shrinkage": 0.5})


def test_the_page_has_every_kind_with_its_spec(text: str) -> None:
    rows = {line.split("|")[1].strip(" `"): line for line in text.splitlines() if line[:3] == "| `"}
    assert set(rows) == set(KINDS)
    for spec_class in SPEC_CLASSES:
        assert f"`{spec_class.__name__}`" in rows[spec_class.kind]


def test_every_name_from_the_testing_module_exists(text: str) -> None:
    from dygenept import testing

    named = set(re.findall(r"`((?:check|toy|write)_\w+)`", text)) - {"check_options"}
    assert named
    assert named <= set(testing.__all__)


def test_the_page_has_every_protocol_that_a_plugin_may_offer(text: str) -> None:
    from dygenept.plugin.interfaces import offers

    found = {name for name, value in vars(offers).items() if isinstance(value, type(Protocol))}
    protocols = found - {"Protocol"}
    assert "LinearReadout" in protocols
    assert {name for name in protocols if f"| `{name}` |" not in text} == set()

import subprocess
import sys

import pytest

from dygenept import plugin
from dygenept.plugin import interfaces
from dygenept.plugin.specs import SPEC_CLASSES


@pytest.mark.parametrize("name", plugin.__all__)
def test_every_name_of_the_face_is_there(name: str) -> None:
    value = getattr(plugin, name)
    assert name == "hookimpl" or value.__name__ == name


def test_the_face_has_every_spec_and_every_interface() -> None:
    assert {spec.__name__ for spec in SPEC_CLASSES} <= set(plugin.__all__)
    assert set(interfaces.__all__) <= set(plugin.__all__)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'DecodersSpec'"):
        plugin.DecodersSpec  # noqa: B018


def test_network_interfaces_load_without_pydantic() -> None:
    code = (
        "import sys; sys.modules['pydantic'] = None\n"
        "from dygenept.plugin import AttentionOutput, DecoderContext, FacetBatch\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

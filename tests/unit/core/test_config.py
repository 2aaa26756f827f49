from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_app.core.config import Settings, load_settings
from edge_app.core.errors import ConfigError


def _write(folder: Path, text: str) -> Path:
    path = folder / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_unknown_key_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"settings\.toml: key 'receiver\.prot' = 1") as refused:
        load_settings(_write(tmp_path, "[receiver]\nprot = 1\n"))
    assert refused.value.exit_code == 78


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[receiver]\nport = 70000\n", "receiver.port"),
        ('[receiver]\nport = "11112"\n', "receiver.port"),
        ('[receiver]\naet = "A NAME THAT IS TOO LONG"\n', "receiver.aet"),
        ('[analysis]\nischaemia_output = "maybe"\n', "analysis.ischaemia_output"),
        ("[completeness]\nquiet_s = 60.0\n", "completeness.quiet_s"),
        ("[analysis]\ntimeout_s = inf\n", "analysis.timeout_s"),
        ('[receiver]\npeers = ["CT1"]\n', "receiver.peers.0"),
        ('[receiver]\npeers = ["CT1@10.0.0.999"]\n', "receiver.peers.0"),
        ('[receiver]\nhost = "0.0.0.0"\n', "receiver"),
        ("[receiver]\nplain = false\n", "receiver"),
        ("[receiver]\ntls = true\n", "receiver"),
    ],
)
def test_a_value_out_of_range_is_refused_by_key(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(ConfigError, match=f"key '{key}'"):
        load_settings(_write(tmp_path, text))


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_settings(_write(tmp_path, "data = \n"))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(tmp_path / "nowhere.toml")


def test_the_data_folder_is_taken_from_the_files_own_folder(tmp_path: Path) -> None:
    assert load_settings(_write(tmp_path, 'data = "store"\n')).data == tmp_path / "store"


@given(
    port=st.integers(0, 65535),
    aet=st.text(
        st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="\\"), min_size=1, max_size=16
    ),
    quiet_s=st.floats(0.1, 30),
)
def test_settings_written_as_toml_are_read_back_equal(
    tmp_path_factory: pytest.TempPathFactory, port: int, aet: str, quiet_s: float
) -> None:
    folder = tmp_path_factory.mktemp("settings")
    settings = Settings(data=folder / 'a "strange" folder').replaced(
        receiver={"port": port, "aet": aet}, completeness={"quiet_s": quiet_s}
    )
    assert load_settings(_write(folder, settings.to_toml())) == settings


def test_certificates_are_taken_from_the_files_own_folder(tmp_path: Path) -> None:
    names = "\n".join(f'tls_{name} = "{name}.pem"' for name in ("certificate", "key", "authority"))
    receiver = load_settings(_write(tmp_path, f"[receiver]\ntls = true\n{names}\n")).receiver
    assert receiver.tls_key == str(tmp_path / "key.pem")


def test_a_command_line_value_out_of_range_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"command line: key 'receiver\.port'"):
        Settings(data=tmp_path).replaced(receiver={"port": -1})


def test_the_example_settings_hold_every_key_with_its_default() -> None:
    example = Path(__file__).parents[3] / "deploy" / "settings.example.toml"
    settings = load_settings(example)
    assert settings.model_copy(update={"data": Path("x")}) == Settings(data=Path("x"))
    text = example.read_text(encoding="utf-8")
    for section, keys in Settings().model_dump().items():
        assert f"[{section}]" in text or section == "data"
        for key in keys if isinstance(keys, dict) else ():
            assert f"\n{key} = " in text, f"{section}.{key} is not in the example"

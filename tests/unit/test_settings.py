from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.settings import Settings, load_settings, parse_settings

ROOT = Path(__file__).parents[2]


def test_shipped_config_is_valid_and_says_what_the_defaults_are():
    shipped = load_settings(ROOT / "serve_config.yaml")
    assert shipped.model_copy(update={"catalogue_url": ""}) == Settings(catalogue_url="")


def test_shipped_config_shows_every_argument():
    import yaml

    text = (ROOT / "serve_config.yaml").read_text()
    shown = yaml.safe_load(text)["applications"][0]["args"]
    missing = set(Settings.model_fields) - set(shown) - {"catalogue_url"}
    assert not missing
    assert "# catalogue_url:" in text
    for block in ("gpu_share", "cpu_share", "replicas", "batching", "limits", "timeouts"):
        assert set(shown[block]) == set(type(getattr(Settings(), block)).model_fields), block


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"modles_dir": "x"}, "args.modles_dir"),
        ({"device": "gpu"}, "args.device"),
        ({"gpu_share": {"segmenter": 1.5}}, "args.gpu_share.segmenter"),
        ({"gpu_share": {"segmentr": 0.5}}, "args.gpu_share.segmentr"),
        ({"replicas": {"ingress": {"min": 3, "max": 2}}}, "args.replicas.ingress"),
        ({"tokens": ["secret"]}, "args.tokens.0"),
        ({"limits": {"max_photo_bytes": 0}}, "args.limits.max_photo_bytes"),
        ({"timeouts": {"idle_timeout_s": -1}}, "args.timeouts.idle_timeout_s"),
        ({"batching": {"wait_s": "soon"}}, "args.batching.wait_s"),
        ("a string", "valid dictionary"),
    ],
)
def test_wrong_argument_is_named(arguments, named):
    with pytest.raises(SettingsError, match=r"config\.yaml") as refused:
        parse_settings(arguments, "config.yaml")
    assert named in str(refused.value)


def test_every_wrong_argument_is_named_at_once():
    with pytest.raises(SettingsError) as refused:
        parse_settings({"device": "gpu", "backend": "jax"}, "config.yaml")
    assert "args.device" in str(refused.value)
    assert "args.backend" in str(refused.value)


@pytest.mark.parametrize("text", ["", "- a list", "applications: []", "applications: [{args: 5}]", "{ broken"])
def test_unreadable_config_is_refused(tmp_path, text):
    config = tmp_path / "config.yaml"
    config.write_text(text)
    with pytest.raises(SettingsError, match=r"config\.yaml"):
        load_settings(config)


def test_missing_config_is_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"absent\.yaml"):
        load_settings(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("url", "absolute"),
    [
        ("sqlite:///here.sqlite", "sqlite:////data/here.sqlite"),
        ("sqlite:////var/there.sqlite", "sqlite:////var/there.sqlite"),
        ("sqlite://", "sqlite://"),
        ("postgresql+psycopg://db/whales", "postgresql+psycopg://db/whales"),
    ],
)
def test_relative_catalogue_file_is_made_absolute(monkeypatch, url, absolute):
    monkeypatch.setattr(Path, "absolute", lambda self: Path("/data") / self)
    assert Settings(catalogue_url=url).with_absolute_paths().catalogue_url == absolute


def test_batches_are_small_on_a_cpu():
    batching = Settings().batching
    assert (batching.batch_size("cpu"), batching.batch_size("cuda:0")) == (1, 8)


def test_memory_for_decoding_holds_at_least_one_largest_photo():
    with pytest.raises(SettingsError, match=r"limits: .*decoding_memory_bytes \(4294967296\) is too little"):
        parse_settings({"limits": {"max_photo_pixels": 150_000_000}}, "config.yaml")
    limits = {"max_photo_pixels": 150_000_000, "decoding_memory_bytes": 150_000_000 * 24 * 4 // 3}
    assert parse_settings({"limits": limits}, "config.yaml").limits.max_photo_pixels == 150_000_000

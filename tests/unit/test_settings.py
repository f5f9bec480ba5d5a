from pathlib import Path

import platformdirs
import pytest

from pipeline.errors import SettingsError
from pipeline.records import Actor
from pipeline.settings import Settings, load_settings, parse_settings

ROOT = Path(__file__).parents[2]
HASH = "0a" * 32
MAYA = {"sha256": HASH, "name": "Maya", "institution": "WDC"}


def test_shipped_config_is_valid_and_says_what_the_defaults_are():
    shipped = load_settings(ROOT / "serve_config.yaml")
    in_the_users_folder = {"catalogue_url": "", "photo_store": ""}
    assert shipped.model_copy(update=in_the_users_folder) == Settings(**in_the_users_folder)


def test_shipped_config_shows_every_argument():
    import yaml

    text = (ROOT / "serve_config.yaml").read_text()
    shown = yaml.safe_load(text)["applications"][0]["args"]
    missing = set(Settings.model_fields) - set(shown) - {"catalogue_url", "photo_store"}
    assert not missing
    assert "# catalogue_url:" in text
    assert "# photo_store:" in text
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
        ({"tokens": [{"sha256": HASH, "institution": "WDC"}]}, "args.tokens.0.name"),
        ({"tokens": [{"sha256": HASH, "name": " "}]}, "args.tokens.0.name"),
        ({"tokens": [{"sha256": HASH, "name": "Maya", "kind": "robot"}]}, "args.tokens.0.kind"),
        ({"tokens": [{"sha256": HASH, "name": "Maya", "token": "secret"}]}, "args.tokens.0.token"),
        ({"tokens": [HASH, {"sha256": HASH, "name": "Maya"}]}, "the hash 0a0a0a0a... stands there twice"),
        ({"tokens": [MAYA, {**MAYA, "sha256": "0b" * 32, "kind": "program"}]}, "'Maya' of 'WDC' is taken"),
        ({"tokens": [{"sha256": HASH, "name": "local user"}]}, "'local user' of 'default' is taken"),
        ({"tokens": [{"sha256": HASH, "name": "whale-vision"}]}, "'whale-vision' of 'default' is taken"),
        ({"tokens": [MAYA], "access": "local"}, "access: local asks nobody for a token"),
        ({"access": "everybody"}, "args.access"),
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


def test_refused_token_is_not_repeated():
    with pytest.raises(SettingsError) as refused:
        parse_settings({"tokens": ["secret"]}, "config.yaml")
    assert "secret" not in str(refused.value)


def test_token_names_its_owner():
    tokens = [MAYA, {"sha256": "0b" * 32, "name": " nightly ", "kind": "program"}, "1a2b3c4d" * 8]
    assert parse_settings({"tokens": tokens}, "config.yaml").token_owners() == {
        HASH: Actor("WDC", "Maya", "person"),
        "0b" * 32: Actor("default", "nightly", "program"),
        "1a2b3c4d" * 8: Actor("default", "token 1a2b3c4d", "person"),
    }


def test_owner_of_another_institution_may_have_the_same_name():
    assert parse_settings({"tokens": [MAYA, {"sha256": "0b" * 32, "name": "Maya"}]}, "config.yaml")


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
        ("sqlite+pysqlite:///here.sqlite", "sqlite+pysqlite:////data/here.sqlite"),
        ("sqlite:///file:here.sqlite?mode=ro&uri=true", "sqlite:///file%3A/data/here.sqlite?mode=ro&uri=true"),
        ("sqlite:///file:/var/there.sqlite?uri=true", "sqlite:///file:/var/there.sqlite?uri=true"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite://", "sqlite://"),
        ("no url", "no url"),
        ("postgresql+psycopg://db/whales", "postgresql+psycopg://db/whales"),
    ],
)
def test_relative_catalogue_file_is_made_absolute(monkeypatch, url, absolute):
    monkeypatch.setattr(Path, "absolute", lambda self: Path("/data") / self)
    assert Settings(catalogue_url=url).with_absolute_paths().catalogue_url == absolute


def test_a_bound_on_unread_bytes_below_what_is_reported_at_a_time_is_refused():
    with pytest.raises(SettingsError, match=r"limits\.max_unsent_bytes"):
        parse_settings({"limits": {"max_unsent_bytes": 100_000}}, "config.yaml")


def test_batches_are_small_on_a_cpu():
    batching = Settings().batching
    assert (batching.batch_size("cpu"), batching.batch_size("cuda:0")) == (1, 8)


def test_access_is_for_this_machine_unless_it_says_otherwise_or_there_are_tokens_of_before_it_was_said():
    assert parse_settings({}, "config.yaml").access == "local"
    assert parse_settings({"access": "tokens"}, "config.yaml").access == "tokens"
    assert parse_settings({"tokens": [MAYA]}, "config.yaml").access == "tokens"
    assert parse_settings({"tokens": [], "access": "local"}, "config.yaml").access == "local"


@pytest.mark.parametrize(
    ("catalogue", "store"),
    [
        ("sqlite:////data/whales.sqlite", "file:///data/whales-photos"),
        ("sqlite:////data/dolphins.sqlite", "file:///data/dolphins-photos"),
        ("postgresql+psycopg://whales@db/whales", f"file://{platformdirs.user_data_dir('whale-vision')}/photos"),
    ],
)
def test_photos_lie_beside_the_catalogue_unless_a_place_is_named(catalogue, store):
    assert Settings(catalogue_url=catalogue).photo_store == store
    assert Settings(catalogue_url=catalogue, photo_store="s3://b/p").with_absolute_paths().photo_store == "s3://b/p"


def test_a_photo_store_that_is_a_relative_folder_is_made_absolute():
    for written in ("photos", "file://photos"):
        assert Settings(photo_store=written).with_absolute_paths().photo_store == f"file://{Path('photos').absolute()}"

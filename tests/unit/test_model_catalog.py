"""What provider and model names of a workflow file mean, and what a bad models file gets."""

import pickle
from pathlib import Path
from typing import Any

import pytest

from models.applications import model_applications
from models.catalog import Catalog, LocalTarget, OpenAITarget, ScriptedTarget
from models.errors import InvalidCatalogError, ModelNotConfiguredError

UPSTREAM = {"kind": "openai", "base_url": "https://models.example.com/v1", "api_key_env": "EXAMPLE_KEY"}


def meaning(document: dict[str, Any], provider: str, name: str) -> str:
    """The name of the target that a catalog gives a model."""
    return Catalog.parse(document).resolve(provider, name).name


def faults(document: dict[str, Any]) -> tuple[str, ...]:
    """What a catalog refuses in a document."""
    with pytest.raises(InvalidCatalogError) as caught:
        Catalog.parse(document)
    return caught.value.faults


def test_empty_catalog_serves_the_bundled_model_only() -> None:
    """Without a models file, the model of provider greenroom is local, and nothing else is configured."""
    named = Catalog().resolve("greenroom", "smollm2-135m-instruct")
    assert (named.name, type(named.target)) == ("local", LocalTarget)
    with pytest.raises(ModelNotConfiguredError):
        Catalog().resolve("greenroom", "another")


def test_unlisted_model_is_named_with_the_entry_to_add() -> None:
    """The error is a text that the operator can act on."""
    with pytest.raises(ModelNotConfiguredError) as caught:
        Catalog().resolve("langgenius/openai/openai", "gpt-4o")
    assert '{provider: "langgenius/openai/openai", name: "gpt-4o", target: local}' in str(caught.value)
    assert "GREENROOM_MODELS_FILE" in str(caught.value)
    assert '"default: local"' in str(caught.value)


@pytest.mark.parametrize(
    ("provider", "name", "target"),
    [
        ("openai", "gpt-4o", "both"),
        ("openai", "gpt-3", "provider"),
        ("other", "gpt-4o", "name"),
        ("other", "other", "local"),
    ],
)
def test_most_specific_entry_wins(provider: str, name: str, target: str) -> None:
    """Provider and name, then provider, then name, then the default; the order in the file does not matter."""
    document = {
        "default": "local",
        "targets": dict.fromkeys(("both", "provider", "name"), UPSTREAM),
        "models": [
            {"name": "gpt-4o", "target": "name"},
            {"provider": "openai", "target": "provider"},
            {"provider": "openai", "name": "gpt-4o", "target": "both"},
        ],
    }
    assert meaning(document, provider, name) == target


@pytest.mark.parametrize("listed", ["openai", "langgenius/openai/openai"])
@pytest.mark.parametrize("asked", ["openai", "langgenius/openai/openai"])
def test_short_and_long_provider_are_one(listed: str, asked: str) -> None:
    """A provider is found by either form of its name."""
    assert meaning({"models": [{"provider": listed, "name": "m", "target": "scripted"}]}, asked, "m") == "scripted"


def test_provider_of_another_organisation_is_another() -> None:
    """The short form stands for the original publisher only."""
    document = {"models": [{"provider": "openai", "target": "local"}]}
    with pytest.raises(ModelNotConfiguredError):
        meaning(document, "somebody/openai/openai", "m")


def test_built_in_target_can_be_changed_without_its_kind() -> None:
    """An entry for ``local`` changes the fields it names; the bundled model follows."""
    target = Catalog.parse({"targets": {"local": {"slots": 2}}}).resolve("greenroom", "smollm2-135m-instruct").target
    assert isinstance(target, LocalTarget)
    assert (target.slots, target.threads) == (2, 1)


def test_bundled_model_can_be_mapped_elsewhere() -> None:
    """A listed entry wins over the built-in one."""
    document = {"models": [{"provider": "greenroom", "name": "smollm2-135m-instruct", "target": "scripted"}]}
    assert meaning(document, "greenroom", "smollm2-135m-instruct") == "scripted"
    assert [named.name for named in Catalog.parse(document).used_targets()] == ["scripted"]


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ({"default": "nowhere"}, 'default names the target "nowhere", which is not under targets'),
        ({"models": [{"provider": "a", "target": "b"}]}, 'a * names the target "b", not under targets'),
        ({"models": [{"name": "a", "target": "local"}] * 2}, "* a is listed twice"),
        ({"models": [{"name": "a"}]}, "models.0.target: Field required"),
        ({"targets": {"Up": UPSTREAM}}, "targets.Up.[key]: "),
        ({"targets": {"up": {**UPSTREAM, "base_url": "ftp://a"}}}, "targets.up.openai.base_url: is not an http(s) URL"),
        ({"targets": {"up": {**UPSTREAM, "api_key_secret": "k"}}}, "has both api_key_env and api_key_secret"),
        ({"targets": {"local": {"min_replicas": 2}}}, "min_replicas is greater than max_replicas"),
        ({"targets": []}, "targets: "),
        ({"model": []}, "model: Extra inputs are not permitted"),
    ],
)
def test_bad_document_is_refused_with_the_place(document: dict[str, Any], fault: str) -> None:
    """Each fault says where it is and what is wrong."""
    assert any(fault in found for found in faults(document))


@pytest.mark.parametrize(
    "target", [{**UPSTREAM, "api_key": "sk-s3cret"}, {**UPSTREAM, "base_url": "http://u:s3cret@a"}]
)
def test_key_in_the_models_file_is_refused_without_showing_it(target: dict[str, Any]) -> None:
    """A models file has no place for a key, and the refusal does not repeat it."""
    with pytest.raises(InvalidCatalogError) as caught:
        Catalog.parse({"targets": {"up": target}})
    assert "s3cret" not in repr(caught.value)
    assert caught.value.__cause__ is None


def test_models_file_is_read_as_yaml(tmp_path: Path) -> None:
    """YAML and JSON are both read; an empty file is an empty catalog."""
    path = tmp_path / "models.yaml"
    path.write_text("default: scripted\ntargets:\n  scripted: {script: {rules: [{replies: [{chunks: [hi]}]}]}}\n")
    target = Catalog.load(path).resolve("any", "thing").target
    assert isinstance(target, ScriptedTarget)
    assert target.script.rules[0].replies[0].chunks == ("hi",)
    path.write_text('{"default": "local"}')
    assert Catalog.load(path).default == "local"
    path.write_text("")
    assert Catalog.load(path) == Catalog()


@pytest.mark.parametrize(("content", "fault"), [("a: [", "is neither YAML nor JSON"), ("- a", "is not a mapping")])
def test_unreadable_models_file_is_refused_by_its_name(tmp_path: Path, content: str, fault: str) -> None:
    """A file that is no catalog is refused with its path."""
    path = tmp_path / "models.yaml"
    path.write_text(content)
    with pytest.raises(InvalidCatalogError, match=r"models\.yaml") as caught:
        Catalog.load(path)
    assert caught.value.faults == (fault,)


def test_missing_models_file_is_refused_by_its_name(tmp_path: Path) -> None:
    """A path that is set but leads nowhere does not pass for an empty catalog."""
    with pytest.raises(InvalidCatalogError, match="No such file"):
        Catalog.load(tmp_path / "absent.yaml")


def test_catalog_crosses_process_borders() -> None:
    """A catalog that was pickled means the same."""
    catalog = Catalog.parse({"targets": {"up": UPSTREAM}, "models": [{"provider": "a", "target": "up"}]})
    target = pickle.loads(pickle.dumps(catalog)).resolve("a", "b").target
    assert isinstance(target, OpenAITarget)


def test_applications_are_made_for_used_targets_that_serve() -> None:
    """Each local or scripted target that some model means has an application; an upstream has none."""
    document = {
        "targets": {"up": UPSTREAM, "spare": {"kind": "scripted"}, "big": {"kind": "local", "max_replicas": 2}},
        "models": [{"provider": "a", "target": "up"}, {"provider": "b", "target": "big"}],
    }
    assert sorted(model_applications(Catalog.parse(document))) == ["model-big", "model-local"]

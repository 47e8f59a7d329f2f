from __future__ import annotations

from pathlib import Path

from alnico.checkpoint.links import stays_inside


def test_a_link_stays_inside_if_all_that_it_leads_through_ends_there(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_text("")
    (tmp_path / "secret").write_text("")
    (tmp_path / "model2").mkdir()
    for name, target, inside in [
        ("plain", "a", True),
        ("sub/up", "../a", True),
        ("twice", "sub/up", True),
        ("absolute", str(folder / "a"), True),
        ("nothing", "gone", True),
        ("itself", "itself", True),
        ("out", "../secret", False),
        ("twice_out", "out", False),
        ("gone_out", "../gone", False),
        ("prefix", "../model2", False),
        ("loop_out", str(tmp_path), False),
    ]:
        (folder / name).symlink_to(target)
        assert stays_inside(folder / name, folder) is inside, name
    assert not stays_inside(folder / "loop_out" / "secret", folder)
    assert stays_inside(folder / "loop_out" / "model" / "a", folder)


def test_a_hub_cache_links_into_its_own_blobs_and_nowhere_else(tmp_path: Path) -> None:
    def cached(name: str) -> tuple[Path, Path]:
        snapshot = tmp_path / f"models--org--{name}" / "snapshots" / "abc"
        (snapshot / "1_Pooling").mkdir(parents=True)
        blob = snapshot.parents[1] / "blobs" / name
        blob.parent.mkdir()
        blob.write_text("")
        return snapshot, blob

    ours, blob = cached("ours")
    theirs, other = cached("theirs")
    for name, target, inside in [
        ("a", "../../blobs/ours", True),
        ("1_Pooling/a", "../../../blobs/ours", True),
        ("b", str(other), False),
        ("c", str(theirs / "c"), False),
        ("d", "../../refs", False),
    ]:
        (ours / name).symlink_to(target)
        assert stays_inside(ours / name, ours) is inside, name
    plain = tmp_path / "plain" / "model"
    plain.mkdir(parents=True)
    (plain / "a").symlink_to(blob)
    assert not stays_inside(plain / "a", plain)

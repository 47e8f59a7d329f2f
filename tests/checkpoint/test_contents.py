"""Every form in which a file can carry code, made here and never loaded."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import tarfile
import time
import zipfile
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from alnico.checkpoint.contents import danger

SYSTEM = f"{os.system.__module__}.system"


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("echo",)


def zipped(**files: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "."), data)
    return made.getvalue()


def tarred(name: str, data: bytes) -> bytes:
    made, info = io.BytesIO(), tarfile.TarInfo(name)
    info.size = len(data)
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


def saved(value: object, *, is_zip: bool = True) -> bytes:
    made = io.BytesIO()
    torch.save(value, made, _use_new_zipfile_serialization=is_zip)
    return made.getvalue()


def array(values: object, *, packed: bool = False) -> bytes:
    made = io.BytesIO()
    if packed:
        np.savez(made, x=np.asarray(values, dtype=object))
    else:
        np.save(made, np.asarray(values))
    return made.getvalue()


def keras(config: object, **more: bytes) -> bytes:
    return zipped(config__json=json.dumps(config).encode(), metadata__json=b"{}", **more)


def look(data: bytes, name: str = "model.dat") -> str | None:
    return danger(io.BytesIO(data), name)


EVIL = pickle.dumps(Evil())
HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(100)
STATE = {"weight": torch.ones(3), "bias": torch.nn.Parameter(torch.zeros(2))}


@pytest.mark.parametrize("name", ["m.pkl", "m.joblib", "m.bin", "m.txt", "m.safetensors", "m"])
def test_a_pickle_is_found_whatever_it_is_called(name: str) -> None:
    found = look(EVIL, name)
    assert found is not None and found.startswith(f"a pickle that would call {SYSTEM} at byte ")


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_state_dict_of_torch_is_a_pickle_that_calls_nothing_harmful(is_zip: bool) -> None:
    found = look(saved(STATE, is_zip=is_zip), "pytorch_model.bin")
    assert found is not None and found.endswith(
        "a pickle; alnico reads none but weights of PyTorch"
    )
    evil = look(saved({**STATE, "more": Evil()}, is_zip=is_zip), "pytorch_model.bin")
    assert evil is not None and f"a pickle that would call {SYSTEM}" in evil
    assert ("in archive/data.pkl: " in evil) == is_zip


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (zipped(data__pkl=EVIL), "in data.pkl: "),
        (zipped(readme__txt=EVIL), "in readme.txt: "),
        (tarred("storages", EVIL), "in storages: "),
        (tarred("inner", zipped(a__pkl=EVIL)), "in inner: in a.pkl: "),
        (gzip.compress(EVIL), "in model: "),
        (gzip.compress(tarred("x.zip", zipped(a__pkl=EVIL))), "in model: in x.zip: in a.pkl: "),
        (b"#!" + zipped(data__pkl=EVIL), "in data.pkl: "),
        (EVIL + zipped(a__txt=b"harmless"), ""),
        (tarred("a.txt", b"harmless") + zipped(data__pkl=EVIL), "in data.pkl: "),
    ],
)
def test_a_pickle_in_archives_is_found_with_its_way(data: bytes, where: str) -> None:
    found = look(data, "model.dat")
    assert found is not None and found.startswith(f"{where}a pickle that would call {SYSTEM}")


def test_archives_that_are_too_deep_or_too_large_inside_are_refused() -> None:
    data = b"hello"
    for _ in range(6):
        data = zipped(inner=data)
    assert "more than 4 deep" in str(look(data))
    large = tarred("inner.zip", zipped(x=bytes(5 * 10**6)))
    assert "too large to be looked through" in str(look(large))


def test_many_members_that_look_like_pickles_are_not_all_followed() -> None:
    many = zipped(**{f"m{i}": b"N0" * 30_000 for i in range(100)})
    began = time.process_time()
    assert "too large to be looked through" in str(look(many))
    assert time.process_time() - began < 5


def test_an_array_is_refused_only_if_it_holds_objects() -> None:
    for plain in (array([1.0, 2.0]), array(np.zeros(2, dtype=[("Object", "f4")])), array(["O"])):
        assert look(plain, "x.npy") is None
    assert look(array(np.array([None, 1])), "x.npy") == "an array of objects, which is a pickle"
    evil = look(array(np.array([Evil()], dtype=object)), "x.npy")
    assert evil == f"an array of objects, which is a pickle that would call {SYSTEM}"
    inside = look(array([Evil()], packed=True), "x.npz")
    assert inside is not None and inside.startswith("in x.npy: an array of objects")
    cut = array([1.0]).replace(b"descr", b"dexcr")
    assert look(cut, "x.npy") == "an array whose header cannot be read"
    assert look(b"\x93NUMPY\x02\0" + b"\xff" * 50) == "an array whose header is too long"


LAYER = {"class_name": "Lambda", "config": {"function": "marshalled"}}


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ({"config": {"layers": [{"class_name": "Dense"}, LAYER]}}, "a Lambda layer, which is code"),
        ({"class_name": "system", "module": "os"}, "a config that imports os.system"),
        ({"a": [{"module": "keras_evil.x", "class_name": "F"}]}, "imports keras_evil.x.F"),
    ],
)
def test_code_that_a_keras_config_names_is_refused(config: object, fault: str) -> None:
    found = look(keras(config, model__weights__h5=HDF5), "m.keras")
    assert found is not None and found.startswith("in config.json: ") and fault in found


def test_weights_in_hdf5_are_refused_in_an_archive_and_alone() -> None:
    plain = {"module": "keras.layers", "class_name": "Dense", "more": {"module": "builtins"}}
    assert look(keras(plain), "m.keras") is None
    inside = look(keras(plain, model__weights__h5=HDF5), "m.keras")
    assert inside is not None and inside.startswith("in model.weights.h5: an HDF5 file")
    for data in (HDF5, bytes(512) + HDF5):
        assert "links to other files" in str(look(data, "m.h5"))
    later = look(zipped(a__h5=HDF5, b__pkl=EVIL), "m.zip")
    assert later is not None and later.startswith("in b.pkl: a pickle that would call")


def test_a_keras_config_that_is_not_sound_is_refused() -> None:
    found = look(zipped(config__json=b'{"a": 1, "a": 2}'), "m.keras")
    assert found is not None and "not sound JSON: a name occurs twice" in found


@pytest.mark.parametrize("name", ["m.pt", "m.pkl", "M.PTH", "m.bin"])
def test_what_is_only_named_like_a_pickle_is_refused(name: str) -> None:
    for data in (b"", b"hello", bytes(100)):
        assert look(data, name) == "it is named like a pickle, and is nothing that is known"
    assert look(b"N.", name) == "a pickle; alnico reads none but weights of PyTorch"
    assert look(zipped(), name) == "it is named like a pickle, and is an empty archive"


@pytest.mark.parametrize(
    "data", [b"", b"# words\n" * 99, b"N.", zipped(a__txt=b"1"), gzip.compress(b"a,b\n1,2\n")]
)
def test_nothing_speaks_against_plain_files_and_archives_of_them(data: bytes) -> None:
    assert look(data, "notes.txt") is None


def test_a_damaged_archive_is_refused_and_never_crashes() -> None:
    whole = saved(STATE)
    for n in range(30, len(whole), 97):
        found = look(whole[:n], "m.pt")
        assert found is not None
    assert "cannot be read" in str(look(b"PK\x03\x04" + bytes(200), "m.dat"))
    assert "cannot be read" in str(look(b"\x1f\x8b\x08\0" + b"\xff" * 50))


def test_the_oldest_format_of_torch_is_refused() -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, data in {
            "sys_info": pickle.dumps({"protocol_version": 1000}, 2),
            "storages": pickle.dumps(3, 2) + bytes(100),
            "pickle": EVIL,
        }.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    assert str(look(made.getvalue(), "model.t7")).startswith("in sys_info: a pickle")


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3)])
def test_what_joblib_writes_is_refused(compress: object, tmp_path: Path) -> None:
    path = tmp_path / "model.joblib"
    joblib.dump({"weights": np.ones(5), "model": LogisticRegression()}, path, compress=compress)
    found = look(path.read_bytes(), path.name)
    assert found is not None
    if compress != 3:  # a bare stream of zlib is known by its name alone
        assert "a pickle that would" in found


def test_a_fitted_model_of_scikit_learn_is_a_pickle_of_its_classes() -> None:
    found = look(pickle.dumps(LogisticRegression().fit([[0], [1]], [0, 1])), "model.dat")
    assert found is not None and "LogisticRegression" in found and "sklearn" in found


def test_a_zip_that_writes_elsewhere_is_refused_whatever_it_is_called() -> None:
    slip = zipped(**{"../../evil__py": b"x", "config__json": b"{}"})
    for name in ("m.keras", "m.npz", "m.zip", "m.dat"):
        assert look(slip, name) == "its member '../../evil.py' leads out of it"


def test_keras_configs_are_looked_at_in_depth_and_odd_ones_do_no_harm() -> None:
    deep: object = LAYER
    for _ in range(300):
        deep = {"layers": [deep]}
    assert "a Lambda layer, which is code" in str(look(keras(deep), "m.keras"))
    for odd in ([], 3, {"class_name": ["x"], "module": 7}, {"module": None}):
        assert look(keras(odd), "m.keras") is None
    large = keras({"a": "x" * (5 * 10**6)})
    assert "a config that is too large to be checked" in str(look(large, "m.keras"))

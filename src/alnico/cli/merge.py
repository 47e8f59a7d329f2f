"""`alnico merge`: models, or a recipe that names some -> one model, and how it was made."""

from __future__ import annotations

import typer

from alnico.cli import flags, render
from alnico.cli.run import carry_out


def merge(
    context: typer.Context,
    models: flags.Models,
    output: flags.Output = None,
    base: flags.Base = None,
    method: flags.MethodName = None,
    settings: flags.Settings = None,
    plugin: flags.Plugin = None,
    tokenizer: flags.Tokenizer = None,
    score: flags.Score = None,
    dtype: flags.Dtype = None,
    shard_size: flags.ShardSize = None,
    seed: flags.Seed = None,
    threads: flags.Threads = 0,
    device: flags.Device = "cpu",
    integers_from: flags.IntegersFrom = None,
    allow_nonfinite: flags.Nonfinite = False,
    sha256: flags.Sha256 = False,
    compat: flags.Compat = None,
    strict: flags.Strict = False,
    stages: flags.KeptStages = None,
    resume: flags.Resume = False,
    force: flags.Force = False,
    quiet: render.Quiet = False,
    verbose: render.Verbose = False,
) -> None:
    """Merge fine-tuned models of one architecture into one, tensor by tensor.

    The parameters of the method are options, too: --weight 1.0 0.8 --density 0.3.
    `alnico methods NAME` lists them. `alnico merge RECIPE.yml` is `alnico run RECIPE.yml`.
    """
    from alnico.merging.execute import How
    from alnico.recipe.options import Options

    asked = flags.read_asked(
        context,
        models,
        base=base,
        method=method,
        settings=settings,
        plugin=plugin,
        tokenizer=tokenizer,
    )
    options = Options(
        force=force,
        resume=resume,
        sha256=sha256,
        shard_size=flags.read_size(shard_size),
        dtype=dtype,
        seed=seed,
        integers_from=integers_from,
        exact=flags.read_compat(compat),
        strict=strict,
        stages=stages,
        how=How(threads, device, allow_nonfinite),
    )
    carry_out(asked, output, options, score=score, quiet=quiet, verbose=verbose)

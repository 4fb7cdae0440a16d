"""`ablata study`: plan, run, watch, report, carry away."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablata.base.errors import SettingsError
from ablata.base.quantities import counted, parse_duration
from ablata.cli.asking import (
    Aa,
    Again,
    Arms,
    Begin,
    Budget,
    Cells,
    ClusterRule,
    CommandOption,
    CommandOptions,
    Effect,
    Extendable,
    FactorTexts,
    FirstSeed,
    Fixed,
    Fork,
    Guards,
    Inputs,
    Lower,
    Margin,
    MetricName,
    Name,
    NoiseFrom,
    Pack,
    Pilot,
    Question,
    RecipeOption,
    Replace,
    SaveAs,
    Scores,
    Screen,
    Seeds,
    Sets,
    Sources,
    StoreAddress,
    StudyRequest,
    Timeout,
    TogetherOption,
    TrustCode,
    WithHistory,
    WorkerCount,
    WorkersOrAuto,
    Yes,
    worker_count,
)
from ablata.cli.console import agreed, err, note, out, print_json, quick_imports
from ablata.cli.help import CommandGroup
from ablata.cli.runs import told, written
from ablata.cli.studies.clusters import Cpus, Gpus, JobTime, MemoryGb, Partition, RayAddress, Slurm, cluster_of
from ablata.cli.studies.continuing import (
    ReportFile,
    confirm,
    end_as_interrupted,
    extend,
    launch,
    refuse_no_page,
    run_confirming,
    show,
)

if TYPE_CHECKING:
    from ablata.studies.study import Study
    from ablata.trainers.declared import DeclaredRule

app = CommandGroup(help="Ask whether a change helps, and get a verdict.")
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Recorded = Annotated[str, typer.Argument(help="A study in the ledger.")]


@app.command("plan")
def plan(
    name: Name = None,
    recipe: RecipeOption = None,
    command: CommandOption = None,
    sets: Sets = None,
    arm: Arms = None,
    factor: FactorTexts = None,
    cells: Cells = None,
    seeds: Seeds = None,
    budget: Budget = None,
    pilot: Pilot = None,
    effect: Effect = None,
    first_seed: FirstSeed = None,
    margin: Margin = None,
    metric: MetricName = None,
    score: Scores = None,
    lower: Lower = None,
    timeout: Timeout = None,
    inputs: Inputs = None,
    source: Sources = None,
    screen: Screen = False,
    force_fixed: Fixed = False,
    extendable: Extendable = False,
    history: WithHistory = False,
    noise: NoiseFrom = None,
    clusters: ClusterRule = None,
    fork: Fork = None,
    begin: Begin = None,
    guard: Guards = None,
    workers: WorkerCount = None,
    together: TogetherOption = "never",
    save_as: SaveAs = None,
    question: Question = None,
    control: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="With --write, in place of a recipe or command: the control among scores of other programs.",
        ),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(
            help="Write the rule to this file, for `ablata judge SCORES --declared FILE`.", show_default=False
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Estimate a study's cost and the effects that it can detect. Nothing is trained but a few steps, to time them."""
    from ablata.cli.studies.sizing import fitted, planned
    from ablata.records.ledger import Ledger
    from ablata.studies.given.declaring import rule_of_study, rule_words
    from ablata.trainers.declared import write_rule

    asked = StudyRequest(
        name=name, recipe=recipe, command=command, program=CommandOptions.of(score, lower, timeout, inputs, source),
        sets=tuple(sets or ()), arms=tuple(arm or ()), factors=tuple(factor or ()), cells=cells,
        seeds=seeds, first_seed=first_seed, margin=margin, metric=metric,
        screen=screen, fixed=force_fixed, extendable=extendable, history=history, noise=noise, clusters=clusters,
        save_as=save_as, question=question, budget=budget, pilot=pilot, fork=fork,
        guards=tuple(guard or ()), begin=tuple(begin or ()),
    )  # fmt: skip
    if control is not None:
        if name or recipe or command or write is None:
            raise SettingsError(
                "--control names the control of a rule for scores that other programs will make",
                found=f"--control {control} with {name or recipe or command or 'no --write FILE'}",
                do="ablata study plan --control base --arm wide --score acc --seeds 5 --write rule.json",
            )
        rule = _rule_of_names(control, asked)
        write_rule(rule, write)
        out.print(rule_words(rule), markup=False)
        note(f"written: {write}")
        return
    with Ledger() as ledger:
        study = fitted(ledger, asked.study(ledger, planning=True), budget, pilot, workers, together)
        made = planned(ledger, study, effect, workers, together)
    if write is not None:
        write_rule(rule_of_study(study), write)
    if json:
        print_json(made.to_json())
    else:
        out.print(str(made), markup=False)
    if write is not None:
        note(f"written: {write}")


def _rule_of_names(control: str, asked: StudyRequest) -> DeclaredRule:
    """Return a rule for scores that other programs will make, from the names of their arms."""
    from ablata.studies.given.declaring import declare

    if not asked.arms or len(asked.program.scores) != 1 or asked.seeds is None or asked.sets:
        raise SettingsError(
            "A rule for scores to come names its arms, one score and the number of seeds, and no setting",
            found=f"--control {control}",
            do="--arm NAME for each arm, --score NAME, --seeds N",
        )
    return declare(
        control, asked.arms, metric=asked.program.scores[0], seeds=asked.seeds, lower=asked.program.lower,
        margin=asked.margin, first_seed=asked.first_seed or 0, screen=asked.screen, question=asked.question,
    )  # fmt: skip


@app.command("run")
def run(
    name: Name = None,
    recipe: RecipeOption = None,
    command: CommandOption = None,
    sets: Sets = None,
    arm: Arms = None,
    factor: FactorTexts = None,
    cells: Cells = None,
    seeds: Seeds = None,
    budget: Budget = None,
    pilot: Pilot = None,
    effect: Effect = None,
    aa: Aa = False,
    fork: Fork = None,
    begin: Begin = None,
    guard: Guards = None,
    again: Again = None,
    first_seed: FirstSeed = None,
    margin: Margin = None,
    metric: MetricName = None,
    score: Scores = None,
    lower: Lower = None,
    timeout: Timeout = None,
    inputs: Inputs = None,
    source: Sources = None,
    screen: Screen = False,
    force_fixed: Fixed = False,
    extendable: Extendable = False,
    history: WithHistory = False,
    noise: NoiseFrom = None,
    clusters: ClusterRule = None,
    workers: WorkersOrAuto = None,
    pack: Pack = None,
    together: TogetherOption = "never",
    ray: RayAddress = None,
    slurm: Slurm = False,
    cpus: Cpus = None,
    gpus: Gpus = None,
    memory: MemoryGb = None,
    time: JobTime = None,
    partition: Partition = None,
    store: StoreAddress = None,
    save_as: SaveAs = None,
    question: Question = None,
    output: ReportFile = None,
    confirm_best: Annotated[
        bool,
        typer.Option(
            "--confirm",
            help="Of a factorial study: then run the predicted best combination beside the control, on fresh "
            "seeds, as `ablata study confirm` does.",
        ),
    ] = False,
    trust_code: TrustCode = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Run a study to its verdicts. Interrupted or killed, the same command continues it."""
    with quick_imports():
        from ablata.cli.studies.sizing import sized
        from ablata.records.ledger import Ledger

    asked = StudyRequest(
        name=name, recipe=recipe, command=command, program=CommandOptions.of(score, lower, timeout, inputs, source),
        sets=tuple(sets or ()), arms=tuple(arm or ()), factors=tuple(factor or ()), cells=cells,
        seeds=seeds, first_seed=first_seed, margin=margin, metric=metric,
        screen=screen, fixed=force_fixed, extendable=extendable, history=history, noise=noise, clusters=clusters,
        save_as=save_as, question=question, budget=budget, pilot=pilot, aa=aa, fork=fork,
        guards=tuple(guard or ()), begin=tuple(begin or ()),
    )  # fmt: skip
    refuse_no_page(output)
    wanted = worker_count(workers)
    number = wanted if isinstance(wanted, int) else None
    cluster = cluster_of(ray, slurm, cpus, gpus, memory, time, partition, number)
    end_as_interrupted()
    with Ledger(store=store) as ledger:
        recorded = {row.name for row in ledger.studies.all()}
        study: Study | str | None = name
        if not (name in recorded and asked.only_named):
            study = sized(
                ledger, asked.study(ledger), budget, pilot, effect, number, chosen=asked.has_seeds, together=together
            )
        if study is None:
            return
        done = launch(
            ledger,
            study,
            wanted,
            trust_code=trust_code,
            cluster=cluster,
            again=again or (),
            together=together,
            pack=pack,
        )
        show(ledger, done, output, json=json)
        if confirm_best:
            run_confirming(ledger, done, None, number, None, trust_code=trust_code, json=json)


@app.command("pick")
def pick(
    name: Name = None,
    recipe: RecipeOption = None,
    command: CommandOption = None,
    sets: Sets = None,
    arm: Arms = None,
    runs: Annotated[
        int | None, typer.Option(min=1, help="The budget: runs in all, the control's included.", show_default=False)
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="In place of --runs: as many as this time pays for, such as 30m."),
    ] = None,
    first_seed: FirstSeed = None,
    metric: MetricName = None,
    score: Scores = None,
    lower: Lower = None,
    guard: Guards = None,
    timeout: Timeout = None,
    inputs: Inputs = None,
    source: Sources = None,
    workers: WorkerCount = None,
    save_as: SaveAs = None,
    question: Question = None,
    output: ReportFile = None,
    trust_code: TrustCode = False,
    json: Json = False,
) -> None:
    """Take the best of several settings within a budget.

    Runs go where they may change the choice; it is a choice, never a claim.
    """
    with quick_imports():
        from ablata.api.studies import as_pick
        from ablata.records.ledger import Ledger

    asked = StudyRequest(
        name=name, recipe=recipe, command=command, program=CommandOptions.of(score, lower, timeout, inputs, source),
        sets=tuple(sets or ()), arms=tuple(arm or ()), seeds=runs, first_seed=first_seed, margin=None, metric=metric,
        screen=False, fixed=False, history=False, save_as=save_as, question=question, budget=budget,
        guards=tuple(guard or ()),
    )  # fmt: skip
    if (runs is None) == (budget is None):
        raise SettingsError(
            "A pick needs its budget before it starts", found="no --runs" if runs is None else "--runs and --budget",
            do="--runs 45, or --budget 30m",
        )  # fmt: skip
    refuse_no_page(output)
    end_as_interrupted()
    with Ledger() as ledger:
        seconds = None if budget is None else parse_duration(budget, "--budget 30m")
        study = as_pick(asked.study(ledger), runs, seconds, workers=workers, progress=err, ledger=ledger)
        done = launch(ledger, study, workers, trust_code=trust_code)
        show(ledger, done, output, json=json)


app.command("extend")(extend)
app.command("confirm")(confirm)


@app.command("status")
def status(name: Recorded, json: Json = False) -> None:
    """Show how far a study is. Runs by state, verdicts so far, workers that no longer answer."""
    from ablata.cli.studies.reporting import print_status
    from ablata.records.ledger import Ledger

    with Ledger(create=False) as ledger:
        print_status(ledger, name, json)


@app.command("report")
def report(
    name: Recorded,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="terminal|markdown|html|json",
            help="Form of the report; by default that of the file's ending, or the terminal's.",
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="The file to write.")] = None,
) -> None:
    """Report a study in the terminal, as Markdown, HTML or JSON."""
    from ablata.api.studies import check_format
    from ablata.cli.studies.reporting import print_report, write_report
    from ablata.records.ledger import Ledger

    if form is not None:
        check_format(form)
    with Ledger(create=False) as ledger:
        if output is None:
            print_report(ledger, name, form or "terminal")
        else:
            write_report(ledger, name, form, output)


@app.command("list")
def list_studies(json: Json = False) -> None:
    """List recorded studies, and those that come with ablata."""
    from dataclasses import asdict

    from ablata.records.ledger import Ledger
    from ablata.reports.judged import AFTERWARDS
    from ablata.studies.index import study_entries

    with Ledger(create=False) as ledger:
        rows = ledger.studies.all()
    if json:
        print_json({"recorded": [asdict(row) for row in rows], "available": [entry.name for entry in study_entries()]})
        return
    for row in rows:
        state = f"{row.state}, {AFTERWARDS}" if row.is_given and not row.spec["given"].get("claimed") else row.state
        out.print(f"{row.name}  {state}  {row.question}", markup=False)
    recorded = {row.name for row in rows}
    for entry in study_entries():
        if entry.name not in recorded:
            out.print(f"{entry.name}  not run yet  {entry.summary}", markup=False)


@app.command("export")
def export(
    name: Recorded,
    path: Annotated[Path | None, typer.Argument(help="The file to write, such as study.ablata.")] = None,
    checkpoints: Annotated[bool, typer.Option("--checkpoints", help="Include the weights.")] = False,
    mlflow: Annotated[
        str | None, typer.Option(metavar="URI", help="Write it to this MLflow server or database instead.")
    ] = None,
    replace: Replace = False,
) -> None:
    """Write a study to one file, or to MLflow. Its runs, curves and small files go with it."""
    from ablata.api.moving import export_study

    if (path is None) == (mlflow is None):
        raise SettingsError(
            "Name a file to write, or an MLflow address", found="neither" if path is None else "both",
            do=f"ablata study export {name} study.ablata",
        )  # fmt: skip
    if mlflow is not None:
        from ablata.api.exporting import export_to_mlflow

        parents = export_to_mlflow(name, mlflow)
        note(f"written: experiment {name} of {mlflow}, {counted(len(parents), 'arm')}")
        return
    assert path is not None

    done = export_study(name, path, checkpoints=checkpoints, replace=replace)
    written(done, checkpoints)


@app.command("import")
def import_(path: Annotated[Path, typer.Argument(help="A file that `ablata study export` wrote.")]) -> None:
    """Read a study from a file. Runs that are here already are shared."""
    from ablata.api.moving import import_study

    done = import_study(path)
    note(f"study {done.study}: {counted(done.taken, 'run')} taken in, {done.shared} were here already")


@app.command("stop")
def stop(name: Recorded) -> None:
    """Stop a study that goes on elsewhere. Its runs finish their step and are saved."""
    from ablata.api.stopping import stop_study

    running = stop_study(name)
    note(f"study {name} was asked to stop; {counted(len(running), 'run')} under way will be saved")
    note(f"go on with: ablata study run {name}")


@app.command("cancel")
def cancel(name: Recorded, yes: Yes = False) -> None:
    """End a study now. What has ended is judged, waiting runs are cancelled."""
    from ablata.api.stopping import cancel_study, refuse_ended

    refuse_ended(name)
    lines = [f"study {name} would end with what it has; nothing more would be trained for it"]
    if not agreed(lines, yes, question="End it?"):
        raise typer.Exit(1)
    cancelled = cancel_study(name)
    note(f"study {name} has ended; {counted(cancelled, 'waiting run')} cancelled")
    note("to ask it again: another --name, or ablata study rm first; its runs are used again")


@app.command("rm")
def remove(
    name: Recorded,
    keep_runs: Annotated[bool, typer.Option("--keep-runs", help="Leave its runs.")] = False,
    yes: Yes = False,
) -> None:
    """Remove a study and its runs. Runs that something else needs stay."""
    from ablata.api.housekeeping import removal_lines, remove_study

    told(remove_study(name, keep_runs=keep_runs, confirm=lambda planned: agreed(removal_lines(planned), yes)))


@app.command("rename")
def rename(old: Recorded, new: Annotated[str, typer.Argument(help="Its new name.")], yes: Yes = False) -> None:
    """Give a study another name; its runs, verdicts and page stay."""
    from ablata.api.housekeeping import rename_study

    told = [f"study {old} becomes {new}"]
    if not rename_study(old, new, confirm=lambda: agreed(told, yes, question="Rename it?")):
        raise typer.Exit(1)
    note(f"study {old} is now {new}")

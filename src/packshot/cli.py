"""The command line: parse, call, print. Every command is a public function of the package."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from packshot import cli_captions, cli_lora
from packshot.terms import StorageWanted

if TYPE_CHECKING:
    from packshot.console import Console
    from packshot.project import Project
    from packshot.terms import Scope

# Their advice is for programmers; a user can do nothing with it.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Learn one product from its photos, and picture it anywhere.",
)

app.add_typer(cli_lora.app, name="lora")

ProjectFolder = Annotated[Path, typer.Option("--project", "-p", help="The project folder.")]
Kinds = Annotated[str, typer.Option(help="What to blur in them: faces, plates or both.")]
FaceModel = Annotated[
    Path | None, typer.Option(help="A YuNet model (ONNX), to find more faces than what is bundled.")
]
Language = Annotated[str, typer.Option(help="The shoot guide's: en or it.")]
Here = Path()
STORAGE = "How the frozen base lies in memory; auto: as it is, or else as it fits the GPU."
BASE = 'A checkpoint: a path, OWNER/NAME on the Hugging Face hub, or "pocket".'


@app.command()
def run(
    photos: Annotated[Path, typer.Argument(help="Folder with photos of one product.")],
    class_noun: Annotated[
        str, typer.Option("--class", help="What kind of thing it is: car, watch.")
    ],
    name: Annotated[str | None, typer.Option(help="The product's name.")] = None,
    base: Annotated[str, typer.Option(help=BASE)] = "pocket",
    storage: Annotated[StorageWanted, typer.Option(help=STORAGE)] = "auto",
    budget: Annotated[str | None, typer.Option(help="Time for everything: 10m, 1h30m.")] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="One prompt a line; {subject} is the product.")
    ] = None,
    project: Annotated[
        Path | None, typer.Option("--project", "-p", help="The project folder.")
    ] = None,
    trigger: Annotated[str, typer.Option(help="The token that will mean the product.")] = "ohwx",
    class_images: Annotated[Path | None, typer.Option(help="Folder of class images.")] = None,
    class_count: Annotated[int | None, typer.Option(min=1, help="How many class images.")] = None,
    seeds: Annotated[int, typer.Option(min=1, max=64, help="Pictures of each prompt.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the whole project.")] = 0,
    blur: Kinds = "",
) -> None:
    """Walk the whole path: photos, captions, class images, plan, training, shots, report."""
    from packshot import path
    from packshot.console import Console, asked_to_stop
    from packshot.durations import to_seconds
    from packshot.prompts import read_prompts

    with Console() as console, asked_to_stop(console) as should_stop:
        outcome = path.run(
            photos,
            class_noun=class_noun,
            name=name,
            trigger=trigger,
            base=base,
            storage=storage,
            root=project,
            budget_seconds=to_seconds(budget) if budget else None,
            prompts=read_prompts(prompts) if prompts else None,
            class_folder=class_images,
            class_count=class_count,
            seeds=range(seeds),
            seed=seed,
            blur=_words(blur),
            progress=console.progress,
            on_plan=console.plan,
            on_event=console.event,
            should_stop=should_stop,
        )
        console.refused(outcome.refused)
    if outcome.stopped:
        raise typer.Exit(130)
    typer.echo(f"LoRA:    {outcome.project.lora_file}\nReport:  {outcome.report_file}")


@app.command()
def new(
    folder: Annotated[Path, typer.Argument(help="The project folder to make.")],
    class_noun: Annotated[str, typer.Option("--class", help="What kind of thing it is.")],
    name: Annotated[str | None, typer.Option(help="The product's name.")] = None,
    trigger: Annotated[str, typer.Option(help="The token that will mean the product.")] = "ohwx",
    base: Annotated[str, typer.Option(help=BASE)] = "pocket",
    storage: Annotated[StorageWanted, typer.Option(help=STORAGE)] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything.")] = 0,
) -> None:
    """Make a project folder for one product."""
    from packshot import project

    made = project.new(
        folder,
        name=name or folder.resolve().name,
        class_noun=class_noun,
        trigger=trigger,
        base=base,
        storage=storage,
        seed=seed,
    )
    typer.echo(f"Project: {made.root}\nNext:    packshot photos FOLDER --project {made.root}")


@app.command()
def photos(
    source: Annotated[
        Path, typer.Argument(help="Folder with photos, videos and ZIPs; or one of them.")
    ],
    project: ProjectFolder = Here,
    blur: Kinds = "",
    face_model: FaceModel = None,
    frames: Annotated[int, typer.Option(min=1, help="How many are taken of a video.")] = 12,
    language: Language = "en",
) -> None:
    """Check photos of the product and take them in; the others are refused with a reason."""
    from packshot.blur import blur_photos, detectors
    from packshot.console import Console
    from packshot.guide import words_of
    from packshot.photos import add_photos

    opened = _open(project)
    kinds = _words(blur)
    # What cannot be done is told before photos are taken.
    detectors(kinds, face_model)
    words_of(language)
    with Console() as console:
        accepted = add_photos(opened, source, console.progress, frames=frames)
        console.refused(accepted.refused)
        if kinds:
            blurred = blur_photos(opened, kinds, face_model=face_model, progress=console.progress)
            console.blurred(blurred)
    typer.echo(f"{len(accepted.photos)} photos accepted, {len(accepted.refused)} refused.")
    _echo_guide(opened, language)


@app.command()
def blur(
    project: ProjectFolder = Here,
    what: Annotated[
        str, typer.Option(help="What to blur: faces, plates or both.")
    ] = "faces,plates",
    face_model: FaceModel = None,
) -> None:
    """Blur faces and number plates in the project's photos; yours stay as they are."""
    from packshot.blur import blur_photos
    from packshot.console import Console

    with Console() as console:
        blurred = blur_photos(
            _open(project), _words(what), face_model=face_model, progress=console.progress
        )
        console.blurred(blurred)
    typer.echo("Look at the photos before you show them: not everything is found.")


@app.command()
def guide(project: ProjectFolder = Here, language: Language = "en") -> None:
    """Say what the photos lack, and how to take what is missing."""
    _echo_guide(_open(project), language)


def _echo_guide(project: Project, language: str) -> None:
    from packshot.guide import shoot_guide

    for item in shoot_guide(project, language):
        typer.echo(f"- {item.missing}. {item.advice}")


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


app.command()(cli_captions.caption)


@app.command()
def masks(
    project: ProjectFolder = Here,
    segmenter: Annotated[
        str,
        typer.Option(
            help="auto (the best that is found), embedded, onnx (or its kind: birefnet, isnet, "
            "u2net), sam2, or another package's."
        ),
    ] = "auto",
    model: Annotated[
        str | None,
        typer.Option(help="Its weights: an .onnx file, a folder, OWNER/NAME on the hub."),
    ] = None,
    redo: Annotated[
        bool, typer.Option("--redo", help="Also make anew what a segmenter found; never yours.")
    ] = False,
) -> None:
    """Find the product in each photo, so that its surroundings count less; masks that stand are kept."""
    from packshot.console import Console
    from packshot.masks import mask_photos
    from packshot.masks.registry import load_segmenter

    opened = _open(project)
    with Console() as console:
        finder = load_segmenter(segmenter, model, console.progress)
        masked = mask_photos(opened, finder, console.progress, redo=redo)
        console.masked(masked, opened.masks_folder)
    count = sum(photo.mask is not None for photo in masked.photos)
    typer.echo(f"{count} masks in {opened.masks_folder}: look at them before you train.")


@app.command()
def class_images(
    project: ProjectFolder = Here,
    sources: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            help="Folder of pictures; or, several if you like: openverse, commons, a file of URLs, "
            "img2dataset's folder. Default: the base makes them.",
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    words: Annotated[
        str | None, typer.Option(help="Online: what to search for; default: the class.")
    ] = None,
    licences: Annotated[
        str, typer.Option(help="Online: which may be: cc0, pdm, by, by-sa, by-nd, by-nc, …")
    ] = "cc0,pdm,by",
    min_side: Annotated[
        int, typer.Option(min=64, help="Online: pixels of the shorter side.")
    ] = 512,
    contact: Annotated[
        str | None,
        typer.Option(
            envvar="PACKSHOT_CONTACT", help="Online: your e-mail or URL, for the sites asked."
        ),
    ] = None,
    openverse_token: Annotated[
        str | None,
        typer.Option(envvar="PACKSHOT_OPENVERSE_TOKEN", help="For more requests a day."),
    ] = None,
    clip: Annotated[
        Path | None,
        typer.Option(help="Online: folder of a CLIP, to leave out what is not of the class."),
    ] = None,
) -> None:
    """Gather pictures of the class, so that the model keeps knowing what any such thing is."""
    from packshot.console import Console

    opened = _open(project)
    folder = _plain_folder(sources)
    with Console() as console:
        if folder or not sources:
            from packshot.class_images import gather_class_images

            images = gather_class_images(
                opened,
                _base(opened, console),
                count=count,
                folder=folder,
                progress=console.progress,
            )
        else:
            from packshot.class_images.online import gather_online

            gathered = gather_online(
                opened,
                sources,
                count=count,
                words=words,
                licences=licences.split(","),
                min_side=min_side,
                contact=contact,
                openverse_token=openverse_token,
                clip=clip,
                progress=console.progress,
            )
            images = gathered.images
            if gathered.refused:
                told = opened.class_images_refused_file
                console.say(f"{len(gathered.refused)} left out; {told} says why")
            for note in gathered.notes:
                console.say(f"note: {note}")
    typer.echo(f"{len(images)} class images in {opened.class_images_folder}")


@app.command("import")
def import_dataset(
    dataset: Annotated[
        Path,
        typer.Argument(
            help="A folder, --dataset_config or table of captions (.json, .jsonl, .csv)."
        ),
    ],
    project: ProjectFolder = Here,
    class_noun: Annotated[
        str | None, typer.Option("--class", help="What kind of thing it is, if it does not say.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The product's name.")] = None,
    trigger: Annotated[
        str | None, typer.Option(help="The token that means the product, if it does not say.")
    ] = None,
    base: Annotated[str | None, typer.Option(help=BASE)] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of a table's pictures, if it lies elsewhere.")
    ] = None,
) -> None:
    """Fill a project, made if there is none, with a dataset of kohya's or a Hugging Face imagefolder."""
    from packshot import datasets
    from packshot.console import Console

    with Console() as console:
        imported = datasets.import_dataset(
            dataset,
            project,
            class_noun=class_noun,
            name=name,
            trigger=trigger,
            base=base,
            images=images,
            progress=console.progress,
        )
        console.refused(imported.refused)
        for note in imported.notes:
            console.say(f"note: {note}")
    with_caption, with_mask = (
        sum(getattr(photo, kind) is not None for photo in imported.photos)
        for kind in ("caption", "mask")
    )
    typer.echo(
        f"{len(imported.photos)} photos accepted ({with_caption} with captions, {with_mask} with "
        f"masks), {len(imported.refused)} refused; {len(imported.class_images)} class images."
    )


@app.command("export")
def export_dataset(
    out: Annotated[Path, typer.Argument(help="The folder to make.")],
    project: ProjectFolder = Here,
    format: Annotated[str, typer.Option(help="kohya or imagefolder.")] = "kohya",
) -> None:
    """Write photos, captions, masks and class images as another trainer's dataset."""
    from packshot import datasets
    from packshot.console import Console

    with Console() as console:
        written = datasets.export_dataset(
            _open(project), out, format=format, progress=console.progress
        )
    typer.echo(f"Dataset: {written}")


@app.command()
def plan(
    project: ProjectFolder = Here,
    budget: Annotated[str | None, typer.Option(help="Time for the training: 10m.")] = None,
    targets: Annotated[
        str | None, typer.Option(help="cross-attention, attention, attention+mlp or all.")
    ] = None,
    rank: Annotated[int | None, typer.Option(min=1, help="The LoRA's rank.")] = None,
    class_share: Annotated[
        float | None, typer.Option(min=0, max=0.9, help="Class images' share of each batch.")
    ] = None,
    text_encoder: Annotated[
        bool, typer.Option("--text-encoder", help="Have the text encoders learn, too (CLIP's).")
    ] = False,
) -> None:
    """Calibrate on this machine and write plan.toml, to read and to edit."""
    from packshot.console import Console
    from packshot.durations import to_seconds
    from packshot.plan import make_plan

    opened = _open(project)
    with Console() as console:
        made = make_plan(
            opened,
            _base(opened, console),
            budget_seconds=to_seconds(budget) if budget else None,
            targets=scope_of(targets),
            rank=rank,
            class_image_share=class_share,
            text_encoder=text_encoder,
        )
        console.plan(made)
    typer.echo(f"Plan: {opened.plan_file}")


@app.command()
def fits(
    base: Annotated[str, typer.Argument(help=BASE + " Also a family's name: sdxl, flux1.")],
    memory: Annotated[
        str | None, typer.Option(help="Of the GPU: 16GB. By default what is free here.")
    ] = None,
    pixels: Annotated[int | None, typer.Option(min=64, help="Side of the pictures.")] = None,
    targets: Annotated[str | None, typer.Option(help="Layers to adapt.")] = None,
    rank: Annotated[int | None, typer.Option(min=1, help="The LoRA's rank.")] = None,
    text_encoder: Annotated[
        bool, typer.Option("--text-encoder", help="The text encoders learn, too.")
    ] = False,
) -> None:
    """Say how training on a checkpoint fits a GPU; nothing of it is loaded."""
    from packshot.console import Console
    from packshot.plan.fitting import outlook

    with Console() as console:
        scope = scope_of(targets)
        typer.echo(outlook(base, memory, pixels, scope, rank, console.progress, text_encoder))


@app.command()
def train(project: ProjectFolder = Here) -> None:
    """Carry out plan.toml (made first if there is none); a run cut short goes on where it was."""
    from packshot.console import Console, asked_to_stop
    from packshot.plan import make_plan
    from packshot.training import Done, Stopped
    from packshot.training import train as train_events

    opened = _open(project)
    with Console() as console, asked_to_stop(console) as should_stop:
        base = _base(opened, console)
        if not opened.plan_file.exists():
            console.plan(make_plan(opened, base))
        event = None
        for event in train_events(opened, base, should_stop=should_stop):
            console.event(event)
    if isinstance(event, Stopped):
        raise typer.Exit(130)
    if isinstance(event, Done):
        typer.echo(f"LoRA: {event.lora_file}\n      {event.diffusers_lora_file}")


@app.command()
def shoot(
    prompts: Annotated[list[str] | None, typer.Argument(help="{subject} is the product.")] = None,
    project: ProjectFolder = Here,
    prompts_file: Annotated[
        Path | None, typer.Option("--prompts", help="One prompt a line.")
    ] = None,
    lora: Annotated[
        list[str] | None,
        typer.Option(
            help="A LoRA file, or FILE:WEIGHT; several at once. Default: the project's own."
        ),
    ] = None,
    base: Annotated[str | None, typer.Option(help="Another checkpoint than the project's.")] = None,
    seeds: Annotated[int, typer.Option(min=1, max=10_000, help="Pictures of each prompt.")] = 1,
    first_seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
    steps: Annotated[int | None, typer.Option(min=1, max=1000)] = None,
    guidance: Annotated[float | None, typer.Option(min=0, max=50)] = None,
    negative: Annotated[str, typer.Option(help="What should not be there.")] = "",
    width: Annotated[int, typer.Option(min=0, help="Pixels; 0 is the base's own.")] = 0,
    height: Annotated[int, typer.Option(min=0)] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for the pictures.")] = None,
) -> None:
    """Make pictures from prompts; without any, the usual ones, with the LoRA and without it."""
    from packshot import path
    from packshot import shots as shooting
    from packshot.console import Console
    from packshot.prompts import default_prompts, read_prompts

    opened = _open(project)
    asked = [*(prompts or []), *(read_prompts(prompts_file) if prompts_file else [])]
    settings = shooting.settings_of(
        seeds=tuple(range(first_seed, first_seed + seeds)),
        negative_prompt=negative,
        width=width,
        height=height,
        steps=steps,
        guidance_scale=guidance,
    )
    with Console() as console:
        model = _base(opened, console, base)
        if not (asked or lora or base or out):
            usual = default_prompts(opened.subject)
            sheet = path.shoot_all(opened, model, usual, settings, console.progress)
            typer.echo(f"Sheet: {sheet}\nNext:  packshot report --project {opened.root}")
            return
        shots = list(
            shooting.shoot(
                model,
                asked or default_prompts(opened.subject),
                loras=loras_of(lora or [str(opened.lora_file)], model),
                settings=settings,
                folder=out or opened.shots_folder,
                subject=opened.subject,
                progress=console.progress,
            )
        )
    sheet = shooting.write_sheet(shots, (out or opened.shots_folder) / "sheet.png")
    typer.echo("\n".join(str(shot.file) for shot in shots) + f"\nSheet: {sheet}")


@app.command()
def insert(
    plate: Annotated[
        Path, typer.Argument(help="The photo; or a folder or a CSV of many (plate, box, at, …).")
    ],
    project: ProjectFolder = Here,
    box: Annotated[str | None, typer.Option(help="Where it goes, in pixels: x,y,w,h.")] = None,
    quad: Annotated[
        str | None, typer.Option(help="Corners of the ground that it covers: x1,y1,…,x4,y4.")
    ] = None,
    mask: Annotated[Path | None, typer.Option(help="White where it goes.")] = None,
    at: Annotated[str | None, typer.Option(help='In words: "left, near".')] = None,
    view: Annotated[str | None, typer.Option(help="front, side, rear, …")] = None,
    way: Annotated[
        str, typer.Option(help="cut-out (a real photo) or generate (the LoRA).")
    ] = "cut-out",
    count: Annotated[int, typer.Option(min=1, max=64, help="Versions of each.")] = 1,
    suggest: Annotated[
        bool, typer.Option("--suggest", help="Only show where it could go.")
    ] = False,
    horizon: Annotated[float | None, typer.Option(help="Pixels from the top.")] = None,
    tall: Annotated[float, typer.Option(help="The product's height in metres, for --at.")] = 1.5,
    eye: Annotated[float, typer.Option(help="The camera's height in metres, for --at.")] = 1.6,
    light_from: Annotated[
        float | None, typer.Option(help="Degrees: 0 right, 90 behind it, 180 left, 270 the camera.")
    ] = None,
    light_height: Annotated[float | None, typer.Option(help="Degrees over the horizon.")] = None,
    light_hardness: Annotated[float | None, typer.Option(help="0 overcast to 1 clear sun.")] = None,
    reflection: Annotated[float, typer.Option(min=0, max=1, help="Of wet or glossy ground.")] = 0.0,
    refine: Annotated[
        float, typer.Option(min=0, max=0.8, help="How strongly the base goes over a cut-out's rim.")
    ] = 0.0,
    prompt: Annotated[str, typer.Option(help="To paint with.")] = "a photo of {subject}",
    lora: Annotated[list[str] | None, typer.Option(help="FILE:WEIGHT; default: its own.")] = None,
    base: Annotated[str | None, typer.Option(help="Another checkpoint than the project's.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for the results.")] = None,
) -> None:
    """Put the product into a photo that is there already; all else in it stays as it is."""
    from packshot.insertion import command

    opened = _open(project)
    settings = command.settings_of(
        way=way, view=view, seed=seed, prompt=prompt, horizon=horizon,
        light_azimuth_degrees=light_from, light_elevation_degrees=light_height,
        light_hardness=light_hardness, reflection=reflection, refine=refine,
    )  # fmt: skip
    place = command.Place(box=box, quad=quad, mask=mask, at=at, tall_metres=tall, eye_metres=eye)
    if suggest:
        typer.echo(f"Places: {command.show_places(opened, plate, place, settings, out)}")
        return
    from packshot.console import Console

    with Console() as console:
        model, loras = None, []
        paints = way == "generate" or refine > 0
        if paints or opened.settings.base == "pocket":
            model = _base(opened, console, base)
        if paints:
            given = lora or ([str(opened.lora_file)] if opened.lora_file.is_file() else [])
            loras = loras_of(given, model)
        for made in command.insert_all(
            opened, plate, place, settings, count, out, model, loras, console.progress
        ):
            missed = [check.name for check in made.checks if not check.passed]
            verdict = f"fails: {', '.join(missed)}" if missed else "all checks hold"
            console.say(f"{made.file}  ({verdict})")
            console.say(f"  sheet: {made.sheet}")


@app.command()
def report(project: ProjectFolder = Here, language: Language = "en") -> None:
    """Write report.html: everything of this project on one page."""
    from packshot.report import write_report

    typer.echo(f"Report: {write_report(_open(project), language)}")


def _open(folder: Path) -> Project:
    from packshot.project import open_project

    return open_project(folder)


def _plain_folder(sources: list[str] | None) -> Path | None:
    """The folder of pictures that is the one source, if it is."""
    if not sources or len(sources) > 1 or not (folder := Path(sources[0])).is_dir():
        return None
    from packshot.class_images.online.img2dataset import is_output

    return None if is_output(folder) else folder


def _base(project: Project, console: Console, other: str | None = None):  # type: ignore[no-untyped-def]
    from packshot.plan.fitting import load_for

    return load_for(project, other, console.progress)


def scope_of(text: str | None) -> Scope | None:
    """The layers that --targets names."""
    from typing import get_args

    from packshot.errors import PlanInvalid
    from packshot.terms import Scope

    if text is not None and text not in get_args(Scope):
        raise PlanInvalid(f"--targets {text}: choose one of {', '.join(get_args(Scope))}.")
    return text  # type: ignore[return-value]


def loras_of(given: list[str], base):  # type: ignore[no-untyped-def]
    """LoRAs with their weights, of FILE or FILE:WEIGHT."""
    from packshot.lora import load_lora

    loras = []
    for text in given:
        name, _, weight = text.rpartition(":")
        try:
            file, strength = (Path(name), float(weight)) if name else (Path(text), 1.0)
        except ValueError:
            file, strength = Path(text), 1.0
        loras.append((load_lora(file, base), strength))
    return loras


def main() -> None:
    """Run a command. Exit codes: 0 done, 2 the user can mend it, 130 stopped, 1 a bug of ours."""
    from packshot.errors import PackshotError

    try:
        app()
    except SystemExit as ended:
        if ended.code == 130:
            typer.echo("packshot: stopped; the same command goes on from here.", err=True)
        raise
    except PackshotError as error:
        typer.echo(f"packshot: {error}", err=True)
        sys.exit(2)
    except Exception:
        traceback.print_exc()
        typer.echo("packshot: this is a bug; nothing of yours was changed.", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()

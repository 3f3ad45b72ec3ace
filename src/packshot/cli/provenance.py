"""`packshot verify`: what pictures say of themselves; `packshot credentials`: what they are signed with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from packshot.cli.terminal import echo
from packshot.utils import pathnames, serialization

if TYPE_CHECKING:
    from packshot.provenance.signing_key import SigningKey
    from packshot.provenance.verify import Statement

app = typer.Typer(
    no_args_is_help=True, help="What your pictures are signed with: your own key, or a company's."
)
_MAX_TEXT = 2000
_STATES = {
    "trusted": "as it was signed, by {0}, whom this machine trusts",
    "valid": "as it was signed, by {0}, whose name nobody vouches for",
    "untimely": "as it was signed, by {0}, whose certificate is not valid today",
    "changed": "NOT as it was signed",
    "none": "no Content Credentials",
    "unreadable": "cannot be read",
}


def verify(
    files: Annotated[list[Path], typer.Argument(help="Pictures, from Packshot or anywhere.")],
    project: Annotated[
        Path | None,
        typer.Option(
            "--project", "-p", help="A project: where its records are that watermarks lead to."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Tell what pictures say of themselves, and whether it is true; exit code 1 if one is not as signed."""
    from dataclasses import asdict

    from packshot import provenance
    from packshot.project import open_project
    from packshot.report.origin import record_of

    opened = open_project(project) if project else None

    def record(one: Statement) -> str | None:
        found = record_of(opened, one.watermark) if opened and one.watermark else None
        return str(found) if found else None

    told = [provenance.verify(file) for file in files]
    if as_json:
        more = [{"file": str(one.file), "record": record(one)} for one in told]
        rows = [asdict(one) | own for one, own in zip(told, more, strict=True)]
        echo(serialization.as_json(rows, indent=2))
    else:
        for one in told:
            echo(_in_words(one))
            if opened and one.watermark:
                echo(f"  its record: {_in_a_line(record(one) or 'not in this project')}")
    if any(one.state in ("untimely", "changed", "unreadable") for one in told):
        raise typer.Exit(1)


def _in_words(one: Statement) -> str:
    lines = [f"{_in_a_line(one.file)}: {_STATES[one.state].format(one.signer or 'nobody named')}"]
    lines += [f"  why: {reason}" for reason in one.why]
    if one.signed_on:
        lines.append(f"  signed on: {one.signed_on}")
    if one.software:
        lines.append(f"  made with: {one.software}")
    lines += [f"  action: {action}" for action in one.actions]
    lines += [f"  made of: {ingredient}" for ingredient in one.ingredients]
    if one.source_type:
        lines.append(f"  IPTC source type: {one.source_type}")
    lines += [_in_a_line(f"  {key}: {value}") for key, value in (one.details or {}).items()]
    if one.watermark:
        lines.append(f"  watermark in the pixels: {one.watermark}")
    return "\n".join(lines)


def _in_a_line(text: object) -> str:
    """What others have written, in one line of ours: no line of it is taken for what `verify` says."""
    return pathnames.printable_name(str(text))[:_MAX_TEXT]


@app.command("show")
def show() -> None:
    """Show what pictures are signed with; a key of your own is made if there is none yet."""
    from packshot.provenance import signing_key

    echo(_of_key(signing_key.current()))


@app.command("use")
def use(
    certificate: Annotated[
        Path, typer.Argument(help="PEM with its chain, or PKCS#12 with the key.")
    ],
    key: Annotated[Path | None, typer.Argument(help="The key, in PEM.")] = None,
    command: Annotated[
        str,
        typer.Option(
            help="A command that signs instead: data on its input, the signature on its output."
        ),
    ] = "",
    timestamp: Annotated[
        str | None,
        typer.Option(help="URL of a time stamp authority (RFC 3161); it is asked each time."),
    ] = None,
    password: Annotated[
        str | None,
        typer.Option(
            envvar="PACKSHOT_KEY_PASSWORD", help="Of an encrypted key; better by the variable."
        ),
    ] = None,
) -> None:
    """Sign with a company's certificate from now on."""
    from packshot.provenance import signing_key

    chosen = signing_key.use(
        certificate, key, password=password, command=command, timestamp_url=timestamp
    )
    echo(_of_key(chosen))


def _of_key(key: SigningKey) -> str:
    from packshot.provenance import signing_key

    own = key.certificate
    worth = (
        "Self-made: it shows that a picture was not changed since, but not who you are. For that, use a "
        "certificate that an authority has issued: packshot credentials use CERT KEY."
        if key.is_own
        else f"Issued by {own.issuer.rfc4514_string()}."
    )
    return (
        f"Signed as:   {key.owner} ({key.algorithm})\n"
        f"Valid:       {own.not_valid_before_utc:%Y-%m-%d} to {own.not_valid_after_utc:%Y-%m-%d}\n"
        f"Time stamps: {key.timestamp_url or 'none'}\n"
        f"Kept in:     {signing_key.folder()}\n{worth}"
    )

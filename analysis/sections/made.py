"""How each number was made: the commands, ready to be copied."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from markupsafe import Markup

from analysis.data.results import Results
from analysis.data.runs import by_score, runs, unlabelled
from analysis.page.frame import Section, command, paragraph, render
from analysis.page.reproduce import recipes


def made(results: Results) -> Section:
    """From the study folders to this page, then the command that computes each configuration again."""
    named = " ".join(shlex.quote(str(study.folder)) for study in results.studies)
    scripts = "\n".join(f"python analysis/{name}.py {named}" for name in ("report", "tables", "curves"))
    ran = [
        Markup("<h3>{}</h3>{}").format(study.name, command("\n".join(study.description.get("commands", []))))
        for study in results.studies
    ]
    rows = []
    for group in results.groups:
        for recipe in recipes(by_score(group) if unlabelled(group) else runs(group), group):
            rows.append(
                {
                    "names": ", ".join(recipe.experiments) or "search",
                    "seeds": ", ".join(map(str, recipe.seeds)),
                    "trials": ", ".join(recipe.trials),
                    "command": command(recipe.command),
                }
            )
    body = Markup().join(
        [
            paragraph("The commands that the studies were run with:"),
            *ran,
            paragraph("From the study folders to the numbers on this page:"),
            command(scripts),
            render("made.html", rows=rows),
        ]
    )
    return Section("made", "How each number was made", body)


def left_out(messages: Sequence[str]) -> Section | None:
    """What could not be read, and warnings of the trials; nothing where there is nothing."""
    if not messages:
        return None
    items = Markup("\n").join(Markup("<li>{}</li>").format(text) for text in messages)
    return Section("left-out", "What was left out, and warnings", Markup("<ul>\n{}</ul>\n").format(items))

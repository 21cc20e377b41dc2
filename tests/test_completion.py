"""Completion completes: real shells are asked what may follow."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Studio

_ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
$(complete -p agent-studio | sed 's/.* -F \\([^ ]*\\) .*/\\1/')
printf '%s\\n' "${COMPREPLY[@]}"
"""
_ZSH = """
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PS1=; fpath=('$1' $fpath); autoload -Uz compinit && compinit -D -u; echo RE""ADY'
zpty -r -m shell said '*READY*'
zpty -w -n shell $2$'\\t'
zpty -r -m shell said "*$3*"
zpty -d shell
"""


def needs(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not shutil.which(shell), reason=f"no {shell} here: bash scripts/setup.sh tools")


def written(bare: Studio, shell: str, name: str) -> Path:
    return bare.write(f"completions/{name}", bare.run("completion", shell).out)


@needs("bash")
def test_bash_completes_verbs_options_environments_keys_and_files(bare: Studio) -> None:
    script = written(bare, "bash", "agent-studio")

    def asked(*words: str) -> set[str]:
        line = ["bash", "--norc", "-c", _ASK, "ask", str(script), "agent-studio", *words]
        done = subprocess.run(line, cwd=bare.path, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return set(done.stdout.split())

    assert asked("smo") == {"smoke"}
    assert asked("cost", "") == {"report", "import", "record", "verify", "budget", "prices"}
    assert asked("--en") == {"--env"}
    assert asked("smoke", "--j") == {"--junit", "--json"}
    environments = {"development", "staging", "production"}
    assert asked("--env", "") == asked("smoke", "--env", "") == environments
    assert asked("--env", "staging", "cost", "rep") == {"report"}
    assert asked("smoke", "--env", "st") == {"staging"}
    assert asked("config", "explain", "release.ta") == {"release.target"}
    assert asked("scan", "--only", "") == {"seeds", "candidate", "records"}
    assert asked("--project", "compl") == {"completions"}
    assert asked("scan", "completions/ag") == {"completions/agent-studio"}


@needs("fish")
def test_fish_completes_verbs_options_and_environments(bare: Studio) -> None:
    script = written(bare, "fish", "agent-studio.fish")
    for line, wanted in (("smo", "smoke"), ("smoke --env s", "staging"), ("smoke --js", "--json")):
        done = subprocess.run(
            ["fish", "--no-config", "-c", f"source '{script}'; complete -C 'agent-studio {line}'"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert [one.split("\t")[0] for one in done.stdout.splitlines()] == [wanted]


@needs("zsh")
def test_zsh_reads_the_script_and_completes(bare: Studio) -> None:
    script = written(bare, "zsh", "_agent-studio")
    done = subprocess.run(["zsh", "-n", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    linked = bare.path.parent / "functions"  # a path that needs no quotes
    linked.mkdir()
    shutil.copy(script, linked)
    for line, wanted in (("agent-studio smo", "ke"), ("agent-studio smoke --env s", "taging")):
        subprocess.run(["zsh", "-f", "-c", _ZSH, "ask", linked, line, wanted], timeout=60, check=True)

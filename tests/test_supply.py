"""What this is built from: every version pinned, the workflow's steps by commit, and its audit not passing unseen."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import Distribution, distributions
from pathlib import Path

ROOT = Path(__file__).parent.parent
PIN = re.compile(r"([A-Za-z0-9._-]+)==([0-9][A-Za-z0-9.]*)")
# Tools of the environment itself, and what the GPU build of torch brings, which names each version exactly.
UNPINNED = re.compile(r"pip|setuptools|wheel|neurorecall|triton|nvidia-.*|cuda-.*")


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    found = [PIN.fullmatch(line) for line in lines]
    assert all(found), [line for line, match in zip(lines, found, strict=True) if not match]
    return {plain(match[1]): match[2] for match in found if match}


def needed_by(name: str, known: dict[str, Distribution], seen: set[str]) -> None:
    """Everything that a distribution needs to be installed, as far as it is installed."""
    if name in seen or name not in known:
        return
    seen.add(name)
    for requirement in known[name].requires or ():
        if "extra ==" not in requirement:
            needed_by(plain(re.split(r"[ ;<>=!~\[(]", requirement)[0]), known, seen)


def test_every_requirement_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [one for extra in project["optional-dependencies"].values() for one in extra]
    names = {plain(re.split(r"[<>=!~\[]", one)[0]) for one in (*project["dependencies"], *extras)}
    assert names - {"neurorecall"} <= set(pins())


def test_what_runs_here_has_the_pinned_versions() -> None:
    known = {plain(one.metadata["Name"]): one for one in distributions()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed: set[str] = set()
    for requirement in project["dependencies"]:
        needed_by(plain(re.split(r"[<>=!~\[]", requirement)[0]), known, needed)
    assert len(needed) > 40
    pinned = pins()
    found = {name: known[name].version.partition("+")[0] for name in needed if not UNPINNED.fullmatch(name)}
    assert {name: version for name, version in found.items() if pinned.get(name) != version} == {}


def test_the_workflow_names_each_step_by_its_commit_and_audits_and_lists_the_supply() -> None:
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    used = re.findall(r"uses: (\S+)", workflow)
    assert used
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", one) for one in used)
    assert "make audit" in workflow
    assert "make sbom" in workflow


def test_an_audit_that_could_look_nothing_up_does_not_pass() -> None:
    """Without --strict the tool says that nothing is known to be vulnerable where it could not look."""
    rules = (ROOT / "Makefile").read_text("utf-8")
    audit = rules[rules.index("\naudit:") : rules.index("\nsbom:")]
    assert "--strict" in audit
    assert "exit 1" in audit

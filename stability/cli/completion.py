"""`stability completion SHELL`: a script that lets bash, or another shell, complete the command.

It names all subcommands, options and names as they are now, so that completing starts no Python.
"""

from __future__ import annotations

import importlib
from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import replace

from stability import cli
from stability.cli import function, sweep
from stability.cli.arguments import Parser
from stability.study import DEFAULT, declared


def _parsers(module: str) -> list[Parser]:
    """The parsers that a subcommand chooses from."""
    if module != sweep.__name__:
        return [importlib.import_module(module).parser()]
    studies = declared()
    forms = {name: form for study in studies.values() for name, form in study.forms.items()}
    return [sweep.parser(replace(studies[DEFAULT], forms=forms)), function.parser()]


def _add(p: ArgumentParser, commands: Mapping[str, tuple[str, str]]) -> None:
    subparsers = p.add_subparsers()
    for name, (module, told) in commands.items():
        if further := getattr(importlib.import_module(module), "COMMANDS", None):
            _add(subparsers.add_parser(name, help=told), further)
        else:
            parents = _parsers(module)
            subparsers.add_parser(name, help=told, parents=parents, conflict_handler="resolve", add_help=False)


def parser() -> Parser:
    p = Parser(prog="stability completion", description=__doc__)
    p.add_argument("shell", choices=["bash", "zsh", "tcsh"], help="whose script is printed")
    return p


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    try:
        import shtab
    except ImportError:
        p.error("shtab is not installed; the extra `completion` brings it")
    root = ArgumentParser(prog="stability")
    root.add_argument("--version", action="store_true", help="print the version")
    _add(root, cli.COMMANDS)
    print(shtab.complete(root, args.shell))
    return 0

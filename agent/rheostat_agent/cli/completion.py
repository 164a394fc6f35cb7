"""`rheostat completion`: scripts for bash, zsh and fish, made of the commands' own declarations."""

import sys
from typing import Any

from rheostat_agent.cli import fail
from rheostat_agent.cli.commands import COMMANDS


def completion(values: dict[str, Any], words: list[str]) -> int:
    """Print the completion script for one shell."""
    scripts = {"bash": _bash, "zsh": _zsh, "fish": _fish}
    if len(words) != 1 or words[0] not in scripts:
        return fail("completion: say for which shell: bash, zsh or fish")
    sys.stdout.write(scripts[words[0]]())
    return 0


def _first_words() -> list[str]:
    return [name for name in COMMANDS if " " not in name]


def _bash() -> str:
    cases = []
    for name in _first_words():
        options = " ".join([*(option.name for option in COMMANDS[name].options), "--help"])
        choices = [
            f'      {option.name}) COMPREPLY=($(compgen -W "{" ".join(option.choices)}" -- "$cur")); return;;'
            for option in COMMANDS[name].options
            if option.choices
        ]
        inner = "".join(line + "\n" for line in choices)
        case = f'      case "$prev" in\n{inner}      esac\n' if choices else ""
        cases.append(
            f'    {name})\n{case}      [[ $cur == -* ]] && COMPREPLY=($(compgen -W "{options}" -- "$cur"))\n      ;;'
        )
    return (
        "_rheostat() {\n"
        "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
        "  COMPREPLY=()\n"
        "  if ((COMP_CWORD == 1)); then\n"
        f'    COMPREPLY=($(compgen -W "{" ".join(_first_words())} --help --version" -- "$cur")); return\n'
        "  fi\n"
        '  case "${COMP_WORDS[1]}" in\n' + "\n".join(cases) + "\n  esac\n"
        "}\n"
        "complete -o default -F _rheostat rheostat\n"
    )


def _zsh() -> str:
    return "autoload -U +X bashcompinit && bashcompinit\n" + _bash()


def _fish() -> str:
    lines = [
        "complete -c rheostat -n __fish_use_subcommand -l version",
        "complete -c rheostat -n __fish_use_subcommand -l help",
    ]
    for name in _first_words():
        text = COMMANDS[name].text.partition("\n")[0].replace("'", "\\'")
        lines.append(f"complete -c rheostat -n __fish_use_subcommand -f -a {name} -d '{text}'")
        for option in COMMANDS[name].options:
            help_text = option.text.replace("'", "\\'")
            needs = " -r" if option.metavar else ""
            choices = f" -f -a '{' '.join(option.choices)}'" if option.choices else ""
            lines.append(
                f"complete -c rheostat -n '__fish_seen_subcommand_from {name}' -l {option.name[2:]}{needs}{choices} -d '{help_text}'"
            )
    return "\n".join(lines) + "\n"

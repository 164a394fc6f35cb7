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


_BASH = """\
_rheostat() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}} at=2 valued=" "
  local options= words= runs=${{RHEOSTAT_STATE_DIR:-${{XDG_STATE_HOME:-$HOME/.local/state}}/rheostat}}/runs
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W "{commands} --help --version" -- "$cur")); return
  fi
  if [[ $command == runs && ${{COMP_WORDS[2]}} == prune ]] && ((COMP_CWORD > 2)); then
    command="runs prune" at=3
  fi
  case "$command $prev" in
{choices}
  esac
  case "$command" in
{options}
    *) return;;
  esac
  while [[ $command == run ]] && ((at < COMP_CWORD)); do
    case "${{COMP_WORDS[at]}}" in
      =) at=$((at + 2));;
      -*) [[ $valued == *" ${{COMP_WORDS[at]}} "* ]] && at=$((at + 1)); at=$((at + 1));;
      *) return;;
    esac
  done
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$options --help" -- "$cur"))
  elif [[ $words ]]; then
    [[ $words == last && -d $runs ]] && words="last $(command ls "$runs")"
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
  fi
}}
complete -o default -F _rheostat rheostat
"""


def _bash() -> str:
    choices, options = [], []
    for name, command in COMMANDS.items():
        for option in command.options:
            if option.choices:
                reply = f'COMPREPLY=($(compgen -W "{" ".join(option.choices)}" -- "$cur")); return'
                choices.append(f'    "{name} {option.name}") {reply};;')
        names = " ".join(option.name for option in command.options)
        valued = " ".join(option.name for option in command.options if option.metavar)
        words = " ".join(command.words)
        options.append(f'    "{name}") options="{names}" words="{words}" valued=" {valued} ";;')
    return _BASH.format(
        commands=" ".join(_first_words()), choices="\n".join(choices), options="\n".join(options)
    )


def _zsh() -> str:
    return "autoload -U +X bashcompinit && bashcompinit\n" + _bash()


def _fish() -> str:
    lines = [
        "complete -c rheostat -n __fish_use_subcommand -l version",
        "complete -c rheostat -n __fish_use_subcommand -l help",
    ]
    for name in _first_words():
        text = _quoted(COMMANDS[name].text.partition("\n")[0])
        lines.append(f"complete -c rheostat -n __fish_use_subcommand -f -a {name} -d {text}")
    for name, command in COMMANDS.items():
        seen = f"complete -c rheostat -n '__fish_seen_subcommand_from {name.split()[-1]}'"
        if command.words:
            lines.append(f"{seen} -f -a '{' '.join(command.words)}'")
        for option in command.options:
            needs = " -r" if option.metavar else ""
            choices = f" -f -a '{' '.join(option.choices)}'" if option.choices else ""
            lines.append(f"{seen} -l {option.name[2:]}{needs}{choices} -d {_quoted(option.text)}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

"""What of a prompt asks for something: its prose, without what was pasted; empty where there is nothing to go by."""

from __future__ import annotations

import re

_LOOKED_AT = 6_000
_KEPT = 600
_FEWEST_WORDS, _FEWEST_LETTERS = 3, 12
_PROSE_SHARE = 0.5
"""Of the lines of a prompt; one with less is a paste with a remark."""
_OTHER = ("/", "!", "#", "<", "[Request interrupted", "Caveat:")
"""How prompts begin that ask nothing in words: commands, shell lines, notes, and what the client tells the agent."""
_FENCE = re.compile(r"(`{3,}|~{3,}).*?(?:\1|\Z)", re.DOTALL)
_TAGGED = re.compile(r"<([a-z][\w-]{1,40})(?:\s[^<>]*)?>.*?(?:</\1>|\Z)", re.DOTALL)
_ADDRESS = re.compile(r"\S*(?:://|[\\/])\S+|@\S+")
_WORD = re.compile(r"[^\W\d_]{2,}")
_CODE = re.compile(
    r"^\s*(?:[{}()\[\];<>|+=*$%@]|at\s\S+\(|\d[\d:.,\s-]{3,}|(?:import|from|def|class|const|let|var|return|public|"
    r"private|func|fn|if|for|while|else|try|except|catch|SELECT|INSERT|File|Traceback|Error|[\w.]*Exception)\b.*"
    r"[(){}\[\];:=]\s*$)|[;{}]\s*$|\w\(.*\)\s*$|\s=\s\S|::|->|=>|\.\w+:\d+"
)


def asked_for(prompt: object) -> str:
    """Return the words of a prompt that say what is wanted, or an empty text: too short, a command, or mostly code."""
    if not isinstance(prompt, str) or prompt.lstrip().startswith(_OTHER):
        return ""
    text = _TAGGED.sub(" ", _FENCE.sub("\n", prompt[:_LOOKED_AT].replace("\x00", " ")))
    lines = [line for line in text.splitlines() if line.strip()]
    prose = [line for line in lines if not _CODE.search(line)]
    if not lines or len(prose) < _PROSE_SHARE * len(lines):
        return ""
    said = " ".join(_ADDRESS.sub(" ", " ".join(prose)).split())[:_KEPT]
    found = _WORD.findall(said)
    return said if len(found) >= _FEWEST_WORDS and sum(map(len, found)) >= _FEWEST_LETTERS else ""

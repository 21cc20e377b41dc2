"""Ask for sign-offs, give them, look at what they are worth, take them back.

A sign-off is an SSH signature, in one role, over a statement that names exactly one candidate with all that is known of
it. Files travel between people: one asks, another signs, with a key that allowed_signers names.

  agent-studio signoff request --role qa --out qa.json
  agent-studio signoff sign qa.json --key ~/.ssh/id_ed25519
  agent-studio signoff verify qa.json
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_studio.cli import subverbs
from agent_studio.release.production.sides import refuse_development

if TYPE_CHECKING:
    import argparse

    from agent_studio.cli.dispatch import Parser, Session
    from agent_studio.cli.output import Result

_SUBVERBS = {
    "request": ("request", "say in words what is to be signed, and write it to a file for who signs"),
    "sign": ("signing", "show the words of a request again, and sign them with your key"),
    "verify": ("verify", "say what a signed file is worth now; keep it when it counts; exit 4 when it does not"),
    "withdraw": ("withdraw", "take a sign-off or waiver of your own back, signed with the same key"),
    "list": ("listing", "every sign-off and waiver of a candidate, and what each is worth"),
}
"""Sub-verbs, the module of `cli/signoff/` that holds each, and what it does."""


def configure(parser: Parser) -> None:
    """Add the sub-verbs."""
    subverbs.configure(parser, "signoff", _SUBVERBS)


def run(args: argparse.Namespace, session: Session) -> Result:
    """Do one sub-verb."""
    refuse_development(session.choice)
    return subverbs.run(args, session)

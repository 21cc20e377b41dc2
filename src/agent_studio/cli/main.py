"""The entry point: find the verb, import only its module, run it, and report whatever happens."""

from __future__ import annotations

import gc
import sys

COMMANDS: dict[str, str] = {
    "init": "Create and seed an environment",
    "status": "Show where things stand",
    "doctor": "Find what is wrong and the command that mends it",
    "smoke": "Prove in a second that an environment works",
    "test": "Run the project's own tests in an environment",
    "config": "Show, explain, compare and check configuration",
    "flags": "Show and change feature flags",
    "hooks": "Wire the project to Claude Code, time its hooks, prove that recording works",
    "run": "Run a command inside an environment",
    "ingest": "Turn recorded events into typed records",
    "serve": "Run the daemon: OTLP/HTTP receiver, http hooks, decision socket",
    "export": "Send our records to a collector as OTLP",
    "monitor": "Show how an environment does, once, live or in a browser",
    "alerts": "Show alerts, acknowledge and silence them, test where they are sent",
    "statusline": "Print the status line of Claude Code",
    "cost": "Report and keep what model responses used and cost",
    "kb": "Build and search the knowledge base",
    "memory": "Keep and find what the project and its agents have learned",
    "mcp": "Offer the knowledge base and memory to agents: an MCP server over stdio",
    "party": "Ask several agents one question: separate answers, an exact tally, proof",
    "elicit": "Let reasoning methods look at a text; take or leave the changes they propose",
    "evolve": "Bring a new agent, skill, command or workflow in, through research and gates",
    "scan": "Look for secrets in what would be seeded or released, and in records",
    "candidate": "Make the candidate that would go live, show it, compare it with production",
    "eval": "Try the candidate's definitions on tasks, beside what is live",
    "burnin": "Observe a candidate in staging until its figures show that it keeps its limits",
    "checklist": "Go through the checklists of a release, attest to items, write the plan",
    "signoff": "Ask for sign-offs of the candidate, give them, see what they are worth",
    "waive": "Waive one requirement of the candidate, signed",
    "gate": "Say whether the candidate may go live, and why not",
    "promote": "Make the candidate live",
    "rollback": "Go back: staging anew, production's last healthy release, or a backup",
    "recover": "Bring an interrupted promotion or rollback to its end",
    "release": "List, show, verify and clean up releases",
    "backup": "Back an environment's data up, verify it, put it back",
    "fleet": "Share the records of many machines in one engine: set it up, let machines in",
    "log": "Show and follow what commands and the daemon did",
    "completion": "Print a shell's completion script",
}
"""Verbs and what each does; `commands/<verb>.py` holds it."""
ALIASES: dict[str, str] = {"dashboard": "monitor", "kb-search": "kb"}
_COLLECTED_AFTER = 50_000
"""Objects more than before; importing makes thousands that all stay, and looking for cycles in them finds none."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code. Never raises, except what ends the interpreter."""
    argv = sys.argv[1:] if arguments is None else arguments
    if argv == ["--version"]:
        from agent_studio import __version__  # noqa: PLC0415 - nothing else is imported for this

        sys.stdout.write(f"agent-studio {__version__}\n")
        return 0
    gc.set_threshold(_COLLECTED_AFTER)
    try:
        from agent_studio.cli.dispatch import dispatch  # noqa: PLC0415 - argparse and the rest start here
    except KeyboardInterrupt:  # before the handler of `dispatch` is there
        return 130
    code = dispatch(argv)
    if arguments is None:
        gc.freeze()  # the process ends: nothing is gained by looking for cycles in all it holds
    return code

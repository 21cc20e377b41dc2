"""The providers' own token shapes, chosen narrow: each hit is meant to be a secret.

Every format starts with, or at least contains, a fixed text, so that a text without it is looked through at the speed
of a substring search. Shapes are those that the providers document or that their tokens show.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

UNSIGNED = "unsigned-web-token"
HEX, WORD, DASHED = "[0-9a-f]", "[A-Za-z0-9]", "[A-Za-z0-9_-]"
_ALONE = r"(?:(?<![A-Za-z0-9_+-])|(?<=\\[bfnrt])|(?<=\\u[0-9A-Fa-f]{4})|(?<=%[0-9A-Fa-f]{2})|(?<=[0-9;\[]m))"
"""The beginning of a word: before it may stand what JSON, a URL or a terminal's colour writes with letters."""
_SHORT = 6
"""Beginnings of fewer characters are also found inside words and blobs, and so are known at a word's beginning only."""
_INNER = frozenset((":AA", "1//0"))
"""Short ones that stand behind other characters."""
_EDGED = frozenset(("api_org_", "glc_eyJ", "sntrys_eyJ", "ops_eyJ", "sk.eyJ"))
"""Longer ones that blobs hold, too."""
_FIXED = re.compile(r"\{[0-9]+\}$")
"""The end of a format of one length: what goes on behind it is something else."""
_MIXED = rf"(?={DASHED}{{0,200}}[A-Z])(?={DASHED}{{0,200}}(?:[0-9]|[a-z][A-Z]))"
"""What is drawn by lot has capital letters, and digits or capitals within; words joined by dashes have not."""

_SHAPES: tuple[tuple[str, str, str], ...] = (
    # kind, the fixed texts it may start with, what follows one of them
    ("anthropic-key", "sk-ant-", rf"(?:api|admin|oat|ort|sid)[0-9]{{2}}-{DASHED}{{20,}}"),
    ("openai-key", "sk-proj- sk-svcacct- sk-admin-", rf"{_MIXED}{DASHED}{{20,}}"),
    ("openrouter-key", "sk-or-v1-", rf"{HEX}{{40,}}"),
    ("xai-key", "xai-", rf"{WORD}{{60,}}"),
    ("groq-key", "gsk_", rf"{WORD}{{40,}}"),
    ("perplexity-key", "pplx-", rf"{WORD}{{40,}}"),
    ("replicate-token", "r8_", rf"{WORD}{{37}}"),
    ("tavily-key", "tvly-", rf"(?:[a-z]+-)?{WORD}{{24,}}"),
    ("jina-key", "jina_", rf"{_MIXED}{DASHED}{{50,}}"),
    ("langsmith-key", "lsv2_pt_ lsv2_sk_", rf"{HEX}{{32}}_{HEX}{{10}}"),
    ("pinecone-key", "pcsk_", rf"{_MIXED}{DASHED}{{50,}}"),
    ("huggingface-token", "hf_", rf"{WORD}{{30,}}"),
    ("huggingface-token", "api_org_", r"[A-Za-z]{34}"),
    ("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", rf"{WORD}[A-Za-z0-9_]{{35,}}"),
    ("github-token", "github_pat_", rf"{_MIXED}[A-Za-z0-9_]{{22,}}"),
    ("gitlab-token", "glpat- glptt- gldt- glrt- glcbt- glft- glsoat- glimt- glagent- gloas- glffct-",
     rf"{_MIXED}[A-Za-z0-9_.-]{{20,}}"),
    ("bitbucket-token", "ATATT3xFfGF0 ATCTT3xFfGN0", r"[A-Za-z0-9_=-]{50,}"),
    ("aws-access-key", "AKIA ASIA ABIA", r"(?!PACIFIC)[A-Z2-7]{16}"),
    ("aws-bedrock-key", "ABSKQmVkcm9ja0FQSUtleS", r"[A-Za-z0-9+/=]{60,}"),
    ("google-api-key", "AIza", rf"{DASHED}{{35}}"),
    ("google-oauth-token", "ya29.", rf"{DASHED}{{30,}}"),
    ("google-oauth-token", "1//0", rf"{DASHED}{{40,}}"),
    ("google-client-secret", "GOCSPX-", rf"{DASHED}{{28}}"),
    ("azure-storage-key", "AccountKey=", r"[A-Za-z0-9+/]{80,}={0,2}"),
    ("slack-token", "xoxa xoxb xoxe xoxo xoxp xoxr xoxs", r"(?:\.xox[abp])?-[0-9][A-Za-z0-9-]{10,}"),
    ("slack-token", "xapp-", rf"[0-9]-[A-Z0-9]+-[0-9]+-{HEX}{{20,}}"),
    ("slack-webhook", "hooks.slack.com/services/", rf"T[A-Z0-9_]{{6,}}/B[A-Z0-9_]{{6,}}/{WORD}{{20,}}"),
    ("slack-webhook", "hooks.slack.com/workflows/", rf"T[A-Z0-9_]{{6,}}/A[A-Z0-9_]{{6,}}/[0-9]+/{WORD}{{20,}}"),
    ("slack-webhook", "hooks.slack.com/triggers/", rf"[A-Z][A-Z0-9_]{{6,}}/[0-9]+/{WORD}{{20,}}"),
    ("discord-webhook", "/api/webhooks/", rf"[0-9]{{15,}}/{DASHED}{{50,}}"),
    ("teams-webhook", "webhook.office.com/webhookb2/", rf"[0-9a-f-]{{36}}@[0-9a-f-]{{36}}/\w+/{HEX}{{32}}"),
    ("telegram-token", ":AA", rf"(?<=[0-9]{{8}}:AA){DASHED}{{33}}"),
    ("stripe-key", "sk_live_ rk_live_", rf"{WORD}{{16,}}"),
    ("webhook-secret", "whsec_", r"[A-Za-z0-9+/]{32,}={0,2}"),
    ("square-token", "sq0atp- sq0csp-", rf"{DASHED}{{22,}}"),
    ("shopify-token", "shpat_ shpca_ shppa_ shpss_", r"[A-Fa-f0-9]{32}"),
    ("shippo-token", "shippo_live_", rf"{HEX}{{40}}"),
    ("flutterwave-key", "FLWSECK-", rf"{HEX}{{32}}-X"),
    ("sendgrid-key", "SG.", rf"{DASHED}{{22}}\.{DASHED}{{43}}"),
    ("brevo-key", "xkeysib-", rf"{HEX}{{64}}-{WORD}{{16}}"),
    ("mailgun-key", "key-", rf"{HEX}{{32}}"),
    ("twilio-key", "SK", rf"{HEX}{{32}}"),
    ("resend-key", "re_", rf"{WORD}{{8}}_{WORD}{{24}}"),
    ("hubspot-token", "pat-na1- pat-na2- pat-eu1- pat-ap1-", r"[0-9a-f-]{36}"),
    ("npm-token", "npm_", rf"{WORD}{{36}}"),
    ("pypi-token", "pypi-AgE", rf"{DASHED}{{37,}}"),
    ("rubygems-token", "rubygems_", rf"{HEX}{{48}}"),
    ("clojars-token", "CLOJARS_", r"[a-z0-9]{60}"),
    ("nuget-key", "oy2", r"[a-z0-9]{43}"),
    ("docker-token", "dckr_pat_ dckr_oat_", rf"{_MIXED}{DASHED}{{27,}}"),
    ("artifactory-token", "AKCp", rf"{WORD}{{69}}"),
    ("digitalocean-token", "dop_v1_ doo_v1_ dor_v1_", rf"{HEX}{{64}}"),
    ("cloudflare-key", "v1.0-", rf"{HEX}{{24}}-{HEX}{{100,}}"),
    ("databricks-token", "dapi", rf"{HEX}{{32}}"),
    ("doppler-token", "dp.pt. dp.ct. dp.sa. dp.scim. dp.audit. dp.st.", rf"(?:[a-z0-9_-]+\.)?{WORD}{{40,44}}"),
    ("dynatrace-token", "dt0c01. dt0s01.", r"[A-Z0-9]{24}\.[A-Z0-9]{64}"),
    ("fly-token", "fm2_", r"[A-Za-z0-9+/=,_-]{100,}"),
    ("fly-token", "fo1_", rf"{DASHED}{{43}}"),
    ("grafana-token", "glsa_", rf"{WORD}{{32}}_[A-Fa-f0-9]{{8}}"),
    ("grafana-token", "glc_eyJ", r"[A-Za-z0-9+/=]{32,}"),
    ("vault-token", "hvs. hvb. hvr.", rf"{_MIXED}{DASHED}{{24,}}"),
    ("terraform-token", "atlasv1.", r"[A-Za-z0-9_=-]{60,}"),
    ("heroku-key", "HRKU-AA", rf"{DASHED}{{50,}}"),
    ("netlify-token", "nfp_", r"[A-Za-z0-9_]{36}"),
    ("render-key", "rnd_", rf"{WORD}{{32}}"),
    ("linear-key", "lin_api_ lin_oauth_", rf"{WORD}{{40,}}"),
    ("notion-token", "ntn_", rf"[0-9]{{11}}{WORD}{{35}}"),
    ("newrelic-key", "NRAK-", r"[A-Z0-9]{27}"),
    ("planetscale-token", "pscale_tkn_ pscale_oauth_ pscale_pw_", rf"{_MIXED}[A-Za-z0-9_.=-]{{32,}}"),
    ("postman-key", "PMAK-", rf"{HEX}{{24}}-{HEX}{{34}}"),
    ("pulumi-token", "pul-", rf"{HEX}{{40}}"),
    ("sentry-token", "sntrys_eyJ", r"[A-Za-z0-9+/=_]{40,}"),
    ("sentry-token", "sntryu_", rf"{HEX}{{64}}"),
    ("supabase-key", "sbp_", rf"{HEX}{{40}}"),
    ("supabase-key", "sb_secret_", rf"{_MIXED}{DASHED}{{20,}}"),
    ("figma-token", "figd_", rf"{_MIXED}{DASHED}{{40,}}"),
    ("contentful-token", "CFPAT-", rf"{DASHED}{{43}}"),
    ("typeform-token", "tfp_", rf"{_MIXED}[A-Za-z0-9_.=-]{{50,}}"),
    ("tailscale-key", "tskey-", r"[a-z]+-[A-Za-z0-9]+-[A-Za-z0-9]{16,}"),
    ("posthog-key", "phx_", rf"{WORD}{{43,}}"),
    ("elevenlabs-key", "sk_", rf"{HEX}{{48}}"),
    ("mapbox-token", "sk.eyJ", rf"{DASHED}{{20,}}\.{DASHED}{{20,}}"),
    ("adafruit-key", "aio_", rf"{WORD}{{28}}"),
    ("sonar-token", "squ_ sqp_ sqa_", rf"{HEX}{{40}}"),
    ("prefect-key", "pnu_", r"[a-z0-9]{36}"),
    ("readme-key", "rdme_", r"[a-z0-9]{70}"),
    ("buildkite-token", "bkua_", rf"{HEX}{{40}}"),
    ("onepassword-token", "ops_eyJ", r"[A-Za-z0-9+/=_-]{100,}"),
    ("age-key", "AGE-SECRET-KEY-1", r"[02-9AC-HJ-NP-Z]{50,}"),
    ("json-web-token", "eyJ", rf"{DASHED}{{10,}}\.eyJ{DASHED}{{10,}}\.{DASHED}{{10,}}"),
    ("json-web-token", "eyJ", rf"{DASHED}{{10,}}\.{DASHED}*\.{DASHED}{{3,}}\.{DASHED}{{4,}}\.{DASHED}{{4,}}"),
    (UNSIGNED, "eyJ", rf"{DASHED}{{10,}}\.eyJ{DASHED}{{10,}}(?!{DASHED})(?!\.{DASHED}{{10}})\.?"),
)  # fmt: skip

_ODD: tuple[tuple[str, str, str], ...] = (
    # kind, a fixed text somewhere in it, the whole
    ("openai-key", "T3BlbkFJ", rf"sk-{DASHED}{{20,90}}T3BlbkFJ{DASHED}{{20,}}"),
    ("azure-client-secret", "Q~", r"[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}"),
)


def _whole(start: str, rest: str) -> str:
    """Return a format as a pattern; it begins with its fixed text, which is what makes it quick to look for."""
    text = re.escape(start)
    is_edged = (len(start) < _SHORT and start not in _INNER) or start in _EDGED
    before = f"(?<={_ALONE}{text})" if is_edged else ""
    behind = f"(?!{WORD})" if _FIXED.search(rest) else ""
    return f"{text}{before}{rest}{behind}"


FORMATS: tuple[tuple[str, str, str], ...] = (
    *((kind, start, _whole(start, rest)) for kind, starts, rest in _SHAPES for start in starts.split()), *_ODD
)  # fmt: skip
"""Kind, the fixed text that every hit contains, and the format."""

RUN = r"[A-Za-z0-9_.:/+=~-]{15,}"
"""Where a format can be at all."""


def _tree(words: Iterable[str]) -> str:
    """Return a pattern that finds any of the words, twice as fast as looking for one after the other."""
    by_first: dict[str, list[str]] = {}
    for word in words:
        by_first.setdefault(word[0], []).append(word[1:])
    branches = []
    for first, rests in sorted(by_first.items()):
        rest = "" if "" in rests else _tree(rests) if len(rests) > 1 else re.escape(rests[0])
        branches.append(re.escape(first) + rest)
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"


@cache
def any_start() -> re.Pattern[str]:
    """Return what finds where a format may be; to make it takes as long as looking through a megabyte."""
    return re.compile(_tree({fixed for _, fixed, _ in FORMATS}))


KEY_BLOCK = "private-key"
KEY_BEGIN = "-----BEGIN"
KEY = (
    r"-----BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:(?=[^\"]{0,400}?[A-Za-z0-9+/=]{24})"
    r"(?:(?:[^\"-]|-(?!----(?:BEGIN|END))){40,20000}-----END [A-Z0-9 ]{0,40}-----"
    r"|(?:(?:\s|\\{1,8}[nr]){1,4}[A-Za-z][A-Za-z-]{1,20}: [^\n\\\"]{0,120}){0,6}"
    r"(?:[A-Za-z0-9+/=\s]|\\{1,8}[nrt/]){40,})"
    r"|(?:[A-Za-z0-9+/=\r\n\t]|\\{1,8}[nrt/]){40,}(?:-----END [A-Z0-9 ]{0,40}-----)?)"
)
"""A key in armour, with its headers; or as much of it as there is. It never reaches beyond a string of JSON."""

URL_PASSWORD = "url-password"  # noqa: S105 - a kind
URL = (
    r"(?<!docker)(?<!image)(?<!oci)(?<!pkg)://[^\s/?#@:,;\"'<>\\]{0,200}:(?![0-9]{1,5}[,;])"
    r"((?:[^\s/@\"'<>\\]|(?<=\w)'(?=\w)){1,200}(?:@[^\s/@?#&,;\"'<>\\]{0,200}){0,3})@(?!sha256:)"
)
"""Up to the last at sign before the path; what names an image or a package by its version is none."""
AUTHORIZATION = "authorization-header"
HEADER_NAMES = ("authorization", "x-api-key")
HEADER_WORDS = ("uthorization", "UTHORIZATION", "pi-key", "PI-KEY", "pi-Key", "PI-Key")
_QUOTES = r"(?:\\{0,8}[\"']){0,4}"
_SET = rf"{_QUOTES}[ \t]{{0,20}}[:=][ \t]{{0,20}}(?:\[\s{{0,200}})?{_QUOTES}"
_NO_NUMBER = r"(?:(?<!\":)(?<!\": )(?<!\[)(?<!  )(?<!\n)|(?![-+0-9.eE]{16,}[\s,\]}]))"
"""A number of JSON stays: a label in its place would be none."""
_NO_HEADER = rf"(?!(?i:authorization{_SET}(?:bearer|token|basic)|x-api-key{_SET}))"
HEADER = (
    rf"(?i:authorization{_SET}(?:bearer|token|(basic))(?:\s|%20){{1,20}}|x-api-key{_SET}{_NO_NUMBER})"
    rf"((?(1)(?=[A-Za-z+/]{{0,200}}(?:[0-9=]|(?-i:[a-z][A-Z])))(?:{_NO_HEADER}[A-Za-z0-9+/=_-]){{8,}}"
    rf"|(?:{_NO_HEADER}[A-Za-z0-9._~+/=-]){{16,}}))"
)
"""A login is shorter than a token, and told from a word by what is mixed in it. A backslash stands before a quote, and
the next header may stand right behind a value.
"""
WARNED = frozenset((URL_PASSWORD, AUTHORIZATION, UNSIGNED))
"""Kinds that are often meant to be seen: they are redacted, and warned of, but block nothing."""

DUMMY = r"(?i)example|dummy|placeholder|redacted|(?<![a-z0-9])your[-_]|x{6}"
STAND_IN = (
    r"(?i)pass(?:word|wd|phrase)?|pwd|secret|token|(?:api)?key|x+|\*+|\.{3,}|(?-i:\$[A-Z_][A-Z0-9_]*)|\$?\{+[^}]*\}+"
    r"|%[sd]|%\(\w+\)s|\[.*"
)
"""What stands in a URL where a password would."""


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern, compiled when it is first needed: most never are."""
    return re.compile(pattern)

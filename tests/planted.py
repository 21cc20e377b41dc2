"""Secrets that are none: one of every form that is known, put together so that no scanner finds them in this file."""

from __future__ import annotations

T = "aB3dE5gH7jK9mN2pQ4sT6vW8yZ1bC3eF5hJ7kL0nP2rS4tU6wX8zA1cD3fG5hJ7"
"""Letters and digits."""
H = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"
"""Hexadecimal digits."""
U = "QWERTY234567QWERTY234567QWERTY234567QWERTY234567QWERTY234567QWERTY234567"
D = "1234567890"
UUID = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
_TAILS: tuple[tuple[str, str], ...] = (
    # the beginnings of a form, and what may follow
    ("sk-ant-", f"api03-{T}"), ("sk-proj- sk-svcacct- sk-admin-", T), ("sk-or-v1-", H), ("xai-", T + T[:20]),
    ("gsk_", T[:52]), ("pplx-", T[:48]), ("r8_", T[:37]), ("tvly-", f"dev-{T[:32]}"), ("jina_", T),
    ("lsv2_pt_ lsv2_sk_", f"{H[:32]}_{H[:10]}"), ("pcsk_", T), ("hf_", T[:34]),
    ("api_org_", "abcdefghijKLMNOPqrstuvwxyzABCDEFGH"),
    ("ghp_ gho_ ghu_ ghs_ ghr_", T[:36]), ("github_pat_", f"{T[:22]}_{T[:59]}"),
    ("glpat- glptt- gldt- glrt- glcbt- glft- glsoat- glimt- glagent- gloas- glffct-", T[:26]),
    ("ATATT3xFfGF0 ATCTT3xFfGN0", T), ("AKIA ASIA ABIA", U[:16]), ("ABSKQmVkcm9ja0FQSUtleS", T + T),
    ("AIza", T[:35]), ("ya29.", T), ("1//0", T[:60]), ("GOCSPX-", T[:28]), ("AccountKey=", T + T[:22] + "=="),
    ("xoxa xoxb xoxe xoxo xoxp xoxr xoxs", f"-{D}-{T[:24]}"), ("xapp-", f"1-A0B1C2D3E4-{D}-{H}"),
    ("hooks.slack.com/services/", f"T0A1B2C3D/B0A1B2C3D/{T[:24]}"),
    ("hooks.slack.com/workflows/", f"T0A1B2C3D/A0B1C2D3E/{D}/{T[:24]}"),
    ("hooks.slack.com/triggers/", f"T0A1B2C3D/{D}/{T[:24]}"),
    ("/api/webhooks/", f"{D}12345678/{T}"),
    (".webhook.office.com/webhookb2/", f"{UUID}@{UUID}/IncomingWebhook/{H[:32]}/{UUID}"),
    ("1234567890:AA", T[:33]), ("sk_live_ rk_live_", T[:24]), ("whsec_", T[:32]), ("sq0atp- sq0csp-", T[:22]),
    ("shpat_ shpca_ shppa_ shpss_", H[:32]), ("shippo_live_", H[:40]), ("FLWSECK-", f"{H[:32]}-X"),
    ("SG.", f"{T[:22]}.{T[:43]}"), ("xkeysib-", f"{H}-{T[:16]}"), ("key-", H[:32]), ("SK", H[:32]),
    ("re_", f"{T[:8]}_{T[:24]}"), ("pat-na1- pat-na2- pat-eu1- pat-ap1-", UUID), ("npm_", T[:36]),
    ("pypi-", f"AgEIcHlwaS5vcmc{T}"), ("rubygems_", H[:48]), ("CLOJARS_", H[:60]), ("oy2", H[:43]),
    ("dckr_pat_ dckr_oat_", T[:27]), ("AKCp", (T + T)[:69]), ("dop_v1_ doo_v1_ dor_v1_", H),
    ("v1.0-", f"{H[:24]}-{(H * 3)[:146]}"), ("dapi", H[:32]),
    ("dp.pt. dp.ct. dp.sa. dp.scim. dp.audit. dp.st.", T[:43]),
    ("dt0c01. dt0s01.", f"{U[:24]}.{U[:64]}"), ("fm2_", T * 2), ("fo1_", T[:43]), ("glsa_", f"{T[:32]}_{H[:8]}"),
    ("glc_eyJ", T), ("hvs. hvb. hvr.", T), ("abcdefghij1234.atlasv1.", T), ("HRKU-AA", T[:58]), ("nfp_", T[:36]),
    ("rnd_", T[:32]), ("lin_api_ lin_oauth_", T[:40]), ("ntn_", f"12345678901{T[:35]}"), ("NRAK-", U[:27]),
    ("pscale_tkn_ pscale_oauth_ pscale_pw_", T[:43]), ("PMAK-", f"{H[:24]}-{H[:34]}"), ("pul-", H[:40]),
    ("sntrys_eyJ", T), ("sntryu_", H), ("sbp_", H[:40]), ("sb_secret_", T[:31]), ("figd_", T[:40]), ("CFPAT-", T[:43]),
    ("tfp_", T[:59]), ("tskey-", f"auth-{T[:12]}-{T[:32]}"), ("phx_", T[:43]), ("sk_", H[:48]),
    ("sk.eyJ", f"{T[:40]}.{T[:22]}"), ("aio_", T[:28]), ("squ_ sqp_ sqa_", H[:40]), ("pnu_", H[:36]),
    ("rdme_", (H + H)[:70]), ("bkua_", H[:40]), ("ops_eyJ", T * 2), ("AGE-SECRET-KEY-1", U.replace("T", "Z")[:58]),
    ("eyJ", f"hbGciOiJIUzI1NiJ9.eyJ{T[:40]}.{T[:43]}"),
    ("sk-", f"{T[:20]}T3BlbkFJ{T[:20]}"), ("abc8Q~", T[:34]),
)  # fmt: skip
TOKENS: tuple[str, ...] = tuple(start + tail for starts, tail in _TAILS for start in starts.split())
"""One token for every beginning."""
KEY = "-----BEGIN RSA " + "PRIVATE KEY-----\n" + "\n".join([T] * 12) + "\n-----END RSA " + "PRIVATE KEY-----\n"
LOCKED_KEY = (
    "-----BEGIN EC " + "PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0F1E2D3C\n\n"
    + "\n".join([T] * 4) + "\n-----END EC " + "PRIVATE KEY-----"
)  # fmt: skip
PASSWORD = "Zq81-Lm29_kp"
URL = f"postgres://shop:{PASSWORD}@db.internal:5432/shop"
HEADER_VALUE = f"{T[:40]}=="
HEADER = f"Authorization: Bearer {HEADER_VALUE}"
TEXTS: tuple[str, ...] = (*TOKENS, KEY, LOCKED_KEY, URL, HEADER)
"""What is planted."""
MARKS: tuple[bytes, ...] = (
    *(token.encode() for token in TOKENS), T[8:40].encode(), PASSWORD.encode(), HEADER_VALUE.encode(), H[:24].encode(),
)  # fmt: skip
"""What must be nowhere: every token, and what most of them have in common."""

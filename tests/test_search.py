from __future__ import annotations

import json
import random
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_studio.knowledge import schema, spelling
from agent_studio.knowledge.answers import Query
from agent_studio.knowledge.artifacts import Artifact
from agent_studio.knowledge.search import search
from agent_studio.knowledge.snippets import LENGTH, snippet
from agent_studio.knowledge.stemming import american, stem
from agent_studio.knowledge.words import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.conftest import Studio

BOOKSHOP = Path(__file__).resolve().parent.parent / "examples" / "bookshop"
WORD = st.sampled_from(["review", "a", "database", "migration", "flaky", "tests", "cache", "price", "the", "deploy"])


def artifact(name: str, description: str = "", body: str = "", **fields: Any) -> Artifact:
    given: dict[str, Any] = {
        "name": name, "path": f".claude/agents/{name}.md", "description": description, "domain": "agent",
        "complexity": "LOW", "use_cases": "", "tools": "", "deprecated": False, "alias": "", "tags": "",
        "headings": "", "body": body, "source": "project", "sha256": f"{name} {description} {body}", "size_bytes": 1,
        "mtime_ns": 1, "hidden": False, "repairs": (),
    }  # fmt: skip
    return Artifact(**(given | fields))


def index(artifacts: Iterable[Artifact]) -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    schema.create(db)
    for number, one in enumerate(artifacts, 1):
        schema.insert(db, number, one)
    schema.finish(db)
    return db


def found(db: sqlite3.Connection, text: str, **options: Any) -> list[str]:
    return [hit.entry.name for hit in search(db, Query(text, **options)).hits]


SHOP = [
    artifact("code-reviewer", "Reads a diff for defects", "Look at names, tests and errors. Ask for a migration plan."),
    artifact("database-migrator", "Plans schema migrations for PostgreSQL", "Locks, batches, the way back.",
             tags="sql;schema", tools="Read;Bash"),
    artifact("websocketServer", "Pushes events to browsers", "A long-lived connection.", tags="sql;push"),
    artifact("release-notes", "Tells users what is new", "Changelog entries.", domain="skill", deprecated=True),
    artifact("cache-warmer", "Fills the cache before a sale", "Keys, prices, covers.", complexity="HIGH"),
    artifact("café-menü", "Writes menus", "Crème brûlée."),
    artifact("数据库迁移", "数据库迁移的步骤", "先备份。"),
    *(artifact(f"filler-{number}", f"Fills shelf {number}", "Boxes and boxes.") for number in range(30)),
]  # fmt: skip


@pytest.fixture
def shop() -> Iterator[sqlite3.Connection]:
    with closing(index(SHOP)) as db:
        yield db


# --- Quality --------------------------------------------------------------------------------------------------------


def test_the_judged_questions_about_the_example_are_answered_well(staged: Studio) -> None:
    import shutil

    shutil.copytree(BOOKSHOP / ".claude", staged.path / ".claude", dirs_exist_ok=True)
    questions = BOOKSHOP / "search-questions.jsonl"
    assert len(questions.read_text().splitlines()) >= 60
    table = staged.json("kb", "eval", str(questions), "--env", "staging")["types"]
    assert table["macro"]["ndcg10"] >= 0.88
    assert table["name"]["ndcg10"] == 1
    assert table["typo"]["ndcg10"] >= 0.95
    assert table["user"]["recall5"] >= 0.85
    assert table["negative"]["silent"] >= 0.9
    of_daily_life = Path(__file__).with_name("fixtures") / "knowledge" / "off-topic.jsonl"
    table = staged.json("kb", "eval", str(of_daily_life), "--env", "staging")["types"]
    assert table["off topic"]["questions"] >= 40
    assert table["off topic"]["silent"] >= 0.9


# --- Words ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("migrations schema plan", "database-migrator"),
        ("who can review my code?", "code-reviewer"),
        ("DATABASE_MIGRATOR", "database-migrator"),
        ("websocket server", "websocketServer"),
        ("WebsocketServer", "websocketServer"),
        ("cafe menu", "café-menü"),
        ("brulee", "café-menü"),
        ("迁移", "数据库迁移"),
        ("databse migratr", "database-migrator"),
        ("cahce wramer", "cache-warmer"),
        ("postgres", "database-migrator"),
    ],
)
def test_an_artifact_is_found_however_it_is_asked_for(shop: sqlite3.Connection, text: str, first: str) -> None:
    assert found(shop, text)[:1] == [first]


def test_an_exact_name_comes_before_whoever_says_it_more_often() -> None:
    with closing(index([*SHOP, artifact("loud", "release notes " * 9, "release notes " * 99)])) as db:
        assert found(db, "release notes")[0] == "release-notes"


def test_a_repaired_word_is_said(shop: sqlite3.Connection) -> None:
    answer = search(shop, Query("databse migrator"))
    assert answer.did_you_mean == "database migrator"
    assert answer.repaired == (("databse", "database"),)


STARTS = [
    *SHOP,
    artifact("kubernetes-operator", "Looks after clusters"), artifact("cluster-notes", "About kubernetes"),
    artifact("typescript-porter", "Turns scripts into typed ones"), artifact("type-checker", "Finds wrong types"),
    artifact("accessibility-tester", "Tries pages without a mouse"), artifact("access-control", "Who may access what"),
    artifact("form-fill-studio", "Fills forms"), artifact("study-helper", "Asks what was read"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "first", "searched"),
    [
        ("kuber", "kubernetes-operator", "kubernetes"),
        ("typescr", "typescript-porter", "typescript"),
        ("accessib", "accessibility-tester", "accessibility"),
        ("form-stud", "form-fill-studio", "form study or studio"),
        ("kubern operat", "kubernetes-operator", "kubernetes operator"),
    ],
)
def test_the_start_of_a_word_stands_for_the_words_of_names(text: str, first: str, searched: str) -> None:
    with closing(index(STARTS)) as db:
        answer = search(db, Query(text, explain=True))
    assert answer.hits[0].entry.name == first
    assert answer.did_you_mean == searched
    assert "start" in {part.name for part in answer.hits[0].explanation}


def test_the_start_of_a_word_stands_for_nothing_in_a_sentence_or_when_it_is_a_word_itself() -> None:
    with closing(index(STARTS)) as db:
        assert not search(db, Query("kuber shall tidy the mouldy cellar tonight")).repaired
        assert not search(db, Query("ku")).hits
        assert not search(db, Query("access")).repaired


def test_short_words_of_other_languages_are_not_repaired(shop: sqlite3.Connection) -> None:
    assert search(shop, Query("wie codd ist cod hier")).repaired == (("codd", "code"),)


def test_a_word_that_metadata_has_is_no_mistake() -> None:
    with closing(index([*SHOP, artifact("pricer", "Prices bokes, a rare kind of box")])) as db:
        assert search(db, Query("bokes")).repaired == ()


@pytest.mark.parametrize(
    "text", ["tavvin oleb krusp", "which mushrooms grow under birch trees", "zzzz", "?!…", "\x00", "🙂"]
)
def test_what_nothing_is_about_gets_no_answer(shop: sqlite3.Connection, text: str) -> None:
    answer = search(shop, Query(text))
    assert answer.hits == ()
    assert answer.fits == 0


def test_a_synonym_is_found_and_said_to_be_one(shop: sqlite3.Connection) -> None:
    hits = search(shop, Query("redis", explain=True)).hits
    assert hits[0].entry.name == "cache-warmer"
    assert ("metadata", "means cach") in {(part.name, part.said) for part in hits[0].explanation}


def test_words_that_are_everywhere_decide_nothing(shop: sqlite3.Connection) -> None:
    assert found(shop, "can you please tell me how to do the migration of the schema")[0] == "database-migrator"


@given(st.text(max_size=30))
def test_words_are_folded_and_never_fail(text: str) -> None:
    for word in words(text):
        assert word
        assert words(word) == [word] or not word.isascii()
        assert stem(word)


@given(st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=30))
def test_a_stem_is_no_longer_than_its_word(word: str) -> None:
    assert len(stem(word)) <= len(word)


def test_stems_are_those_of_sqlite_but_for_british_spellings_and_a_y_after_a_vowel() -> None:
    said = sorted({word for one in BOOKSHOP.rglob("*.md") for word in words(one.read_text()) if word.isalpha()})
    said = [word for word in said if american(word) == word and not re.search("[aeiou]y|^[^aeiou]+y", word)]
    with closing(sqlite3.connect(":memory:")) as db:
        try:
            db.execute("CREATE VIRTUAL TABLE t USING fts5(word, tokenize = 'porter ascii')")
        except sqlite3.OperationalError:
            pytest.skip("this SQLite has no FTS5")
        db.execute("CREATE VIRTUAL TABLE v USING fts5vocab(t, instance)")
        db.executemany("INSERT INTO t (rowid, word) VALUES (?, ?)", enumerate(said))
        theirs = dict(db.execute("SELECT doc, term FROM v"))
    ascii_words = [(number, word) for number, word in enumerate(said) if word.isascii() and len(word) > 3]
    assert len(ascii_words) > 1000
    assert [(word, stem(word)) for _, word in ascii_words] == [(word, theirs[number]) for number, word in ascii_words]


@pytest.mark.parametrize(
    "one_word",
    [
        "optimise optimize optimises optimised optimising optimisation optimizations optimizer optimiser",
        "analyse analyze analysed analyzing analyser", "behaviour behaviors", "colour colored colours",
        "organisation organization", "prioritise prioritizing", "containerised containerize", "summarise summarizes",
        "modelling modeling models", "cancelled canceled", "catalogue catalogs", "programme programs", "centre centers",
        "licence licenses", "artefacts artifact", "deploy deploys deployed deploying deployment deployments",
        "employ employments", "query queries", "retry retries", "display displays displayed",
    ],
)  # fmt: skip
def test_forms_and_spellings_of_a_word_have_one_stem(one_word: str) -> None:
    assert len(set(map(stem, one_word.split()))) == 1


def test_words_that_only_look_british_stay_as_they_are() -> None:
    looks = """wise otherwise likewise our your four hour hours tour contour source course court resource journal pour
        rise rising arise sunrise raise praise noise precise concise exercise enterprise comprise promise compromise
        premise surprise expertise advise advisor revise revised supervise improvise advertise practise disguise cruise
        merchandise paradise franchise disable crisis basis analysis emphasis blog blogs rogue selling spelling telling
        science sentence presence browser user used cause course pause"""
    assert [word for word in looks.split() if american(word) != word] == []


LETTERS = st.text(st.sampled_from("abcd"), max_size=7)


@given(LETTERS, LETTERS)
def test_the_distance_is_the_same_both_ways_and_zero_only_for_the_same(one: str, other: str) -> None:
    distance = spelling.distance(one, other, 9)
    assert distance == spelling.distance(other, one, 9)
    assert (distance == 0) == (one == other)
    assert distance <= max(len(one), len(other))


@given(st.sampled_from(["database", "migrator", "reviewer", "warmer", "server"]), st.integers(0, 10**6))
def test_any_one_edit_of_a_name_is_repaired(word: str, seed: int) -> None:
    chance = random.Random(seed)
    at = chance.randrange(len(word) - 1)
    letter = chance.choice("qxzvk")
    broken = chance.choice([
        word[:at] + word[at + 1 :], word[:at] + letter + word[at:], word[:at] + letter + word[at + 1 :],
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
    ])  # fmt: skip
    with closing(index(SHOP)) as db:
        assert broken == word or spelling.repaired(db, broken) == word


# --- Filters, copies, order -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"tags": ("sql",)}, {"database-migrator", "websocketServer"}),
        ({"tags": ("SQL", "schema")}, {"database-migrator"}),
        ({"tools": ("bash",)}, {"database-migrator"}),
        ({"domain": "skill"}, {"release-notes"}),
        ({"complexity": "HIGH"}, {"cache-warmer"}),
        ({"deprecated": True}, {"release-notes"}),
        ({"source": "plugin:none"}, set()),
    ],
)
def test_filters_leave_only_what_passes_all_of_them(
    shop: sqlite3.Connection, filters: dict[str, Any], names: set[str]
) -> None:
    wanted = " ".join(one.description for one in SHOP if one.name in names) or SHOP[0].description
    assert set(found(shop, f"{wanted} diff", limit=50, **filters)) == names
    assert set(found(shop, f"{wanted} diff", limit=50)) > names


@pytest.mark.parametrize("tag", ["ÜBER", "über", " Über "])
def test_a_tag_is_the_same_in_any_case(tag: str) -> None:
    with closing(index([*SHOP, artifact("quoll", "Counts quolls", tags="sql;ÜBER")])) as db:
        assert found(db, "quolls", tags=(tag,)) == ["quoll"]
        assert found(db, "quolls", tags=("üb",)) == []


def test_a_filter_reaches_behind_the_best_candidates() -> None:
    many = [artifact(f"box-{number}", "Packs boxes") for number in range(400)]
    with closing(index([*many, artifact("last", "Packs boxes and shelves", domain="rule")])) as db:
        assert found(db, "packs boxes", limit=3, domain="rule") == ["last"]


def test_identical_copies_are_one_hit_with_all_paths() -> None:
    first = artifact("twin", "Counts parcels", sha256="same", path=".claude/agents/a/twin.md")
    with closing(index([*SHOP, first, first._replace(path=".claude/agents/b/twin.md")])) as db:
        hits = search(db, Query("counts parcels")).hits
    assert [(hit.entry.path, hit.copies) for hit in hits] == [(first.path, (".claude/agents/b/twin.md",))]


def test_ties_go_by_path_and_an_answer_is_always_the_same(shop: sqlite3.Connection) -> None:
    asked = Query("fills shelf", limit=30)
    hits = search(shop, asked).hits
    assert len(hits) == 30
    assert list(hits) == sorted(hits, key=lambda hit: (-hit.score, hit.entry.path))
    assert search(shop, asked).hits == hits


def test_each_part_of_a_score_is_explained(shop: sqlite3.Connection) -> None:
    for hit in search(shop, Query("database-migrator schema agent", explain=True)).hits:
        assert sum(part.points for part in hit.explanation) == pytest.approx(hit.score)


# --- The index ------------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 6), st.lists(WORD, max_size=6)), max_size=12))
def test_an_index_that_was_changed_is_the_same_as_one_built_anew(changes: list[tuple[int, list[str]]]) -> None:
    held: dict[int, Artifact] = {}
    with closing(index([])) as db:
        for unique, said in changes:
            schema.delete(db, unique)
            held.pop(unique, None)
            if said:
                held[unique] = artifact(f"a{unique}", " ".join(said), " ".join(said * 2))
                schema.insert(db, unique, held[unique])
            if len(said) % 2:
                schema.finish(db)
        schema.finish(db)
        changed = _content(db)
    with closing(index([])) as db:
        for unique, one in sorted(held.items()):
            schema.insert(db, unique, one)
        schema.finish(db)
        assert _content(db) == changed


def _content(db: sqlite3.Connection) -> dict[str, list[Any]]:
    return {
        "words": db.execute("SELECT stem, heads, docs FROM word WHERE docs > 0 ORDER BY stem").fetchall(),
        "postings": db.execute(
            """SELECT stem, block, places, strengths FROM posting JOIN word ON word.id = word
               WHERE length(places) > 0 ORDER BY stem, block"""
        ).fetchall(),
        "spelling": db.execute("SELECT * FROM spelling WHERE docs > 0 ORDER BY word").fetchall(),
        "names": db.execute("SELECT * FROM named ORDER BY stems, id").fetchall(),
        "rows": db.execute("SELECT * FROM artifact ORDER BY id").fetchall(),
    }


def test_common_words_cost_no_quality_where_postings_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    from agent_studio.knowledge import ranking

    with closing(index(SHOP)) as db:
        asked = Query("fills shelf boxes before a sale of the cache", limit=5)
        whole = search(db, asked).hits
        monkeypatch.setattr(ranking, "_MOST_READ", 3)
        assert search(db, asked).hits[:1] == whole[:1]


# --- Passages -------------------------------------------------------------------------------------------------------


@given(st.text(max_size=600), st.lists(st.sampled_from(["review", "test", "é", "a"]), max_size=3))
def test_a_snippet_is_short_and_marks_whole_matches(text: str, wanted: list[str]) -> None:
    text = f"{text} reviews {text} tests"
    shown = snippet(text, {stem(word): 1.0 for word in wanted})
    assert len(shown.text) <= LENGTH + 2
    for start, end in shown.marks:
        assert 0 <= start < end <= len(shown.text)
        assert stem(shown.text[start:end].lower()) in {stem(word) for word in wanted} or not text.isascii()


def test_the_passage_with_the_match_is_shown() -> None:
    shown = snippet("Nothing to see here. " * 20 + "The needle lies at the end of it all.", {"needl": 1.0})
    assert shown.text.startswith("…")
    assert [shown.text[start:end] for start, end in shown.marks] == ["needle"]


# --- The command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def asked(staged: Studio) -> Studio:
    for one in SHOP[:5]:
        staged.write(
            f".claude/agents/{one.name}.md",
            f"---\nname: {one.name}\ndescription: {one.description}\n"
            f"tags: [{one.tags.replace(';', ', ')}]\n---\n{one.body}\n",
        )
    return staged


def test_a_search_without_a_hit_ends_with_1_and_an_empty_list(asked: Studio) -> None:
    run = asked.run("kb", "search", "tavvin", "oleb", "--env", "staging", "--json")
    assert run.code == 1
    assert run.data["hits"] == []


def test_a_search_without_a_hit_is_kept_redacted(asked: Studio) -> None:
    secret = "ghp_" + "a1B2" * 9
    asked.run("kb", "search", f"tavvin {secret}", "--domain", "rule", "--env", "staging")
    asked.run("kb", "search", "database migrator", "--env", "staging")
    lines = (asked.path / ".claude/staging/metrics/searches.jsonl").read_text().splitlines()
    record = json.loads(lines[0])
    assert len(lines) == 1
    assert secret not in lines[0]
    assert record["query"].startswith("tavvin ")
    assert (record["filters"], record["source"], record["environment"]) == ({"domain": "rule"}, "cli", "staging")
    assert {"timestamp", "eventId", "release"} <= record.keys()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing to search for"),
        (("   ",), "nothing to search for"),
        (("x", "--limit", "0"), "not from 1 to"),
        (("x", "--batch"), "from stdin"),
        (("x", "--domain", "spells"), "invalid choice"),
    ],
)
def test_a_question_that_is_none_is_one_clear_error(asked: Studio, arguments: tuple[str, ...], said: str) -> None:
    run = asked.run("kb", "search", *arguments, "--env", "staging")
    assert run.code == 2
    assert said in run.err


HOSTILE = [
    "x" * 10_000, "migration " * 1_500,
    'name:"a OR b" NEAR(c, 2) * ^', "'; DROP TABLE artifact; --", '"""', "\u202eabc",
    "مراجعة الشيفرة", "🙂🙃", "a\u0000b", "%_\\", "\ud800", "(((((", "-" * 200, "ﬁ ß İ ſ", "e\u0301\u0301",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_question_is_answered(shop: sqlite3.Connection, text: str) -> None:
    assert len(search(shop, Query(text, explain=True)).hits) <= 10


@settings(max_examples=200)
@given(st.text(max_size=200), st.integers(1, 40))
def test_any_text_is_answered_within_the_limit(text: str, limit: int) -> None:
    with closing(index(SHOP[:7])) as db:
        answer = search(db, Query(text, limit=limit, explain=True))
    assert len(answer.hits) <= limit
    assert all(0 <= hit.fits <= 1 for hit in answer.hits)
    assert (answer.fits > 0) == bool(answer.hits)


def test_a_batch_answers_each_line_in_its_order(asked: Studio) -> None:
    lines = [
        json.dumps({"id": 7, "query": "database migrator", "limit": 1}), '"code reviewer"', "{broken", "cache warmer",
        json.dumps({"query": 5}), json.dumps({"id": "x", "query": "tavvin oleb"}),
        json.dumps({"id": "f", "query": "pushes events, plans schema", "tags": ["schema"]}),
        json.dumps({"id": 9, "query": "cache warmer", "limit": 0}), json.dumps({"id": 3}),
        json.dumps({"id": 4, "query": "cache warmer", "domain": "nope"}), json.dumps({"id": 5, "query": " "}),
        json.dumps({"id": 6, "query": "cache warmer", "colour": "red"}),
        json.dumps({"query": "a", "limit": True}), json.dumps({"query": "a", "tags": "sql"}), "", "[1]",
    ]  # fmt: skip
    run = asked.process("kb", "search", "--batch", "--json", "--env", "staging", input="\n".join(lines))
    answers = [json.loads(line) for line in run.out.splitlines()]
    assert run.code == 0
    assert [answer.get("id") for answer in answers] == [
        7, None, None, None, None, "x", "f", 9, 3, 4, 5, 6, None, None, None,
    ]  # fmt: skip
    assert [answer["hits"][0]["name"] for answer in answers if answer["hits"]] == [
        "database-migrator", "code-reviewer", "cache-warmer", "database-migrator",
    ]  # fmt: skip
    assert [number for number, answer in enumerate(answers) if "error" in answer] == [2, 4, *range(7, 15)]
    assert all({"query", "hits", "didYouMean"} <= answer.keys() for answer in answers)
    assert not (asked.path / ".claude/staging/metrics/searches.jsonl").exists()


def test_halves_of_characters_are_no_fault(asked: Studio) -> None:
    half = "caf\udce9"  # as Python has an argument in another encoding
    lines = [json.dumps(one) for one in ({"query": "cache warmer", "source": "\ud800"}, {"query": "cache warmer"})]
    run = asked.process("kb", "search", "--batch", "--env", "staging", input="\n".join(lines))
    assert [bool(json.loads(line)["hits"]) for line in run.out.splitlines()] == [False, True]
    for arguments in (("search", half), ("get", half), ("list", "--source", half), ("list", "--tags", half)):
        assert asked.run("kb", *arguments, "--env", "staging").code == 1, arguments


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (("--query", "plans schema migrations"), "database-migrator"),
        (("plans schema migrations",), "database-migrator"),
        (("--get", "code-reviewer"), "Reads a diff for defects"),
        (("--get=code-reviewer",), "Reads a diff for defects"),
        (("--domain", "agent"), "cache-warmer"),
        (("--tags", "schema"), "database-migrator"),
        (("--domain", "agent", "--query", "cache"), "cache-warmer"),
        (("--stats",), "agent"),
        (("--list",), "cache-warmer"),
        (("--limit", "3", "--domain", "agent"), "cache-warmer"),
        (("--query=cache warmer", "--stats"), "cache-warmer"),
    ],
)
def test_the_originals_switches_are_understood(asked: Studio, arguments: tuple[str, ...], shown: str) -> None:
    run = asked.run("kb-search", *arguments, "--env", "staging")
    assert run.code == 0, run.err
    assert shown in run.out


def test_people_see_what_was_searched_and_why(asked: Studio) -> None:
    run = asked.run("kb", "search", "databse migrator", "--explain", "--env", "staging")
    assert "database migrator" in run.out
    assert "name database-migrator" in run.out

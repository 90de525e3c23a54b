"""The checklists hold every item of the papers, and each names facts that exist or what the authors must answer."""

from __future__ import annotations

import re

import pytest
import yaml

from ensemble.evaluation.checklists.fill import FILES, answer, fill

NUMBERS = {
    "claim": [str(number) for number in range(1, 45)],
    "tripod_ai": re.split(
        " ",
        "1 2 3a 3b 3c 4 5a 5b 6a 6b 6c 7 8a 8b 8c 9a 9b 9c 10 11 12a 12b 12c 12d 12e 12f 12g 13 14 15 16 17 "
        "18a 18b 18c 18d 18e 18f 19 20a 20b 20c 21 22 23a 23b 24 25 26 27a 27b 27c",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_every_item_is_answered_or_left_to_the_authors(name: str) -> None:
    items = yaml.safe_load(FILES[name].read_text(encoding="utf-8"))["items"]
    assert [item["number"] for item in items] == NUMBERS[name]
    assert all(set(item) <= {"number", "item", "answer", "external", "authors"} for item in items)
    assert all(item.get("answer") or item.get("authors") for item in items)
    assert all(item.get("authors") or item["answer"] for item in items)


def test_answers_take_the_facts_and_mark_what_is_open() -> None:
    item = {"answer": "{holdout} images.", "authors": "eligibility"}
    assert answer(item, {"holdout": "201"}) == "201 images. <mark>Authors: eligibility</mark>"
    assert answer({"answer": "None."}, {}) == "None."
    both = {"answer": "The hold-out.", "external": "{data}"}
    assert answer(both, {"data": "elsewhere"}) == "The hold-out."
    assert answer(both, {"data": "elsewhere"}, external=True) == "elsewhere"
    with pytest.raises(KeyError):
        answer({"answer": "{unheard}"}, {})


@pytest.mark.parametrize("name", FILES)
def test_a_filled_checklist_counts_what_is_filled(name: str) -> None:
    class Facts(dict):
        def __missing__(self, key: str) -> str:
            return f"<{key}>"

    text = fill(name, Facts())
    filled, of = map(int, re.search(r"(\d+) of (\d+) items are filled", text).groups())
    assert of == len(NUMBERS[name])
    assert of - filled == sum("<mark>Authors" in line for line in text.splitlines())

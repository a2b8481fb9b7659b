"""Rankings from files of every kind, and what is wrong with others: a line number, a reason and a remedy."""

import os

import numpy as np
import pytest

from tests.unit.export.reports import alphabet_report, comparison_of, nasty_report
from tui_influence.analysis.ranking_file import parse_ranking, read_ranking
from tui_influence.errors import DatasetError
from tui_influence.export.csv import csv_text
from tui_influence.export.ranking import ranking_table

GROUPS = ["cat", "dog", "cow, brown", "#hash", "-1"]
NAMED = "class,influence\ncat,0.5\ndog,-1\n"


def parse(text, groups=("cat", "dog", "cow")):
    return parse_ranking(text, list(groups), "r.csv")


def problem(text, groups=("cat", "dog", "cow")):
    with pytest.raises(DatasetError) as caught:
        parse(text, groups)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("comments", [True, False])
def test_what_rank_writes_is_read_with_every_name_and_number(comments):
    report = nasty_report()
    rows = report.ranking.rows
    groups = [row.group for row in reversed(rows)]
    ranking = parse_ranking(csv_text(ranking_table(report), comments=comments), groups, "r.csv")
    expected = [row.influence for row in reversed(rows)]
    np.testing.assert_array_equal(ranking.influence, expected)
    assert ranking.n_unknown == 2
    finite = [groups[k] for k in ranking.order if np.isfinite(expected[k])]
    assert finite == [row.group for row in reversed(rows) if np.isfinite(row.influence)]


def test_unknown_influences_are_in_the_middle_and_no_two_groups_are_mixed_up():
    ranking = parse("class,influence\ncat,1\ndog,\ncow,-1\n")
    assert ranking.order.tolist() == [2, 1, 0]
    assert np.isnan(ranking.influence[1])
    assert ranking.lowest(1) == {2}


@pytest.mark.parametrize(
    "text",
    [
        "dog\ncat\ncow\n",
        "dog\r\ncat\r\ncow",
        "# best first\n\n  dog \ncat\n# the rest\ncow\n",
        '"dog"\n"cat"\n"cow"\n',
        "class\ndog\ncat\ncow\n",
        " Class , size\ndog,1\ncat,2\ncow,3\n",
        "group,rank\ncow,3\ncat,2\ndog,1\n",
        "rank,class\n3,cow\n1,dog\n2,cat\n",
        "class,influence\ncow,-2\ncat,1e-3\ndog,0.5\n",
        "influence,rank,class\n-2,1,cow\n0,2,cat\n.5,3,dog\n\n",
        '# run: x\n# design: y\nclass,influence\n"cow",-2\ncat,0\ndog,+1\n',
    ],
)
def test_the_same_order_in_every_form(text):
    ranking = parse(text)
    assert ranking.order.tolist() == [2, 0, 1]
    assert (ranking.influence is not None) == ("influence" in text)
    assert np.argsort(ranking.worth).tolist() == [2, 0, 1]


def test_names_that_look_like_something_else():
    listed = parse_ranking("# best first\ncow, brown\n#hash\n-1\ncat\ndog\n", GROUPS, "r")
    assert listed.order.tolist() == [1, 0, 4, 3, 2]
    table = 'class,influence\n"cow, brown",5\n"#hash",4\n\'-1,3\ncat,2\ndog,1\n'
    assert parse_ranking(table, GROUPS, "r").order.tolist() == [1, 0, 4, 3, 2]
    assert parse_ranking("class\ngroup\n", ["group", "class"], "r").order.tolist() == [0, 1]


def test_of_equal_influences_the_later_line_is_lower():
    assert parse("class,influence\ncat,0\ncow,1\ndog,0\n").order.tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "r.csv: it is empty; name each class of the source on a line, the best first"),
        ("\n# nothing\n\n", "it is empty"),
        ("cats\ncat\ndog\ncow\n", 'line 1: the source has no class "cats"; did you mean "cat"?'),
        ("label\ncat\ndog\ncow\n", 'line 1: the source has no class "label"; a header is `class`, or'),
        ("cat\ndog\nc\x1b[2Jow\n", 'line 3: the source has no class "c\\x1b[2Jow"; did you mean "cow"?'),
        ("cat\n\ndog\ncat\ncow\n", 'line 4: "cat" is on line 1 already; remove one of the two'),
        ("cat\n", 'r.csv: 2 of 3 classes have no line, first "dog"; add them (`tinfl rank --csv` without --top'),
        (NAMED, '1 of 3 classes have no line, first "cow"'),
        (NAMED + "cow,nan\n", 'line 4: the influence "nan" is not finite; leave the cell empty if it is unknown'),
        (NAMED + "cow,-INF\n", 'line 4: the influence "-INF" is not finite'),
        (NAMED + "cow,1e999\n", "is not finite"),
        (NAMED + 'cow,"0,5"\n', 'line 4: the influence "0,5" is no number; write it like -0.25'),
        (NAMED + "cow,1_0\n", 'line 4: the influence "1_0" is no number'),
        (NAMED + "cow,\x1b[31m\n", 'line 4: the influence "\\x1b[31m" is no number'),
        (NAMED + "cow\n", "line 4 has 1 cell, the header 2"),
        (NAMED + "cow,1,2\n", "line 4 has 3 cells, the header 2; put a name that holds a comma in quotes"),
        (NAMED + " ,1\n", "line 4 names no class; name it or remove the line"),
        (NAMED + 'cow,"1\n', "line 4 cannot be read: unexpected end of data; close every quote"),
        ("class,rank\ncat,1\ndog,2\ncow,\n", 'line 4: the rank "" is no number'),
        ("class,influence\ncat,\ndog,\ncow,\n", "every influence is empty; fill the column in, or remove it"),
        ("cat,1\ndog,2\ncow,3\n", "line 1 names no column `class` or `group`; name the column of classes so"),
        ("# x\nname,influence\ncat,1\n", "line 2 names no column `class` or `group`"),
        ("class;influence\ncat;1\n", "line 1 separates columns by semicolons; separate them by commas"),
        ("influence\tclass\n1\tcat\n", "line 1 separates columns by tabs"),
        ("class,group\ncat,dog\n", "line 1 names both a column `group` and a column `class`"),
        ("class,class\ncat,dog\n", "line 1 names the column `class` more than once"),
        ("class,influence,influence\ncat,1,2\n", "line 1 names the column `influence` more than once"),
        ('"class\n', "line 1 cannot be read"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line_and_a_remedy(text, expected):
    message = problem(text)
    assert expected in message
    assert message.startswith("r.csv: ")
    assert message.isprintable()


def test_two_rankings_side_by_side_are_no_ranking():
    text = csv_text(ranking_table(comparison_of(alphabet_report())), comments=True)
    assert "line 17 is that of two rankings side by side" in problem(text)


def test_all_wrong_lines_are_listed_once():
    with pytest.raises(DatasetError) as caught:
        parse("class,influence\ncatt,1\ncat,x\ncat,2\ndog,3\ncow,4\n")
    assert str(caught.value).endswith('did you mean "cat"? (3 problems in all)')
    assert [line.partition(":")[2][:8] for line in caught.value.details] == [" line 2:", " line 3:", " line 4:"]


def test_reading_stops_after_so_many_problems():
    with pytest.raises(DatasetError) as caught:
        parse("cat\n" + "".join(f"unknown {number}\n" for number in range(100_000)))
    assert "1,000 problems up to where reading stopped" in str(caught.value)
    assert len(caught.value.details) == 1000


def test_similar_names_are_searched_for_the_first_unknown_ones_alone(monkeypatch):
    monkeypatch.setattr("tui_influence.analysis.ranking_file._MAX_COMPARISONS", 6)
    with pytest.raises(DatasetError) as caught:
        parse("cat\ndogg\ncoww\ncatt\n")
    assert ["did you mean" in line for line in caught.value.details] == [True, True, False]


def test_a_name_without_an_end_is_cut(tmp_path):
    message = problem("cat\n" + "x" * (4 << 20) + "\n")
    assert message.endswith('x…"')
    assert len(message) < 200


def test_names_that_only_differ_in_what_a_csv_escapes_are_not_mixed_up():
    groups = ["a\x1b", "a\x07", "a\\x1b"]
    assert parse_ranking("a\\x1b\na\x1b\na\x07\n", groups, "r").order.tolist() == [1, 0, 2]


def test_a_spreadsheet_s_byte_order_mark_is_no_part_of_a_name(tmp_path):
    (tmp_path / "r.csv").write_text("dog\ncat\n", encoding="utf-8-sig")
    ranking = read_ranking(tmp_path / "r.csv", ["cat", "dog"])
    assert (ranking.name, ranking.order.tolist()) == (str(tmp_path / "r.csv"), [0, 1])


def test_only_regular_text_files_of_a_sensible_size_are_read(tmp_path, monkeypatch):
    def reason(path):
        with pytest.raises(DatasetError) as caught:
            read_ranking(path, GROUPS)
        assert caught.value.exit_code == 2
        return str(caught.value)

    assert "does not exist" in reason(tmp_path / "none.csv")
    assert "Is a directory" in reason(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in reason(tmp_path / "pipe")
    (tmp_path / "latin.csv").write_bytes(b"class\ncat\nd\xf6g\n")
    assert "line 3 is not UTF-8 text; save it as CSV in UTF-8" in reason(tmp_path / "latin.csv")
    (tmp_path / "binary.csv").write_bytes(b"class\ncat\0\n")
    assert "line 2 holds binary data" in reason(tmp_path / "binary.csv")
    (tmp_path / "large.csv").write_text("cat\n")
    os.truncate(tmp_path / "large.csv", (32 << 20) + 1)
    assert "larger than 32 MiB" in reason(tmp_path / "large.csv")


def test_columns_that_are_ignored_are_named_where_the_order_of_lines_counts():
    assert parse("class,score\ncat,1\ndog,9\ncow,2\n").ignored == ("score",)
    assert parse("class,influence,note\ncat,1,x\ndog,9,y\ncow,2,z\n").ignored == ()
    assert parse("cat\ndog\ncow\n").ignored == ()

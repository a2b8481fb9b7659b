"""Rankings as HTML, Markdown and LaTeX: every group is one row, and no name is read as markup."""

import json
import re
import sys
from html.parser import HTMLParser

import pytest
from pyarrow import parquet

from tests.integration.command_line import refused, run
from tests.tui.runs import make_run
from tests.unit.export.reports import alphabet_report, comparison_of, nasty_report
from tui_influence.export.data_frame import parquet_bytes
from tui_influence.export.markup import html_table, latex_table, markdown_table
from tui_influence.export.ranking import ranking_table

REPORTS = [nasty_report(), comparison_of(nasty_report())]
NAMES = [r"a_b|c*d", r"50% & $x$ #1 {y} ~^\z", "<b>http://e.vil</b>", "two\nlines", "plain"]


class Cells(HTMLParser):
    """The cells of each row, and every tag."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.tags = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("markup") / "run", models=40, planned=40, groups=NAMES).root


@pytest.mark.parametrize("report", REPORTS)
def test_html_has_a_row_for_every_group_and_no_tag_of_a_name(report):
    table = Cells(html_table(report))
    assert table.tags == {"table", "caption", "thead", "tbody", "tr", "th", "td", "p"}
    names = [row[1] for row in ranking_table(report).rows]
    assert len(table.rows) == 1 + len(names)
    assert {len(row) for row in table.rows} == {len(table.rows[0])}
    assert "[bold red]x[/] [link=http://e.vil]" in [row[1] for row in table.rows]


@pytest.mark.parametrize("report", REPORTS)
def test_markdown_has_a_line_of_equally_many_cells_for_every_group(report):
    lines = [line for line in markdown_table(report).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(ranking_table(report).rows)
    assert len({len(re.split(r"(?<!\\)\|", line)) for line in lines}) == 1


@pytest.mark.parametrize("report", REPORTS)
def test_latex_has_a_line_of_equally_many_cells_for_every_group(report):
    text = latex_table(report)
    body = text.partition("\\midrule\n")[2].partition("\n\\bottomrule")[0].splitlines()
    assert len(body) == len(ranking_table(report).rows)
    assert all(line.endswith(r" \\") for line in body)
    columns = re.search(r"\\begin\{tabular\}\{([lr]+)\}", text)
    assert {len(re.split(r"(?<!\\)&", line)) for line in body} == {len(columns[1])}
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_the_first_groups_are_kept_in_every_language():
    assert len(Cells(html_table(alphabet_report(), top=3)).rows) == 1 + 3
    assert markdown_table(alphabet_report(), top=3).count("\n|") == 2 + 3
    assert latex_table(alphabet_report(), top=3).count(r" \\" + "\n") == 1 + 3


def test_names_are_escaped_in_the_files_that_the_command_writes(root, tmp_path):
    said = run("rank", root, "--markdown", tmp_path / "r.md", "--latex", tmp_path / "r.tex")
    assert (said.code, said.out) == (0, "")
    markdown, latex = (tmp_path / "r.md").read_text(), (tmp_path / "r.tex").read_text()
    assert r"| a\_b\|c\*d |" in markdown
    assert r"| \<b\>http\://e.vil\</b\> |" in markdown
    assert r"| two\\x0alines |" in markdown
    assert r"& a\_b\textbar{}c*d &" in latex
    assert r"& 50\% \& \$x\$ \#1 \{y\} \textasciitilde{}\textasciicircum{}\textbackslash{}z &" in latex


@pytest.mark.parametrize("options", [["--top", 2], ["--class", "x", "--compare-class", "y"]])
def test_a_table_on_stdout_is_that_of_the_file(root, tmp_path, options):
    for language in ("--markdown", "--latex"):
        assert run("rank", root, *options, language, tmp_path / "table").code == 0
        assert run("rank", root, *options, language, "-").out == (tmp_path / "table").read_text()


def test_parquet_is_read_with_its_facts(root, tmp_path):
    assert run("rank", root, "--parquet", tmp_path / "r.parquet", "--top", 4).code == 0
    table = parquet.read_table(tmp_path / "r.parquet")
    rows = json.loads(run("rank", root, "--json", "--top", 4).out)["rows"]
    assert table.to_pylist() == rows
    assert json.loads(table.schema.metadata[b"tinfl"])["models"] == 40
    assert parquet_bytes(ranking_table(comparison_of(nasty_report())))


def test_parquet_without_its_library_is_refused_in_a_line_and_nothing_is_written(root, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "pyarrow.parquet", raising=False)
    files = ("--parquet", tmp_path / "r.parquet", "--csv", tmp_path / "r.csv")
    refused("rank", root, *files, code=2, reason="Parquet needs pyarrow, which cannot be imported")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--parquet", "-"), "Parquet is binary"),
        (("--markdown", "-", "--latex", "-"), "--markdown - and --latex - both write to stdout"),
        (("--latex", "-", "--json"), "--latex - and --json both write to stdout"),
        (("--markdown", "a", "--latex", "./a"), "name the same file"),
    ],
)
def test_files_that_cannot_be_written_together_are_refused(root, tmp_path, monkeypatch, options, reason):
    monkeypatch.chdir(tmp_path)
    refused("rank", root, *options, code=2, reason=reason)
    assert list(tmp_path.iterdir()) == []

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from ablata.reports.figures import Figures
from ablata.reports.html import compare_page, study_page, templates
from ablata.reports.run_views import ArmCurves, CurveView, RunView, SeriesView
from ablata.reports.sections import Image, ImageSection, TableCell, TableSection
from ablata.reports.study import cost_bars
from ablata.reports.view import ArmView, ChangeView, CompareView, MetricView, PlanView, ScorePair, StudyView

EVIL = "<script>alert(1)</script>\"'&\x1b[31m"
VOID = {"meta", "img", "br", "hr", "input", "link"}


class Page(HTMLParser):
    """Tags, ids and table cells of a page; fails on a tag that is not closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    @property
    def ids(self) -> list[str]:
        return [attributes["id"] or "" for _, attributes in self.tags if "id" in attributes]


def images(source: str) -> list[str]:
    return re.findall(r"<svg.*?</svg>", source, re.DOTALL)


def test_the_page_is_well_formed_and_ids_are_unique(example: StudyView) -> None:
    page = Page(study_page(example))
    assert len(page.ids) == len(set(page.ids))


def test_every_image_is_valid_xml_and_named(example: StudyView) -> None:
    found = images(study_page(example))
    assert len(found) > 20
    for source in found:
        node = ElementTree.fromstring(source)
        if node.attrib.get("aria-hidden") != "true":
            titles = node.attrib["aria-labelledby"].split()
            named = {child.attrib.get("id"): child.text for child in node}
            assert all(named[title] for title in titles)


def test_the_page_needs_nothing_from_outside(example: StudyView) -> None:
    source = study_page(example)
    assert re.findall(r"https?:[^\s\"')]*", source.replace("http://www.w3.org/2000/svg", "")) == []
    assert "@import" not in source
    assert re.findall(r"url\((?!#)", source) == []
    assert not [
        tag
        for tag, attributes in Page(source).tags
        if tag in ("link", "iframe") or (tag == "script" and "src" in attributes)
    ]


def test_everything_from_users_is_escaped(example: StudyView) -> None:
    arm = replace(
        example.arms[1],
        name=EVIL,
        changes=(ChangeView(key=EVIL, old=EVIL, new=EVIL),),
        reason=EVIL,
        notes=(EVIL,),
        recipe_hash=EVIL,
    )
    curve = CurveView(
        name=EVIL, axis=EVIL, arms=(ArmCurves(arm=EVIL, series=(SeriesView(seed=0, x=(0.0, 1.0), y=(0.0, 1.0)),)),)
    )
    run = RunView(id=EVIL, seed=0, state=EVIL, arm=EVIL, link=EVIL, error=EVIL, scores=((EVIL, 1.0),), environment=EVIL)
    view = replace(
        example,
        name=EVIL,
        question=EVIL,
        metric=MetricView(name=EVIL, protocol=EVIL, split=EVIL, unit=EVIL),
        arms=(replace(example.arms[0], name=EVIL + "0"), arm),
        curves=(curve,),
        commands=(EVIL,),
        fingerprints=((EVIL, EVIL),),
        environments=tuple(replace(one, name=EVIL, items=((EVIL, EVIL),)) for one in example.environments),
        runs=(run,),
    )
    source = study_page(view)
    assert "<script>alert" not in source
    assert "\x1b" not in source
    assert source.count("<script>") == 1
    Page(source)
    for image in images(source):
        ElementTree.fromstring(image)


def test_tabulators_and_line_ends_stay_in_a_page_and_other_control_characters_do_not() -> None:
    assert templates().from_string("{{ text }}").render(text="a\tb\nc\x07") == "a\tb\nc\ufffd"


@pytest.mark.parametrize("link", ["javascript:alert(1)", "//host/x", "/etc/passwd", "data:text/html,x", "\\\\host"])
def test_a_link_leads_only_beside_the_page(example: StudyView, link: str) -> None:
    source = study_page(replace(example, runs=(RunView(id="a", seed=0, state="completed", link=link),)))
    assert [attributes["href"] for tag, attributes in Page(source).tags if tag == "a"] == []


def test_the_question_and_the_answer_come_first(example: StudyView) -> None:
    source = study_page(example)
    assert (
        source.index(example.question, source.index("<h1>")) < source.index('class="answer"') < source.index("<table")
    )
    assert "<strong>no-augment</strong> is worse by 1.91 points [−2.31, −1.51]" in source


def test_every_verdict_has_word_sign_and_explanation(example: StudyView) -> None:
    source = study_page(example)
    for verdict in ("better", "worse", "equivalent", "undecided", "unstable"):
        assert re.search(rf'class="verdict {verdict}"[^>]*><svg.*?</svg> <span>{verdict}</span>', source)
        assert re.search(rf'<dt class="verdict {verdict}"><svg.*?</svg> {verdict}</dt>', source)


def test_the_numbers_in_the_table_are_the_views(example: StudyView) -> None:
    figures = Figures.of(example)
    rows = {row[0]: row for row in Page(study_page(example)).rows}
    for arm in example.treatments:
        row = next(row for first, row in rows.items() if first.startswith(arm.name))
        assert arm.effect is not None
        assert row[1] == figures.number(arm.effect.value, sign=True) + figures.span(arm.effect, sign=True)
        assert arm.mean is not None
        assert row[3].startswith(figures.score(arm.mean.value))
        assert row[4].startswith(f"{arm.done}/{arm.planned}")
        assert example.control is not None
        assert row[5] == f"{arm.cost.ratios(example.control.cost).seconds:.2f}×"
    assert "2 diverged" in next(row for first, row in rows.items() if first.startswith("lr-x4"))[4]


def test_an_arm_that_changes_much_is_told_in_short_and_whole_in_a_table(example: StudyView) -> None:
    changes = tuple(ChangeView(key=f"model.part{place}", old="null", new="x" * 60) for place in range(6))
    rows = Page(study_page(replace(example, arms=(example.arms[0], replace(example.arms[1], changes=changes))))).rows
    assert any("and 3 more, below" in row[0] for row in rows)
    name = example.arms[1].name
    assert [row for row in rows if row[0] == name] == [[name, one.key, one.old, one.new] for one in changes]
    assert "What the arms change" not in study_page(example)


def test_what_the_study_can_find_stands_below_the_answer(example: StudyView) -> None:
    head = study_page(example).partition("</header>")[0]
    assert "With 5 seeds the study finds a difference of 0.27 points" in head.partition('class="answer"')[2]
    assert 'class="power"' not in study_page(replace(example, plan=PlanView()))


def test_a_single_point_draws_no_curve(example: StudyView) -> None:
    short = [
        replace(
            one, arms=tuple(replace(arm, series=tuple(cut(series, 1) for series in arm.series)) for arm in one.arms)
        )
        for one in example.curves
    ]
    assert "Learning curves" not in study_page(replace(example, curves=tuple(short)))
    mixed = study_page(replace(example, curves=(example.curves[0], short[1])))
    assert mixed.count('<figure class="panel') < study_page(example).count('<figure class="panel')
    assert "training loss" not in mixed


def cut(series: SeriesView, points: int) -> SeriesView:
    return replace(series, x=series.x[:points], y=series.y[:points])


def test_a_caption_speaks_of_a_correction_and_a_margin_where_there_is_one(example: StudyView) -> None:
    first, second = replace(example.arms[1], corrected=0.4), replace(example.arms[1], corrected=None)
    told, untold = (
        replace(example, margin=margin, arms=(example.arms[0], arm)) for margin, arm in ((0.3, first), (None, second))
    )
    for page, is_told in ((study_page(told), True), (study_page(untold), False)):
        assert ("Corrected: what it probably is" in page) is is_told
        assert ("Band: the margin" in page) is is_told


def test_arms_of_equal_cost_share_a_bar(example: StudyView) -> None:
    cost = cost_bars(example)
    assert cost is not None
    assert "Parameters: 13.6 M in every arm." in cost.caption
    same = tuple(replace(arm, cost=example.arms[0].cost) for arm in example.arms[:3])
    other = replace(example.arms[3], cost=replace(example.arms[0].cost, seconds=9000.0))
    drawn = cost_bars(replace(example, arms=(*same, other)))
    assert drawn is not None
    [[_, [panel]]] = drawn.groups
    assert panel.title == "Time of a run"
    assert "ohem, no-augment 1.00×" in str(panel.drawing)


def test_each_command_can_be_copied_alone(example: StudyView) -> None:
    assert study_page(example).count('<pre class="command"><code>ablata study') == len(example.commands)


def test_a_page_stays_small(example: StudyView) -> None:
    """Style and curves share a fixed room, as curves get coarser the more there are; each arm adds its own lines."""
    assert len(study_page(example).encode()) < 170_000 + 4_500 * len(example.arms)
    arms = tuple(replace(example.arms[1 + place % 6], name=f"arm-{place}") for place in range(29))
    lines = {curve.name: [one.series for one in curve.arms] for curve in example.curves}
    curves = tuple(
        CurveView(
            name=name, arms=tuple(ArmCurves(arm=arm.name, series=found[place % 7]) for place, arm in enumerate(arms))
        )
        for name, found in lines.items()
    )
    many = study_page(replace(example, arms=(example.arms[0], *arms), curves=curves))
    Page(many)
    assert len(many.encode()) < 170_000 + 4_500 * (1 + len(arms))


def test_studies_without_arms_runs_or_looks_have_a_page(example: StudyView) -> None:
    empty = StudyView(name="new", question="", metric=MetricView(name="top1"), margin=0.5)
    Page(study_page(empty))
    Page(study_page(replace(empty, arms=(ArmView(name="control", is_control=True),))))
    Page(study_page(replace(empty, arms=(ArmView(name="control", is_control=True), ArmView(name="a")))))
    Page(study_page(replace(example, arms=example.arms[:2], curves=(), environments=(), runs=())))


def test_two_environment_classes_are_a_warning(example: StudyView) -> None:
    assert 'class="warning"' in study_page(example)
    assert 'class="warning"' not in study_page(replace(example, environments=example.environments[:1]))


def test_runs_that_differ_in_code_are_a_warning(example: StudyView) -> None:
    alone = replace(example, environments=example.environments[:1], code_notes=("The runs of mine differ.",))
    assert re.search(r'class="warning"[^>]*>The runs of mine differ\.<', study_page(alone))


def test_further_sections_take_their_place(example: StudyView) -> None:
    table = TableSection(
        title="Rounds",
        ident="rounds",
        columns=("round", "score"),
        rows=((TableCell(text="1"), TableCell(text="60.1")),),
    )
    image = ImageSection(
        title="Overlays",
        ident="overlays",
        images=(Image(alt="a street", caption="seed 0", source="data:image/png;base64,AA"),),
    )
    page = Page(study_page(example, extra=(table, image)))
    assert page.ids.index("curves") < page.ids.index("rounds") < page.ids.index("overlays") < page.ids.index("words")


def test_an_image_from_elsewhere_is_refused() -> None:
    with pytest.raises(ValueError, match="data:image"):
        Image(alt="", caption="", source="https://example.org/x.png")


def test_links_of_a_server_are_shown(example: StudyView) -> None:
    assert ("a", {"href": "/studies"}) in Page(study_page(example, links=(("all studies", "/studies"),))).tags


def test_two_runs_stand_side_by_side() -> None:
    runs = (RunView(id="aa11", seed=0, state="completed"), RunView(id="bb22", seed=1, state="completed"))
    view = CompareView(
        first=runs[0],
        second=runs[1],
        changes=(ChangeView(key="optim.lr", old="0.1", new="0.2"),),
        scores=(
            ScorePair(name="val/plain/top1", first=90.0, second=91.5),
            ScorePair(name="lost", first=None, second=1.0),
        ),
        notes=("The seeds differ: 0 and 1.",),
    )
    page = Page(compare_page(view))
    assert ["optim.lr", "0.1", "0.2"] in page.rows
    assert ["val/plain/top1", "90", "91.5", "+1.5"] in page.rows
    assert ["lost", "–", "1", "–"] in page.rows
    assert "The seeds differ" in compare_page(view)


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("mode", [0, 1])
def test_words_have_enough_contrast_in_light_and_dark(mode: int) -> None:
    loader = templates().loader
    assert loader is not None
    css = loader.get_source(templates(), "report.css")[0]
    colours = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", css.split(":root {")[1 + mode]))
    for ground in ("paper", "card"):
        for ink in ("ink", "muted", "better", "worse", "equivalent", "undecided", "unstable", "accent"):
            pair = sorted((luminance(colours[ground]), luminance(colours[ink])))
            assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, (ink, ground)

"""What runs show on a page: classes and images, escaped and within one file."""

from __future__ import annotations

from dataclasses import replace

from ablata.records.run_folder.gallery import Gallery, GalleryGroup, ShownImage
from ablata.reports.html import run_page
from ablata.reports.run_views import RunView
from ablata.reports.sections import GridSection, ImageSection
from ablata.reports.visuals import class_bars, class_table, run_sections

JPEG = b"\xff\xd8\xff\xe0"
SHOWN = Gallery(
    "val",
    "ss",
    "iou",
    (("road <b>", 81.5), ("sign", None)),
    (ShownImage('a "street"', "image 3: <i>90%</i>", JPEG),),
    JPEG,
)


def test_a_run_page_shows_classes_and_images_and_escapes_their_words() -> None:
    page = run_page(RunView(id="abc", seed=1, state="completed", recipe="<u>"), extra=run_sections(SHOWN))
    assert page.count("data:image/jpeg;base64,") == 2
    assert "road &lt;b&gt;" in page
    assert not any(tag in page for tag in ("<b>", "<i>90", "<u>"))
    assert "81.5" in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


def test_drawings_are_addresses_and_no_part_of_the_page() -> None:
    drawing = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    groups = (GalleryGroup("Class <graph>", "how <much>", (ShownImage("a", "<b>of</b>", drawing),)),)
    shown = replace(SHOWN, groups=groups, caption="left & right.")
    page = run_page(RunView(id="abc", seed=1, state="completed", recipe="r"), extra=run_sections(shown))
    assert page.count("data:image/svg+xml;base64,") == 1
    assert "alert" not in page
    assert "Class &lt;graph&gt;" in page
    assert "how &lt;much&gt;" in page
    assert "left &amp; right. Images of val, protocol ss." in page


def test_sections_without_content_are_left_out() -> None:
    assert run_sections(Gallery("val", "ss")) == ()
    (only,) = run_sections(replace(SHOWN, classes=()))
    assert isinstance(only, ImageSection)


def test_a_table_of_classes_has_the_difference_to_the_first_arm() -> None:
    scores = {"control": {"road <b>": 80.0}, "arm": {"road <b>": 78.5, "sign": 3.0}}
    table = class_table(SHOWN, scores)
    assert table.columns == ("Class", "control", "arm")
    assert [(cell.text, cell.note) for cell in table.rows[0][1:]] == [("80.0", ""), ("78.5", "−1.5")]
    assert [(cell.text, cell.note) for cell in table.rows[1][1:]] == [("–", ""), ("3.0", "")]
    drawn = class_bars(SHOWN, scores)
    assert isinstance(drawn, GridSection)
    assert [panel.title for panel in drawn.groups[0][1]] == ["control", "arm"]

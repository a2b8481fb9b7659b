"""How images fit into a room of cells."""

import pytest

from tui_influence.render.image_layout import IMAGE_GAP, IMAGE_WIDTHS, Layout


@pytest.mark.parametrize("width", [1, 14, 38, 78, 92, 140, 300])
@pytest.mark.parametrize("height", [1, 5, 9, 20, 36, 90])
@pytest.mark.parametrize("shelves", [1, 2, 7])
@pytest.mark.parametrize("chosen", [None, 12, 32])
def test_what_is_shown_fits_unless_the_room_is_smaller_than_any_picture(width, height, shelves, chosen):
    layout = Layout(width, height, shelves, 1, chosen)
    if width >= 2 and height >= 4:
        assert layout.across * (layout.columns + IMAGE_GAP) - IMAGE_GAP <= width
        assert layout.visible_rows * layout.row_height <= height
    assert layout.per_page >= 1
    assert 1 <= layout.visible_rows <= shelves


def test_at_80_by_24_both_shelves_show_four_pictures_that_can_be_recognised():
    layout = Layout(78, 20, 2, 1)
    assert (layout.visible_rows, layout.across, layout.columns) == (2, 4, 16)


def test_a_very_low_room_shows_one_shelf_at_a_time():
    assert Layout(38, 9, 2, 1).visible_rows == 1


def test_of_many_shelves_as_many_are_shown_as_keep_their_pictures_recognisable():
    layout = Layout(138, 35, 7, 1)
    assert (layout.visible_rows, layout.columns, layout.shows_all) == (3, 18, False)


def test_pages_begin_where_the_one_before_ends():
    layout = Layout(78, 20, 2, 1)
    starts = [layout.start(cursor) for cursor in range(3 * layout.per_page)]
    assert starts == [cursor // layout.per_page * layout.per_page for cursor in range(3 * layout.per_page)]


def test_sizes_grow_and_shrink_and_end():
    layout = Layout(300, 90, 2, 1, 16)
    assert layout.next_size(1) == 20
    assert layout.next_size(-1) == 12
    assert Layout(300, 90, 2, 1, IMAGE_WIDTHS[-1]).next_size(1) == IMAGE_WIDTHS[-1]
    assert Layout(300, 90, 2, 1, IMAGE_WIDTHS[0]).next_size(-1) == IMAGE_WIDTHS[0]

"""How images fit into a room of cells."""

import pytest

from tui_influence.render.image_layout import GAP, SIZES, Layout


@pytest.mark.parametrize("width", [1, 14, 38, 78, 92, 140, 300])
@pytest.mark.parametrize("height", [1, 5, 9, 20, 36, 90])
@pytest.mark.parametrize("shelves", [1, 2, 7])
@pytest.mark.parametrize("chosen", [None, 12, 32])
def test_what_is_shown_fits_unless_the_room_is_smaller_than_any_picture(width, height, shelves, chosen):
    layout = Layout(width, height, shelves, 1, chosen)
    if width >= 2 and height >= 4:
        assert layout.across * (layout.columns + GAP) - GAP <= width
        assert layout.seen * layout.shelf_rows <= height
    assert layout.page >= 1
    assert 1 <= layout.seen <= shelves


def test_at_80_by_24_both_shelves_show_four_pictures_that_can_be_recognised():
    layout = Layout(78, 20, 2, 1)
    assert (layout.seen, layout.across, layout.columns) == (2, 4, 16)


def test_a_very_low_room_shows_one_shelf_at_a_time():
    assert Layout(38, 9, 2, 1).seen == 1


def test_of_many_shelves_as_many_are_shown_as_keep_their_pictures_recognisable():
    layout = Layout(138, 35, 7, 1)
    assert (layout.seen, layout.columns, layout.is_whole) == (3, 18, False)


def test_pages_begin_where_the_one_before_ends():
    layout = Layout(78, 20, 2, 1)
    starts = [layout.start(cursor) for cursor in range(3 * layout.page)]
    assert starts == [cursor // layout.page * layout.page for cursor in range(3 * layout.page)]


def test_sizes_grow_and_shrink_and_end():
    layout = Layout(300, 90, 2, 1, 16)
    assert layout.sized(1) == 20
    assert layout.sized(-1) == 12
    assert Layout(300, 90, 2, 1, SIZES[-1]).sized(1) == SIZES[-1]
    assert Layout(300, 90, 2, 1, SIZES[0]).sized(-1) == SIZES[0]

import pytest

from tests.unit.export.reports import constant, row
from tui_influence.views import Order, chosen

ROWS = (
    row(1, "ostrich", 0.8, q=0.001),
    row(2, "Great White Shark", 0.05, q=0.4),
    row(3, "a>b", 0.0, q=1.0),
    row(4, "sea snake", -0.3, q=0.02),
    constant(5, "absent"),
)


@pytest.mark.parametrize(
    ("text", "ranks"),
    [
        ("", [1, 2, 3, 4, 5]),
        ("   ", [1, 2, 3, 4, 5]),
        ("shark", [2]),
        ("GREAT shark", [2]),
        (">0.1", [1]),
        ("<0", [4]),
        (">=0.05", [1, 2]),
        ("<=-0.3", [4]),
        ("<−0.2", [4]),
        ("|x|>0.1", [1, 4]),
        ("abs>0.1", [1, 4]),
        ("q<0.05", [1, 4]),
        ("Q<0.05 >0", [1]),
        ("rank<=2", [1, 2]),
        ("n>=1", [1, 2, 3, 4]),
        ("s <0.1 q<0.5", [2, 4]),
        (">", [1, 2, 3, 4, 5]),  # the number is still being typed
        (">-", [1, 2, 3, 4, 5]),
        ("a>b", [3]),  # no such column: part of a name
        (">x", []),
        ("nothing", []),
    ],
)
def test_a_filter_keeps_the_rows_for_which_every_word_holds(text, ranks):
    assert [found.rank for found in chosen(ROWS, text, Order.HELPFUL)] == ranks


@pytest.mark.parametrize(
    ("order", "ranks"),
    [
        (Order.HELPFUL, [1, 2, 3, 4, 5]),
        (Order.HARMFUL, [4, 3, 2, 1, 5]),
        (Order.STRENGTH, [1, 4, 2, 3, 5]),
        (Order.SURE, [1, 4, 2, 3, 5]),
        (Order.NAME, [3, 5, 2, 1, 4]),
    ],
)
def test_an_order_keeps_undefined_influences_last(order, ranks):
    assert [found.rank for found in chosen(ROWS, "", order)] == ranks


def test_orders_go_around():
    seen, order = [], Order.HELPFUL
    for _ in Order:
        seen.append(order)
        order = order.following
    assert seen == list(Order)
    assert order is Order.HELPFUL

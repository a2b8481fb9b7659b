"""Garbage collections while the app runs; each in a process of its own, as there is one collector."""

import subprocess
import sys

BEGIN = "import gc; from tui_influence.tui import background; background.disable_gc(); "


def said(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_nothing_is_collected_until_the_app_stands_and_then_never_what_is_there():
    assert said(
        f"{BEGIN} print(gc.isenabled()); background.freeze_and_enable_gc(); "
        "print(gc.isenabled(), gc.get_freeze_count() > 1000)"
    ) == ("False\nTrue True")


def test_who_shares_the_process_with_others_keeps_its_collector():
    code = (
        "import gc; from tui_influence.tui import background; frozen = gc.get_freeze_count(); "  # of Python itself
        "background.freeze_and_enable_gc(); print(gc.isenabled(), gc.get_freeze_count() == frozen)"
    )
    assert said(code) == "True True"

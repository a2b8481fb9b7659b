"""Keeps garbage collections away from the keys: what stays for the app's whole life is not looked through again.

A quarter of a million objects stay: modules, styles, widgets. To go through them takes a tenth of a second, in which
no key is heard, and typing alone brings that about every few seconds. Only a process that the app has to itself may
do this, so it is the command that begins it.
"""

import gc

_begun = False


def begin() -> None:
    """Collect nothing until the app stands; to be called before it is loaded."""
    global _begun
    _begun = True
    gc.disable()


def settle() -> None:
    """Collect from now on, but never what is there by now. From any thread; nothing happens without `begin`."""
    if _begun:
        gc.freeze()
        gc.enable()

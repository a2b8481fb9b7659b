"""Arrays as files, for the commands that read them."""

import numpy as np


def save(folder, name, array):
    np.save(folder / f"{name}.npy", array, allow_pickle=array.dtype.hasobject)
    return folder / f"{name}.npy"

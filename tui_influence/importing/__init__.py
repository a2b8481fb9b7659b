"""Import of masks and outputs of another program as a results directory.

`arrays` checks the arrays against each other, with `array_files`, which opens them, `prior_arrays` and `rounding`;
`directory` writes the results directory. Nothing is unpickled.
"""

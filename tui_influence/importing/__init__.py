"""Import of masks and outputs of another program as a results directory.

`arrays` opens and checks the files; `directory` writes the results directory. Nothing is unpickled.
"""

"""The results directory: one immutable record a (model, target), and what is derived from them.

Everything in it is data. Nothing is unpickled or executed, no path inside it is followed, and a file that does not
match its checksum does not exist.
"""

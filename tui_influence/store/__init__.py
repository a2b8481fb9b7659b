"""The results directory: one immutable record for each model and target, and files derived from the records.

Everything in it is data: nothing is unpickled or executed, no path in it is followed, and a file that does not match
its digest is ignored.
"""

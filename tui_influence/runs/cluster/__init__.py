"""Runs on a cluster: a plan cut into blocks of rows, each handed to an engine that exists (Slurm, Ray) as one task.

The records are the truth here as everywhere: a row that has its records is done, whoever trained it and whatever an
engine says, and no process has to live for as long as the run does. A run goes in *rounds*. A short task, the planner,
packs the data where that is still to do, looks which rows have no record, cuts them into blocks, hands these to the
engine, and asks to be started again when all of them have ended. When nothing is left it asks what the plan grows by
(a pruning), and ends the run. What a round leaves undone, because nodes went away or time was up, is in the next.
"""

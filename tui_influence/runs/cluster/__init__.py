"""Runs on a cluster: the rows of a plan divided into tasks, each submitted to Slurm or Ray.

As everywhere, the records decide: a row that has its records is done, whichever task trained it and whatever the
cluster reports, and no process has to live as long as the run. A run proceeds in *rounds*. A short job, the planner,
packs the data where necessary, lists the rows without a record, divides them into tasks, submits these, and asks to be
started again when all of them have ended. When no row is left it extends the plan if it can (a pruning), or ends the
run. What a round leaves undone, because nodes went away or time was up, is in the next.
"""

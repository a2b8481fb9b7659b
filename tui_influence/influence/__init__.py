"""Statistics: from masks and outputs to influences with intervals, rankings and their reliability.

Pure array code: numpy, scipy.linalg and scipy.special; no torch, no files, no display. Import from the modules:

- `types`: all results, as plain data
- `outputs`: margins, probabilities or correctness; averages over target examples
- `estimators`: the table of estimators; `difference`, `ridge`: one each
- `estimate`: intervals, p-values and false discovery rates
- `reliability`, `forecast`, `lds`, `lds_ceiling`: quality of a ranking
- `ranking`, `comparison`, `strongest_pairs`: answers to questions
"""

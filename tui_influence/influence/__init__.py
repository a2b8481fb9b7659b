"""From masks and predictions to influences, their uncertainty, and a ranking with what says how far to trust it.

Pure array code: numpy, scipy.linalg and scipy.special; no torch, no files, no display. Import from the modules:

- `outputs`: margins, probabilities or correctness; averages over target examples
- `estimators`: `difference`, `ridge`; `estimate`: what they return
- `fdr`, `reliability`, `forecast`, `lds`: how far to trust it
- `ranking`: all of it for one question
"""

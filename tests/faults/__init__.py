"""Fault injection: what a data directory holds after failed calls of the kernel, kills, full disks and flipped bits.

`python -m faults --out FILE` goes through all of it and writes the table of counts; `tests/test_faults.py` takes a
sample. Faults are injected at the border of the kernel (strace), so SQLite, numpy and FAISS are hit alike.
"""

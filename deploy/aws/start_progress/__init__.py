"""Writes how far the machine's start has come to a parameter of Systems Manager.

The functions read the parameter (``lambdas/boot_report.py``). The program runs on the machine's own Python
before any installation, so it needs no package. ``pull`` fetches an image and writes its progress to a file;
``boot.sh`` writes its step to another. ``watch`` reads both files, the server and Triton's log, and alone
writes the parameter.
"""

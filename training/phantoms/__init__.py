"""Examinations with reports, made out of anatomy maps."""

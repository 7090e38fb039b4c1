"""Floor 2: knows questions: search, scoring, triage, report check; HTTP."""

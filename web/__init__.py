"""Floor 3: knows people: pages and templates."""

"""Where examinations come from: each source yields drafts of examinations and what it had to refuse."""

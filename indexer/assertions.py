"""What each clause of a report says of its findings: present, absent, uncertain, historical or hypothetical.

A small rule engine in the manner of NegEx and ConText (Chapman et al. 2001; Harkema et al. 2009): cues with a scope,
terms that end a scope, and pseudo-cues that look like negation and are not. A scope is a clause: a sentence that both
states and denies is cut first, so that each part has one assertion. "absent" is for denied findings; statements of
normality ("Normal study.") are present. Somebody else's finding ("mother had") counts as historical. Splitting a
report into sentences is left to `report_text`.
"""

from __future__ import annotations

import re

from indexer.cases import Assertion, Section

_PERCEIVED = (
    r"(?:seen|identified|visuali[sz]ed|demonstrated|detected|evident|noted|present|shown|found|observed|apparent"
    r"|appreciated|visible|documented|suspected|recogni[sz]ed)"
)
_VERB = (
    r"(?:is|are|was|were|has|have|had|remains?|shows?|showed|demonstrates?|reveals?|appears?|measures?|contains?"
    r"|causes?|extends?|involves?|enhances?|persists?)"
)
_DEGREE = r"(?:(?:significant|substantial|appreciable|definite|obvious|major|real|interval|overall|further|large)\s+)*"

# What looks like a denial and is none. Masked before the cues are looked for.
_PSEUDO = re.compile(
    r"\b(?:"
    rf"no\s+{_DEGREE}(?:change|changes|growth|progression|regression|increase|decrease|difference|improvement|worsening)"
    r"|no\s+interval\s+enlargement"
    rf"|without\s+{_DEGREE}(?:change|changes|growth|progression|regression|increase|decrease)"
    r"|(?:has|have|is|are|was|were)\s+not\s+(?:\w+ly\s+)?(?:changed?|altered|grown|progressed|resolved|normal|enlarging)"
    r"|not\s+(?:\w+ly\s+)?(?:changed|altered|resolved|normal)"
    r"|not\s+only|not\s+just|not\s+merely|not\s+necessarily|no\s+doubt|not\s+without"
    r"|(?:no|not)\s+(?:more|less|fewer|later|smaller|larger)\s+than"
    r"|not\s+(?:been\s+|yet\s+)?(?:measured|assessed|evaluated|imaged|included|covered|performed|given|administered"
    r"|available|known|reported|specified|stated|obtained|acquired)"
    r"|(?:with\s+and\s+)?without\s+(?:and\s+with\s+)?(?:iv\s+|intravenous\s+)?(?:gadolinium\s+)?(?:contrast|gadolinium)"
    r"|no\s+(?:prior|previous|comparison)\s+(?:\w+\s+)?(?:studies|study|imaging|images|examinations?|scans?|mri)"
    r")\b"
)
# A former examination is a date to compare with, not a former finding.
_COMPARED = re.compile(
    r"\b(?:(?:compared?\s+(?:with|to)|since|than|from)\s+(?:the\s+)?)?(?:previous|prior|last|past|old|former|earlier)\s+"
    r"(?:outside\s+|brain\s+|head\s+|mri\s+|mr\s+|ct\s+)*"
    r"(?:mri|mr|ct|scans?|stud(?:y|ies)|examinations?|exams?|imaging|images?|reports?|series|comparisons?)\b"
    r"|\bpreviously\s+(?:seen|noted|described|identified|demonstrated|reported|known|visuali[sz]ed)\b"
)

# "cannot exclude X": hedges that are made of denials, so they are looked for before these.
_NOT_EXCLUDED = re.compile(
    r"\b(?:can\s?not|can't|could\s+not|couldn't|not|difficult\s+to|hard\s+to|unable\s+to|impossible\s+to)\s+"
    r"(?:be\s+|been\s+)?(?:\w+ly\s+)?(?:be\s+)?(?:exclude|excluded|rule\s+out|ruled\s+out)\b"
    r"|\bnot\s+(?:certain|clear|sure|definite|definitive|conclusive|specific|diagnostic)\b|\bmay\s+not\b"
)
_HYPOTHETICAL = re.compile(
    r"\b(?:if|should\s+(?:there|\w+\s+(?:occur|develop|arise|worsen|recur))|in\s+(?:the\s+)?(?:case|event)\s+of|unless"
    r"|evaluat(?:e|ion)\s+(?:for|of)|assess(?:ment)?\s+for|screen(?:ing)?\s+for|look(?:ing)?\s+for|to\s+exclude"
    r"|to\s+rule\s+out|rule\s+out|r/o|exclude|at\s+risk\s+(?:of|for)|risk\s+of|watch\s+for|monitor(?:ing)?\s+for"
    r"|would\s+(?:suggest|indicate|be))\b"
)
_ABSENT = re.compile(
    r"\b(?:no|not|nor|neither|none|nil|nothing|never|without|absent|absence\s+of|negative|free\s+of|free\s+from|lacks?"
    r"|lack\s+of|den(?:y|ies|ied)|fails?\s+to|ruled\s+out|rules\s+out|excluded|excludes|devoid\s+of|isn't|aren't"
    r"|wasn't|weren't|doesn't|don't|didn't|hasn't|haven't|(?<!un)resolved|resolution\s+of)\b"
)
_STILL_THERE = re.compile(
    r"\b(?:partial(?:ly)?|incomplete(?:ly)?|nearly|almost|un|not\s+fully)[\s-]*(?:resolved|resolution\s+of)\b"
)
_HISTORICAL = re.compile(
    r"\b(?:histor(?:y|ies)\s+of|h/o|hx\s+of|past\s+(?:medical\s+)?history|family\s+history|history\s*:|status\s+post|s/p"
    r"|previous(?:ly)?|prior|formerly|in\s+(?:childhood|infancy|the\s+past)|years?\s+ago|months?\s+ago|since\s+birth"
    r"|(?:his|her|their|the|patient's)?\s*(?:mother|father|brother|sister|sibling|parent|grandmother|grandfather|aunt"
    r"|uncle|cousin|son|daughter|twin)s?(?:'s)?\s+(?:had|has|have|with|was|died|history))\b"
)
_UNCERTAIN = re.compile(
    r"\b(?:possib(?:le|ly|ility)|may|might|could|perhaps|question(?:able)?(?:\s+of)?|equivocal|indeterminate|uncertain"
    r"|unclear|suspected|suspicio(?:n|us)|concern(?:ing)?\s+for|worrisome\s+for|differential|versus|vs|raises?\s+the"
    r"|cannot\s+say|suggestive\s+of|suggests?|presumed)\b"
    r"|\?"
)
_ASKED = re.compile(r"\?|\b(?:suspected|suspicion\s+of|possible|query|queried|concern\s+for|confirm|please)\b")

# Where one clause ends and the next begins. The text after the cut keeps its own cue.
_CUTS = re.compile(
    r"\s*;\s*"
    r"|\s*,?\s+(?:but(?:\s+also)?|however|although|though|yet|whereas|while|nevertheless|nonetheless|albeit)\b[\s,]*"
    r"|\s*,?\s+(?=(?:except(?:ing)?(?:\s+for)?|apart\s+from|aside\s+from|other\s+than|save\s+for"
    r"|with\s+the\s+exception\s+of)\b)"
    r"|\s*,\s*(?:and\s+)?(?=(?:there\s+(?:is|are|was|were)|which|now|currently|today)\b)"
    r"|\s+(?=(?:now|currently)\s+with\b)"
)
# A denial in the middle of a statement begins a clause of its own: "large mass | without haemorrhage".
_DENIAL_INSIDE = re.compile(
    r"\s*,?\s+(?=(?:without|in\s+the\s+absence\s+of)\b)"
    r"|\s*,?\s+(?=with\s+no\b)"
    r"|\s*,\s*(?=(?:no|not|nor)\b)"
    r"|\s*,?\s+and\s+(?=(?:no|without)\b)"
)
# "no mass, and the ventricles are enlarged": a new subject with its own verb, which a denied list does not have.
_NEW_SUBJECT = re.compile(
    rf"\s*,\s*(?:and\s+|with\s+)?(?=(?:[\w/-]+\s+){{1,6}}?{_VERB}\b(?!\s+(?:also\s+|clearly\s+)?(?:not\s+)?{_PERCEIVED}))"
    rf"|\s+and\s+(?=(?:the\s+|a\s+)(?:[\w/-]+\s+){{1,5}}?{_VERB}\b(?!\s+(?:also\s+)?(?:not\s+)?{_PERCEIVED}))"
    r"|\s*,?\s+and\s+(?=with\b)"
)
_OPENS_ABSENT = re.compile(
    r"^\W*(?:there\s+(?:is|are|was|were)\s+|with\s+)?(?:no|without|neither|not|nor|negative\s+for)\b"
)
_EXCEPTED = re.compile(
    r"^(?:except(?:ing)?(?:\s+for)?|apart\s+from|aside\s+from|other\s+than|save\s+for|with\s+the\s+exception\s+of)\b"
)
_LIST_ITEM = re.compile(r"^(?:or|nor)\b")


def judge(sentence: str, section: Section = Section.BODY) -> tuple[tuple[str, Assertion], ...]:
    """The clauses of a sentence, each with its assertion. Neighbours that say the same stay together.

    >>> [(text, str(said)) for text, said in judge("No haemorrhage but a large mass.")]
    [('No haemorrhage', 'absent'), ('a large mass.', 'present')]
    >>> [str(said) for _, said in judge("No haemorrhage, mass or shift.")]
    ['absent']
    """
    parts = [(start, end, assertion_of(sentence[start:end], section)) for start, end in _spans(sentence)]
    joined: list[tuple[int, int, Assertion]] = []
    for start, end, said in parts:
        if joined and joined[-1][2] is said:
            joined[-1] = (joined[-1][0], end, said)
        else:
            joined.append((start, end, said))
    return tuple((sentence[start:end].strip(" ,;"), said) for start, end, said in joined)


def assertion_of(clause: str, section: Section = Section.BODY) -> Assertion:
    """The one assertion of a clause.

    >>> str(assertion_of("no change in hydrocephalus")), str(assertion_of("cannot exclude haemorrhage"))
    ('present', 'uncertain')
    """
    text = _COMPARED.sub(" ", _plain(clause))
    asked = section is Section.INDICATION and bool(_ASKED.search(text))
    if asked or _HYPOTHETICAL.search(_NOT_EXCLUDED.sub(" ", text)):
        return Assertion.HYPOTHETICAL
    if _NOT_EXCLUDED.search(text):
        return Assertion.UNCERTAIN
    if _ABSENT.search(_STILL_THERE.sub(" ", _PSEUDO.sub(" ", _EXCEPTED.sub(" ", text)))):
        return Assertion.ABSENT
    if section is Section.COMPARISON or _HISTORICAL.search(text):
        return Assertion.HISTORICAL
    return Assertion.UNCERTAIN if _UNCERTAIN.search(text) else Assertion.PRESENT


def _spans(sentence: str) -> list[tuple[int, int]]:
    """Where the clauses stand in the sentence; they leave out the joining words between them."""
    text = _plain(sentence)
    spans = _cut(_cut([(0, len(text))], text, _CUTS), text, _DENIAL_INSIDE)
    spans = [
        part
        for span in spans
        for part in (_cut([span], text, _NEW_SUBJECT) if _OPENS_ABSENT.match(text[slice(*span)]) else [span])
    ]
    return spans or [(0, len(sentence))]


def _cut(spans: list[tuple[int, int]], text: str, pattern: re.Pattern[str]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for start, end in spans:
        masked = _PSEUDO.sub(lambda match: "~" * len(match.group()), text[start:end])
        begin = 0
        for match in pattern.finditer(masked):
            rest = masked[match.end() :]
            if re.search(r"\w", masked[begin : match.start()].replace("~", "w")) and not _LIST_ITEM.match(rest):
                found.append((start + begin, start + match.start()))
                begin = match.end()
        if re.search(r"\w", masked[begin:].replace("~", "w")):
            found.append((start + begin, end))
    return found


def _plain(text: str) -> str:
    """Lower case and plain quotes, of the same length."""
    lowered = text.lower()
    plain = lowered if len(lowered) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    return plain.replace("’", "'").replace("\n", " ").replace("\t", " ")

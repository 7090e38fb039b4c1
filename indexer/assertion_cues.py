"""The words from which `assertions` reads what is said of a finding, and how far each reaches.

After NegEx and ConText (Chapman et al. 2001; Harkema et al. 2009): cues that reach forward, backward or over their
clause, ends of reach, and look-alikes that are no cues. Written for neuroradiology's reports, in lower case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from indexer.cases import Assertion

Reach = Literal["after", "before", "clause"]

_PERCEIVED = (
    r"(?:seen|identified|visuali[sz]ed|demonstrated|detected|evident|noted|present|shown|found(?!\s+to)|observed|apparent"
    r"|appreciated|visible|documented|recogni[sz]ed|confirmed)"
)
_BE = r"(?:is|are|was|were|be|been|being)"
_AUXILIARY = rf"(?:{_BE}|has|have|had|does|do|did|could|can|would|will|should)"
_DEGREE = (
    r"(?:(?:significant|substantial|appreciable|definite|obvious|major|real|interval|overall|further|large|clear)\s+)*"
)
_VERB = (
    r"(?:is|are|was|were|has|have|had|remains?|shows?|showed|demonstrates?|reveals?|appears?|measures?|contains?"
    r"|causes?|extends?|involves?|enhances?|persists?)"
)
_RELATIVE = (
    r"(?:mother|father|brother|sister|sibling|parent|grandmother|grandfather|grandparent|aunt|uncle|cousin|son|daughter"
    r"|twin|mgf|mgm|pgf|pgm)s?"
)
_UNABLE = r"(?:can\s?not|can't|could\s+not|couldn't|not|difficult\s+to|hard\s+to|unable\s+to|impossible\s+to)\s+"
# What begins a statement of something that is there: a size, a degree, an age.
_THERE = (
    r"\d+(?:\.\d+)?\s*(?:mm|cm|ml)|marked|large|small|old|stable|mild|moderate|severe|chronic|extensive|multiple|scattered"
    r"|prominent|unchanged|known|residual|subtle|established|mature|bilateral"
)
_EXAMINED = r"(?:mri|mr|ct|scans?|stud(?:y|ies)|examinations?|exams?|imaging|images?|reports?|series|comparisons?)"
_THING = (
    r"(?:mass(?:es)?|lesions?|tumou?rs?|cysts?|collections?|ha?ematomas?|meningiomas?|gliomas?|metastas[ei]s|aneurysms?"
    r"|adenomas?|schwannomas?|infarcts?|abscess(?:es)?|plaques?|ha?emorrhages?)"
)


@dataclass(frozen=True, slots=True)
class Cue:
    """Words that decide what is said of the findings after them, before them, or in the whole clause."""

    assertion: Assertion
    reach: Reach
    pattern: re.Pattern[str]
    stop: re.Pattern[str] | None = None


def _cue(assertion: Assertion, reach: Reach, words: str, stop: str | None = None) -> Cue:
    return Cue(assertion, reach, re.compile(rf"(?<!\w)(?:{words})(?!\w)"), re.compile(stop) if stop else None)


# What looks like a denial and is none. Masked before the cues are looked for.
PSEUDO = re.compile(
    r"\b(?:"
    rf"no\s+{_DEGREE}(?:change|changes|growth|progression|regression|increase|decrease|difference|improvement|worsening)"
    r"|no\s+interval\s+enlargement"
    rf"|without\s+{_DEGREE}(?:change|changes|growth|progression|regression|increase|decrease)"
    r"|(?:has|have|is|are|was|were)\s+not\s+(?:\w+ly\s+)?(?:changed?|altered|grown|progressed|resolved|normal|enlarging)"
    r"|not\s+(?:\w+ly\s+)?(?:changed|altered|resolved|normal)"
    r"|not\s+only|not\s+just|not\s+merely|not\s+necessarily|no\s+doubt|not\s+without|whether\s+or\s+not|or\s+not\b"
    r"|(?:no|not)\s+(?:more|less|fewer|later|smaller|larger)\s+than|if\s+any"
    r"|not\s+(?:been\s+|yet\s+)?(?:measured|assessed|evaluated|imaged|included|covered|performed|given|administered"
    r"|available|known|reported|specified|stated|obtained|acquired|ordered|well|clearly\s+demarcated)"
    r"|(?:with\s+and\s+)?without\s+(?:and\s+with\s+)?(?:iv\s+|intravenous\s+)?(?:gadolinium\s+)?(?:contrast|gadolinium)"
    r"(?!\s+enhancement)"
    r"|no\s+(?:prior|previous|comparison)\s+(?:\w+\s+)?(?:studies|study|imaging|images|examinations?|scans?|mri)"
    r"|(?:partial(?:ly)?|incomplete(?:ly)?|nearly|almost|not\s+fully)[\s-]*(?:resolved|resolution\s+of)"
    r"|not\s+(?:seen|present|visible|identified|evident|noted|there)\s+(?:previously|before|(?:on|in|at)\s+(?:the\s+)?"
    r"(?:prior|previous|last|earlier|former|initial|(?:19|20)\d\d))"
    r"|negative\s+(?:eeg|mri|ct|csf|cultures?|on\s+immuno\w+)|\w+[\s-]negative\s+on"
    r"|anti-\w+\s+negative|failed\s+(?:back|shunt)"
    r")\b"
    # A former examination is a date to compare with, not a former finding.
    r"|\b(?:(?:compared?\s+(?:with|to)|since|than|from)\s+(?:the\s+|a\s+)?)?(?:previous|prior|last|past|old|former|earlier)\s+"
    rf"(?:outside\s+|brain\s+|head\s+|mri\s+|mr\s+|ct\s+)*{_EXAMINED}\b"
    r"|\bpreviously\s+(?:seen|noted|described|identified|demonstrated|reported|known|visuali[sz]ed|placed|healthy)\b"
    r"|\b(?:compared?\s+(?:with|to)|since|than|from)\s+(?:the\s+)?(?:prior|previous)\b(?!\s+(?:surgery|resection|operation))"
    r"|\b(?:compared?\s+(?:with|to)|since|than)\s+(?:[\w']+\s+){0,6}?(?:\d+|one|two|three|four|five|six|several|a\s+few)\s+"
    r"(?:day|week|month|year)s?\s+(?:ago|prior|earlier|before)\b"
    r"|\b(?:previous|prior)\s+to\b|\bin\s+favou?r\s+of\s+(?:previous|prior)\b"
)

# Where a denial or a story of the past gives way to what the scan shows.
_TOLD_UNTIL = (
    r"\b(?:present(?:s|ed|ing)\b|underwent|show(?:s|ed|ing)?\b|reveal\w*|demonstrat\w+|(?:was|is)\s+admitted|now\b|current\w*"
    r"|develop(?:s|ed|ing|ment)\b|with\s+(?:new|now|increas\w+|worsening|progress\w+)|adjacent\b|who\b|which\b)"
)
_DENIED_UNTIL = (
    r"(?<!evidence )(?<!signs )(?<!sign )(?<!recurrence )(?<!residual )(?<!visualization )(?<!visualisation )"
    rf"\b(?:of|in|within|around|surrounding|from|to)\s+(?:the|this|these|that|his|her|a\s+known)\s+(?:[\w-]+\s+){{0,3}}?{_THING}\b"
    r"|(?<=cause )(?:for|of)\b|(?<=explanation )for\b|(?<=reason )for\b|\bto\s+(?:account\s+for|explain)\b"
    r"|\bas\s+(?:the\s+)?(?:cause|explanation)\b|\bdespite\b|\bconfirmed\b"
)

# In the order of their say: where two reach the same words, the one above decides.
CUES: tuple[Cue, ...] = (
    _cue(
        Assertion.FAMILY,
        "clause",
        rf"(?:family|familial)\s+(?:medical\s+)?history|fhx?\s*:|fam(?:ily)?\s+hx|history\s+of\s+[^.;]*?\bin\s+(?:(?:his|her|their|the|a)\s+)?{_RELATIVE}"
        rf"|(?:(?:his|her|their|whose|patient's|maternal|paternal)\s+)?(?:\w+\s+)?{_RELATIVE}(?:'s)?\s+(?!cysts?|vesicles?|nucle)(?:\w+\s+){{0,3}}?"
        r"(?:had|has|have|with|was|were|is|died|history|suffered|suffers|diagnosed|notable)"
        rf"|(?:in|of)\s+(?:his|her|their|the\s+patient's)\s+(?:\w+\s+)?{_RELATIVE}",
    ),
    _cue(
        Assertion.HYPOTHETICAL,
        "after",
        r"if|should\s+(?:there|\w+\s+(?:occur|develop|arise|worsen|recur))|in\s+(?:the\s+)?(?:case|event)\s+of|unless"
        r"|evaluat(?:e|ed|ion|ing)\s+(?:for|of)|assess(?:ment|ed)?\s+for|screen(?:ing|ed)?\s+for|look(?:ing)?\s+for|to\s+exclude"
        r"|(?:to\s+)?rule[ds]?\s+out(?!\s*[.;,]|$)|r/o|(?<!not\s)(?<!cannot\s)exclude|(?:at\s+)?(?:increased\s+|high(?:er)?\s+)?risk\s+(?:of|for)"
        r"|watch\s+for|monitor(?:ing)?\s+for|would\s+(?:suggest|indicate|be)|in\s+search\s+of|(?:to\s+)?(?:prevent|avoid)|prophyla\w+"
        r"|prevention\s+of|to\s+test\s+(?:for|whether)|whether|work-?up\s+(?:for|of)|(?<!without\s)(?<!no\s)(?:symptoms|signs\s+and\s+symptoms|causes|types?)\s+of"
        r"|(?:people|patients|children|adults|those|individuals)\s+(?:who|with|after)\s+[^.;]*?\b(?:may|might|can|should|are|have)"
        r"|your\s+(?:doctor|brain|risk)|differentiat(?:e|ing|ion)\s+(?:between|of)?|(?:can|may)\s+(?:lead\s+to|cause|result\s+in|occur)",
        r"\b(?:show(?:s|ed|ing)?|reveal\w*|demonstrat\w+)\b|:\s|,\s*(?=\d)",
    ),
    _cue(
        Assertion.HYPOTHETICAL,
        "before",
        r"(?:may|might|can|could)\s+(?:later\s+|still\s+|subsequently\s+)?(?:develop|occur|arise|ensue|recur|follow)(?=\s*(?:$|[.,;]|in|after|with|later|as))",
        r"[.;:]",
    ),
    _cue(
        Assertion.UNCERTAIN,
        "after",
        rf"{_UNABLE}(?:be\s+)?(?:\w+ly\s+)?(?:exclude|rule\s+out|differentiate\w*|distinguish\w*)",
    ),
    _cue(
        Assertion.UNCERTAIN,
        "before",
        rf"(?:{_UNABLE}|not\s+)(?:be\s+|been\s+)?(?:\w+ly\s+)?(?:be\s+)?(?:excluded|ruled\s+out)",
    ),
    _cue(
        Assertion.UNCERTAIN,
        "clause",
        r"not\s+(?:certain|clear|sure|definite|definitive|conclusive|specific|diagnostic)|may\s+not|non-?specific\s+and",
    ),
    # "Haemorrhage: no", "Haemorrhage (none)"
    Cue(
        Assertion.ABSENT,
        "before",
        re.compile(
            r"(?::|\||\s[-–]|\.\.\.)\s*(?:no|none|nil|absent|negative|not\s+seen|no\s+evidence)(?=\s*(?:[.;,|]|$))"
            r"|\(\s*(?:none|no|nil|absent|-)\s*\)"
        ),
        re.compile(r"[;|]|,\s(?=[\w\s]{2,40}:)"),
    ),
    Cue(Assertion.ABSENT, "after", re.compile(r"\(\s*-\s*\)(?=\s*\w)"), re.compile(r"[;|(]")),
    # "X is not seen", "X has resolved"
    _cue(
        Assertion.ABSENT,
        "before",
        rf"(?:{_AUXILIARY}\s+)?(?:not|never)\s+(?:\w+ly\s+)?(?:be\s+|been\s+)?(?:\w+ly\s+)?{_PERCEIVED}"
        rf"|{_AUXILIARY}n't\s+(?:be\s+|been\s+)?{_PERCEIVED}"
        rf"|no\s+longer\s+{_PERCEIVED}|{_BE}\s+(?:\w+ly\s+)?absent|(?:{_BE}\s+|which\s+(?:was|were)\s+)negative(?!\s+for)"
        r"|(?:has|have|had|is|are|now|completely|fully|since|subsequently)\s+(?:\w+ly\s+)?(?:been\s+)?(?<!un)resolved|(?<!un)resolved(?=\s*[.;,)]|$)"
        rf"|(?:{_BE}|has\s+been|have\s+been)\s+(?:ruled\s+out|excluded)|ruled\s+out(?=\s*[.;,)]|$)|excluded(?=\s*[.;,)]|$)"
        r"|(?:none|nil|negative|absent)(?=\s*\.?$)|(?:has|have)\s+(?:completely\s+|entirely\s+)?disappeared|absent(?=\s*[.;,)]|$)",
        r",\s*(?:so|and\s+the|therefore|although|but)\b|\bpresence\s+of\b",
    ),
    _cue(
        Assertion.ABSENT,
        "after",
        rf"(?:there\s+{_BE}\s+|shows?\s+|showed\s+|reveal(?:s|ed)\s+|demonstrat(?:es|ed)\s+)?(?:no|neither|without|w/o|absence\s+of|negative\s+for|free\s+(?:of|from)"
        r"|lack(?:s|ed|ing)?(?:\s+of)?|devoid\s+of|nothing|none|nil)"
        rf"|nor|(?:{_AUXILIARY}\s+)?not(?!\s+(?:certain|clear|sure))|{_AUXILIARY}n't|never|absent"
        r"|den(?:y|ies|ied|ying)|fail(?:s|ed)?\s+to|rul(?:es|ed|ing)\s+out|exclud(?:es|ed|ing)|exclusion\s+of|(?<!un)resolved|(?:complete\s+)?resolution\s+of"
        r"|disappearance\s+of|clear\s+of",
        _DENIED_UNTIL,
    ),
    _cue(
        Assertion.HISTORICAL,
        "after",
        r"histor(?:y|ies)\s+(?:is\s+)?(?:of|significant\s+for|notable\s+for|positive\s+for)|h/o|hx\s+of|past\s+(?:medical\s+|surgical\s+)?history|pmhx?\s*:|psh\s*:"
        r"|(?:medical\s+|surgical\s+)?history\s*:|previous(?:ly)?|prior|formerly|remote|in\s+(?:childhood|infancy|the\s+past)"
        r"|since\s+birth|known\s+(?:case|history)\s+of|who\s+had|(?:diagnosed|treated|operated)\s+(?:with|for|on)",
        _TOLD_UNTIL,
    ),
    _cue(
        Assertion.HISTORICAL,
        "after",
        r"status[\s-]+post|s/p|post[\s-]?(?:resection|excision|clipping|coiling)\s+of"
        r"|(?:after|following)\s+(?:resection|excision|removal|clipping|coiling|surgery|treatment|evacuation)(?:\s+of|\s+for)?",
        _TOLD_UNTIL
        + r"|,|\bthere\s+(?:is|are)\b|\bresidual\b|\brecurren\w+|\bthe\s+(?:tumou?r|mass|lesion|ventricles)\b",
    ),
    _cue(
        Assertion.HISTORICAL,
        "before",
        r"(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten|several|many|few)\s+(?:years?|months?|weeks?|decades?)\s+"
        r"(?:ago|before|earlier|previously|prior)|in\s+(?:childhood|infancy|the\s+past|(?:19|20)\d\d)|at\s+age\s+\d+|,\s*age\s+\d+",
        r"[.;:]|\bpresent(?:s|ed|ing)\b|\bnow\b|\bshow(?:s|ed|ing)?\b",
    ),
    _cue(
        Assertion.UNCERTAIN,
        "before",
        rf"(?:{_BE}|remains?)\s+(?:also\s+)?(?:strongly\s+|highly\s+)?(?:possible|suspected|questioned|considered|uncertain|equivocal|indeterminate|unclear|unlikely|raised|favou?red)"
        r"|(?:in|among)\s+the\s+differential(?:\s+diagnosis)?|less\s+likely|unlikely|is\s+a\s+(?:consideration|possibility)",
        r",\s*(?:so|and\s+the|therefore|although|but|thus)\b|\bso\b|\bthat\b",
    ),
    Cue(Assertion.UNCERTAIN, "before", re.compile(r"\?(?=\s*$)"), re.compile(r"\.\s")),
    Cue(Assertion.UNCERTAIN, "after", re.compile(r"\?(?=\s*\w)|\bdd:?\s"), None),
    _cue(
        Assertion.UNCERTAIN,
        "after",
        r"possib(?:le|ly|ility)|may(?!\s+\d)|might|could|perhaps|maybe|question(?:able)?(?:\s+of)?|equivocal|indeterminate|suspected|suspicio(?:n|us)(?:\s+(?:of|for))?"
        r"|concern(?:s|ing|ed)?\s+(?:for|of)|worrisome\s+for|differential(?:\s+diagnos[ie]s)?|ddx|versus|vs\.?|raises?\s+the|cannot\s+say|suggestive\s+of|suggest(?:s|ed|ing|ion)?"
        r"|presumed|presumabl[ey]|potential(?:ly)?|either|uncertain|tentative|query|queries|unlikely",
        r"\b(?:confirm(?:s|ed|ing)|proved|proven)\b|\bwithout\b|,?\s+and\s+an?\b|,\s*(?=(?:[\w-]+\s+){1,4}(?:show|reveal|demonstrat)\w*)",
    ),
)
ALTERNATIVES = re.compile(r"\b(?:versus|vs\.?)\s|\beither\b|:\s+\w[^.]*;")  # "cyst versus tumour": both are open
# In the indication a question is what the examination is for.
ASKED = re.compile(r"\?|\b(?:suspected|suspicion\s+of|possible|query|queried|concern\s+for|confirm|please)\b")

# Where one clause ends and the next begins. The text after the cut keeps its own cue.
CUTS = re.compile(
    r"\s*;\s*"
    r"|\s*,?\s+(?:but(?:\s+also)?|however|although|though|yet|whereas|while|nevertheless|nonetheless|albeit)\b[\s,]*"
    r"|\s*,?\s+(?=(?:except(?:ing)?(?:\s+for)?|apart\s+from|aside\s+from|other\s+than|save\s+for"
    r"|with\s+the\s+exception\s+of)\b)"
    r"|\s*,\s*(?:and\s+)?(?=(?:there\s+(?:is|are|was|were)|which|now|currently|today)\b)"
    r"|\s+(?=(?:now|currently)\s+with\b)"
    r"|(?<=[a-z)])\.(?=\s*[a-z]{3,}\s)"
    r"|\s+[-–—]\s+(?=[a-z]+\s+[a-z])"
    r"|\s*,\s*(?=[\w\s-]{2,40}(?::\s*(?:yes|no|none|present|absent)|\s(?:present|absent))\s*(?:[.,;]|$))"
)
# A denial in the middle of a statement begins a clause of its own: "large mass | without haemorrhage".
DENIAL_INSIDE = re.compile(
    r"\s*,?\s+(?=(?:without|in\s+the\s+absence\s+of)\b)"
    r"|\s*,?\s+(?=with\s+no\b)"
    r"|\s*,\s*(?=(?:no|not|nor)\b)"
    r"|\s*,?\s+and\s+(?=(?:no|without)\b)"
    r"|\s*(?=\(\s*(?:no|not|without)\b)"
)
# "no mass, and the ventricles are enlarged": a new subject with its own verb, which a denied list does not have.
NEW_SUBJECT = re.compile(
    rf"\s*,\s*(?:and\s+|with\s+)?(?=(?:[\w/-]+\s+){{1,6}}?{_VERB}\b(?!\s+(?:also\s+|clearly\s+)?(?:not\s+)?{_PERCEIVED}))"
    rf"|\s+and\s+(?=(?:the\s+|a\s+)(?:[\w/-]+\s+){{1,5}}?{_VERB}\b(?!\s+(?:also\s+)?(?:not\s+)?{_PERCEIVED}))"
    r"|\s*,?\s+and\s+(?=(?:with|a|an|there)\b)"
    r"|\s+and\s+(?=[\w-]+\s+(?:is|are|remains?)\s+(?:enlarged|dilated|prominent|normal|present|unchanged|effaced))"
    # "no infarct, large frontal mass": a size or a degree begins something new, unless the list goes on with "or".
    rf"|(?:\s*[,:]\s*(?:and\s+)?|\s+with\s+(?:a\s+)?)(?=(?:{_THERE})\b(?![^.;]*\b(?:or|nor)\b))"
    r"|(?<=\w)\s*,\s*(?=[^,;]*\b(?:is\s+)?(?:present|noted)\s*[.;]?\s*$)"
    r"|\s*,?\s+(?=(?:causing|resulting\s+in|leading\s+to|producing)\b)"
    r"|(?<=\))\s+"
)
DENIES = re.compile(r"\b(?:no|not|without|neither|w/o|negative\s+for|resolution\s+of|free\s+of)\b")
EXCEPTED = re.compile(
    r"^(?:except(?:ing)?(?:\s+for)?|apart\s+from|aside\s+from|other\s+than|save\s+for|with\s+the\s+exception\s+of)\b"
)
# Words that say nothing by themselves: what follows belongs to them.
SAYS_NOTHING = re.compile(
    r"^\W*(?:(?:the|a|an|this|these|those|that|it|they|there|which|who|he|she|we|and|or|also|overall|otherwise|again"
    r"|findings?|appearances?|features?|changes?)\W+)*"
    r"(?:(?:is|are|was|were|be|been|has|have|had|shows?|showed|appears?|remains?|to|of|with)\W*)*$"
    r"|\b(?:is|are|was|were|be|been|remains?|appears?)\s*$"
)
LIST_ITEM = re.compile(r"^(?:or|nor)\b")
